"""Which exchanges make room for others, and over which link a relay is reached."""

from onionpath.crypto.identity import RelayId
from onionpath.injected import UnixTime
from onionpath.onion.geometry import Geometry, SizeClass
from onionpath.onion.packets import Packet
from relay.exchanges import Exchanges, Origin
from relay.limits import SwitchLimits
from relay.link import LinkState
from relay.link_table import LinkTable

RELAY = RelayId(b"r" * 32)


def origin(link_id: int, received_at: float) -> Origin:
    return Origin(link_id, 1, SizeClass.SMALL, None, 0, UnixTime(received_at), UnixTime(received_at + 30))


def test_the_oldest_make_room_wherever_they_are() -> None:
    exchanges = Exchanges()
    packet = Packet(SizeClass.SMALL, 1, 0, 0, b"layer")
    exchanges.dial(RELAY)
    exchanges.wait(9, 1, origin(1, 5))
    exchanges.wait(9, 2, origin(1, 3))
    exchanges.serve(origin(1, 4))
    exchanges.queue(RELAY, packet, origin(1, 1), at_most=9, at_most_bytes=99)
    exchanges.queue(RELAY, packet, origin(2, 0), at_most=9, at_most_bytes=99)

    assert [1, 3, 4] == [each.received_at for each in exchanges.take_oldest_from(1, 3)]
    assert 2 == len(exchanges)
    assert len(b"layer") == exchanges.queued_bytes
    assert [5] == [each.received_at for each in exchanges.take_oldest_from(1, 3)]


def test_the_other_link_to_a_relay_is_used_when_one_ends() -> None:
    table = LinkTable(Geometry(), SwitchLimits())
    for link_id in (1, 2):
        link = table.add(link_id, LinkState.OPEN, None, UnixTime(0))
        table.proven(link, RELAY, UnixTime(0))
    table.remove(1)
    left = table.to(RELAY)

    assert left is not None
    assert 2 == left.link_id

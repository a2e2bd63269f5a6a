"""The budget of openings: whoever asks for little is served at once, and nobody's part lies idle."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from onionpath.crypto.identity import RelayId
from onionpath.injected import UnixTime
from onionpath.onion.geometry import Geometry
from relay.limits import SwitchLimits
from relay.link import Link, LinkState
from relay.link_table import LinkTable
from relay.openings import BURST_S, Openings

NOW = 1_800_000_000.0
PER_SECOND = 1_000.0
STEP_S = 0.001


class Crowd:
    """Links that ask for openings in every millisecond, as fast as each wants and may."""

    def __init__(self, *, clients: int = 0, relays: int = 0) -> None:
        table = LinkTable(Geometry(), SwitchLimits())
        self.openings = Openings(PER_SECOND)
        self.clients = [table.add(number, LinkState.OPEN, None, UnixTime(NOW)) for number in range(clients)]
        self.relays = [
            table.add(1_000 + number, LinkState.PROVEN, RelayId(bytes(32)), UnixTime(NOW))
            for number in range(relays)
        ]
        self.now = NOW
        self.opened: dict[int, int] = {}
        self.longest_wait_s: dict[int, float] = {}
        self._waits: dict[int, float] = {}
        self._wanted: dict[int, float] = {}

    def run(self, seconds: float, wants: Sequence[tuple[Link, float]]) -> None:
        """Each link wants so many openings a second; counts anew."""
        self.opened = {link.link_id: 0 for link, _ in wants}
        self.longest_wait_s = dict.fromkeys(self.opened, 0.0)
        end = self.now + seconds
        while self.now < end:
            self.now += STEP_S
            for link, per_second in wants:
                self._ask(link, per_second * STEP_S)

    def run_at_most(self, seconds: float, wants: Sequence[tuple[Link, float]], *, per_second: float) -> None:
        """The same where the machine opens so many in all, for whoever comes first; each time another one does."""
        self.opened = {link.link_id: 0 for link, _ in wants}
        self.longest_wait_s = dict.fromkeys(self.opened, 0.0)
        end, turn, able = self.now + seconds, 0, 0.0
        while self.now < end:
            self.now += STEP_S
            able = min(able + per_second * STEP_S, 2.0)
            for link, wanted in wants:
                self._wanted[link.link_id] = min(
                    self._wanted.get(link.link_id, 0.0) + wanted * STEP_S, 0.1 * wanted
                )
            for _ in wants:
                if able < 1:
                    break
                link, turn = wants[turn % len(wants)][0], turn + 1
                before = self.opened[link.link_id]
                self._ask(link, 0.0, at_most=1)
                able -= self.opened[link.link_id] - before

    def _ask(self, link: Link, more: float, *, at_most: int = 1_000_000) -> None:
        number, now = link.link_id, UnixTime(self.now)
        self._wanted[number] = self._wanted.get(number, 0.0) + more
        while at_most and self._wanted[number] >= 1 and self._waits.get(number, 0.0) <= now:
            at_most -= 1
            until = self.openings.wait_until(link, now)
            if until is not None:
                self._waits[number] = until
                self.longest_wait_s[number] = max(self.longest_wait_s[number], until - now)
                return
            self.openings.draw(link)
            self._wanted[number] -= 1
            self.opened[number] += 1


def test_whoever_asks_for_little_never_waits_beside_fifty_who_take_all_they_get() -> None:
    crowd = Crowd(clients=51)
    modest, *greedy = crowd.clients
    wants = [(link, 100.0) for link in greedy]
    crowd.run(2, wants)
    crowd.run(3, [*wants, (modest, 10.0)])

    assert 0.0 == crowd.longest_wait_s[modest.link_id]
    assert crowd.opened[modest.link_id] in (29, 30)


def test_greedy_links_alone_use_the_whole_budget() -> None:
    for clients, relays in ((50, 0), (0, 3), (1, 0), (0, 1)):
        crowd = Crowd(clients=clients, relays=relays)
        wants = [(link, 5_000.0 / (clients + relays)) for link in crowd.clients + crowd.relays]
        crowd.run(1, wants)
        crowd.run(4, wants)

        assert 0.98 * 4 * PER_SECOND <= sum(crowd.opened.values()) <= 4 * PER_SECOND * (1 + BURST_S), clients


def test_greedy_links_of_one_kind_share_equally() -> None:
    crowd = Crowd(clients=10)
    wants = [(link, 500.0) for link in crowd.clients]
    crowd.run(1, wants)
    crowd.run(10, wants)

    fair = 10 * PER_SECOND / 10
    assert fair * 0.8 <= min(crowd.opened.values())
    assert max(crowd.opened.values()) <= fair * 1.25


def test_relays_keep_five_sixths_however_many_clients_there_are() -> None:
    for clients in (50, 500):
        crowd = Crowd(clients=clients, relays=1)
        (relay,) = crowd.relays
        wants = [(link, 100.0) for link in crowd.clients] + [(relay, 5_000.0)]
        crowd.run(1, wants)
        crowd.run(4, wants)

        assert crowd.opened[relay.link_id] >= 0.8 * 4 * PER_SECOND
        assert sum(crowd.opened.values()) - crowd.opened[relay.link_id] >= 0.12 * 4 * PER_SECOND


def test_what_one_kind_does_not_want_the_other_may_use() -> None:
    crowd = Crowd(clients=10, relays=1)
    (relay,) = crowd.relays
    wants = [(link, 500.0) for link in crowd.clients] + [(relay, 100.0)]
    crowd.run(1, wants)
    crowd.run(4, wants)

    assert 395 <= crowd.opened[relay.link_id] <= 401
    assert sum(crowd.opened.values()) >= 0.98 * 4 * PER_SECOND


def slow_crowd(*, adapts: bool) -> tuple[int, int]:
    """What 50 greedy clients and one modest relay get of a relay that opens half of what it was granted."""
    crowd = Crowd(clients=50, relays=1)
    (relay,) = crowd.relays
    wants = [*((link, 100.0) for link in crowd.clients), (relay, 300.0)]
    for _ in range(8):
        if adapts:
            crowd.openings.adapt(0.0, UnixTime(crowd.now))
        crowd.run_at_most(1, wants, per_second=PER_SECOND / 2)
    return crowd.opened[relay.link_id], sum(crowd.opened.values())


def test_shares_hold_although_the_machine_gives_less_than_the_budget() -> None:
    modest, total = slow_crowd(adapts=True)

    assert 0.9 * 300 <= modest
    assert 0.8 * PER_SECOND / 2 <= total
    assert 0.5 * 300 > slow_crowd(adapts=False)[0]


def test_the_budget_grows_back_to_what_was_granted_and_no_further() -> None:
    crowd = Crowd(clients=1)
    (link,) = crowd.clients
    for _ in range(6):
        crowd.openings.adapt(0.0, UnixTime(crowd.now))
        crowd.run_at_most(1, [(link, 5_000.0)], per_second=100)
    crowd.openings.adapt(0.0, UnixTime(crowd.now))
    crowd.run(2, [(link, 5_000.0)])
    floor = PER_SECOND / 8
    assert floor * 2 <= crowd.opened[link.link_id] <= floor * 2 * (1 + BURST_S)

    for _ in range(5):
        crowd.now += 1
        crowd.openings.adapt(0.5, UnixTime(crowd.now))
    crowd.run(1, [(link, 5_000.0)])
    crowd.run(4, [(link, 5_000.0)])
    assert 0.98 * 4 * PER_SECOND <= crowd.opened[link.link_id] <= 4 * PER_SECOND * (1 + BURST_S)


def test_one_busy_second_halves_the_budget_at_most() -> None:
    """The relay may have been busy with handshakes or refusals, which draw nothing."""
    crowd = Crowd(clients=1)
    (link,) = crowd.clients
    crowd.openings.adapt(0.0, UnixTime(crowd.now))
    crowd.now += 1
    crowd.openings.adapt(0.0, UnixTime(crowd.now))
    crowd.run(1, [(link, 5_000.0)])
    crowd.run(4, [(link, 5_000.0)])

    assert 0.98 * 4 * PER_SECOND / 2 <= crowd.opened[link.link_id]


@given(
    st.integers(1, 30),
    st.integers(0, 5),
    st.lists(st.floats(1, 5_000), min_size=35, max_size=35),
)
def test_no_crowd_gets_more_than_the_budget(clients: int, relays: int, rates: list[float]) -> None:
    crowd = Crowd(clients=clients, relays=relays)
    crowd.run(0.1, list(zip(crowd.clients + crowd.relays, rates, strict=False)))

    assert sum(crowd.opened.values()) <= PER_SECOND * (0.1 + STEP_S + BURST_S) + 1


@given(st.floats(0.5, 1e6), st.integers(1, 100))
def test_a_link_that_is_alone_gets_the_whole_budget(per_second: float, count: int) -> None:
    table = LinkTable(Geometry(), SwitchLimits())
    link, openings = table.add(1, LinkState.OPEN, None, UnixTime(NOW)), Openings(per_second)
    now, left = UnixTime(NOW), count
    while left:
        until = openings.wait_until(link, now)
        if until is None:
            openings.draw(link)
            left -= 1
        else:
            assert until > now
            now = until

    assert now - NOW <= 1.2 * count / per_second + 0.02

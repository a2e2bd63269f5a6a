"""A relay's tie to its network, against a real authority on loopback."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import trio
from structlog.testing import capture_logs

from onionpath.crypto.identity import RelayId
from onionpath.directory.descriptor import parse_descriptor, sign_descriptor
from onionpath.errors import KeyFileError, SettingsError
from onionpath.injected import UnixTime
from relay.listener import bind, listening
from relay.network_keeper import _Known
from relay.network_schedule import sources
from relay.publishing import Failure
from relay.settings import Endpoint
from tests.relay.nodes import PERIOD_S, RelayNode, clock, local_network, until


async def test_relays_publish_and_all_come_to_know_all(tmp_path: Path) -> None:
    async with local_network(tmp_path) as network:
        names: set[RelayId] = {relay.relay_id for relay in network.relays}
        for relay in network.relays:
            assert relay.keeper is not None
            assert relay.keeper.directory is not None
            assert names == set(relay.keeper.directory.relays)
            assert names == set(relay.switch._key_hashes)


async def test_a_changed_descriptor_is_published_again(tmp_path: Path) -> None:
    async with local_network(tmp_path) as network:
        before = len(network.authority.collected)
        relay = network.relays[0]
        # An authority takes only what is newer, and descriptors have whole seconds.
        published_at = relay.describe().published_at
        describe = relay.describe
        assert relay.keeper is not None
        relay.keeper.publisher._describe = lambda: replace(
            describe(), published_at=UnixTime(published_at + 1)
        )
        relay.keeper.publish_soon()

        await until(lambda: len(network.authority.collected) > before)


async def test_a_relay_starts_from_its_snapshot_when_no_authority_answers(tmp_path: Path) -> None:
    async with local_network(tmp_path) as network:
        relay = network.relays[0]
        await until((relay.folder / "directory").exists)
        network.authority.scope.cancel()
        assert relay.links is not None
        again = relay.make_keeper(relay.links)
        again.load()

        assert again.directory is not None
        assert 3 == len(again.directory.relays)


async def test_a_damaged_snapshot_is_ignored(tmp_path: Path) -> None:
    async with local_network(tmp_path) as network:
        relay = network.relays[0]
        file = relay.folder / "directory"
        await until(file.exists)
        damaged = bytearray(file.read_bytes())
        damaged[200] ^= 1
        file.write_bytes(damaged)
        assert relay.links is not None
        again = relay.make_keeper(relay.links)
        again.load()

        assert again.directory is None


async def test_a_snapshot_that_others_can_read_is_refused(tmp_path: Path) -> None:
    async with local_network(tmp_path) as network:
        relay = network.relays[0]
        file = relay.folder / "directory"
        await until(file.exists)
        file.chmod(0o644)
        assert relay.links is not None
        with pytest.raises(KeyFileError):
            relay.make_keeper(relay.links).load()


async def test_a_relay_whose_disk_is_full_takes_the_directory_and_serves_on(tmp_path: Path) -> None:
    async with local_network(tmp_path) as network, trio.open_nursery() as nursery:
        node = RelayNode(tmp_path / "new", network.root)
        # In the way of the snapshot, as a full disk is, and also for a test that runs as root.
        (node.folder / ".directory.new").mkdir()
        links = await nursery.start(node.serve)
        keeper = node.make_keeper(links)
        with capture_logs() as logs:
            await keeper._fetch()

        assert keeper.directory is not None
        assert not (node.folder / "directory").exists()
        assert ["directory_not_kept"] == [line["event"] for line in logs if line["log_level"] == "error"]
        nursery.cancel_scope.cancel()


async def test_an_authority_that_is_busy_is_asked_again_and_not_accused(tmp_path: Path) -> None:
    async with local_network(tmp_path) as network:
        relay = network.relays[0]
        assert relay.keeper is not None
        assert network.authority.links is not None
        network.authority.links.drain()
        with capture_logs() as logs:
            envelope = sign_descriptor(relay.describe(), relay.identity)
            failed = await relay.keeper.publisher._publish(envelope, network.authority.neighbour)

        assert (Failure.BUSY, {"reason": "hop_busy"}) == failed
        assert [] == logs


async def test_a_new_relay_learns_the_network_from_a_mirror_when_the_authority_is_gone(
    tmp_path: Path,
) -> None:
    async with local_network(tmp_path) as network, trio.open_nursery() as nursery:
        network.authority.scope.cancel()
        known = network.relays[0]
        await until((known.folder / "directory").exists)
        node = RelayNode(tmp_path / "new", network.root)
        (node.folder / "directory").write_bytes((known.folder / "directory").read_bytes())
        (node.folder / "directory").chmod(0o600)
        links = await nursery.start(node.serve)
        keeper = node.make_keeper(links)
        keeper.load()
        # Where it was read from doesn't matter: it asks the relays it knows once the authority fails.
        asked = sources(network.root, keeper.directory, ours=node.relay_id, choice=keeper._choice)

        assert 1 + 3 == len(asked)
        assert keeper.directory == await keeper._fetch_from(asked[-1], beside=None)
        nursery.cancel_scope.cancel()


def test_a_port_that_is_taken_says_so_and_leaves_nothing_open() -> None:
    with bind("127.0.0.1", 0) as taken:
        endpoint = Endpoint("127.0.0.1", taken.getsockname()[1])
        with (
            pytest.raises(SettingsError, match="is it running already") as caught,
            listening([endpoint], "relay.listen"),
        ):
            raise AssertionError("listens")
    assert "relay.listen" == caught.value.key


async def test_an_authority_that_forgot_a_relay_gets_its_descriptor_again_once_for_each_document(
    tmp_path: Path,
) -> None:
    """Restarted before it had signed, it would have had to wait for six hours."""
    async with local_network(tmp_path) as network:
        relay, authority = network.relays[0], network.authority
        assert relay.keeper is not None
        assert relay.links is not None
        await until(lambda: relay.keeper is not None and not relay.keeper.publisher.is_under_way)
        others = [each for each in authority.collected if parse_descriptor(each).relay_id != relay.relay_id]
        assert 2 == len(others)
        authority.office = authority.make_office(relays=2)
        for envelope in others:
            authority.collect(envelope)
        again = authority.published
        assert again is not None

        with capture_logs() as logs:
            keeper = relay.keeper
            for _ in range(3):
                keeper.publisher.missed_by(again, ours=relay.relay_id)
            await until(lambda: len(authority.office.enrolment) == 3)
            await until(lambda: not keeper.publisher.is_under_way)
            keeper.publisher.missed_by(again, ours=relay.relay_id)

        assert 1 == len([line for line in logs if line["event"] == "relay_not_listed"])
        assert 1 == len([line for line in logs if line["event"] == "descriptor_published"])


async def test_a_relay_does_not_forward_by_a_directory_that_ran_out(tmp_path: Path) -> None:
    """Whoever was listed there may be gone, and another may have its address."""
    async with local_network(tmp_path) as network:
        relay = network.relays[0]
        assert relay.keeper is not None
        keeper, now = relay.keeper, clock()
        assert keeper.directory is not None
        ended = keeper.directory.document.valid_until + PERIOD_S
        for later, known in ((ended - 1, 3), (ended, 0), (ended + 9, 0)):
            keeper._clock = lambda later=later: UnixTime(later)  # type: ignore[misc]
            with capture_logs() as logs:
                keeper._close_if_run_out()
            assert known == len(relay.switch._key_hashes)
            assert (later == ended) == ("directory_expired" in [line["event"] for line in logs])

        keeper._clock = lambda: now
        keeper._use(_Known.of(keeper.directory, None, None))

        assert 3 == len(relay.switch._key_hashes)


@pytest.mark.parametrize("where", ["publisher.publish_calls", "network_keeper.DirectoryFetch"])
async def test_a_bug_while_publishing_or_fetching_does_not_end_the_relay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def fail(*args: object, **more: object) -> object:
        raise ZeroDivisionError

    async with local_network(tmp_path) as network:
        relay = network.relays[0]
        assert relay.keeper is not None
        monkeypatch.setattr(f"relay.{where}", fail)
        with capture_logs() as logs:
            relay.keeper.publish_soon()
            await relay.keeper._fetch()
            await until(lambda: any(line["log_level"] == "error" for line in logs) or relay.keeper is None)

        assert {"ZeroDivisionError"} == {line["kind"] for line in logs if line["log_level"] == "error"}

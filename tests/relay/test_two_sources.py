"""A relay asks two authorities for each document, and publishes to all of them; over real sockets on loopback."""

from __future__ import annotations

import random
import stat
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from onionpath.directory.descriptor import parse_descriptor
from onionpath.directory.directory import Directory
from onionpath.directory.evidence import Evidence, decode_evidence, verify_evidence
from onionpath.directory.succession import Lineage, sign_succession
from onionpath.directory.trust import TrustRoot
from onionpath.disk.evidence_files import MAX_EVIDENCE_FILES, EvidenceFiles
from onionpath.injected import UnixTime
from relay import network_keeper
from relay.network_keeper import NetworkKeeper
from relay.network_schedule import CALL_TIMEOUT_S, RETRY_S
from tests.relay.nodes import PERIOD_S, RelayNode, until
from tests.relay.stands import NOW, NUMBER, Stand, describe, directory_of, root_of


@asynccontextmanager
async def asking(
    folder: Path, stands: Sequence[Stand], root: TrustRoot | None = None
) -> AsyncIterator[NetworkKeeper]:
    """A relay's keeper that does nothing by itself, and these authorities, who answer."""
    node = RelayNode(folder / "relay", root or root_of(stands))
    async with trio.open_nursery() as nursery:
        for stand in stands:
            stand.clock = lambda: NOW
            await nursery.start(stand.serve)
        keeper = node.make_keeper(await nursery.start(node.serve))
        started_at = trio.current_time()
        keeper._clock = keeper.publisher._clock = lambda: UnixTime(NOW + trio.current_time() - started_at)
        keeper.publisher._describe = lambda: describe(node)
        yield keeper
        nursery.cancel_scope.cancel()


def stands_in(folder: Path, count: int = 2, *, name: str = "authority") -> list[Stand]:
    return [Stand(folder / f"{name}-{number}") for number in range(count)]


def showing(stands: Sequence[Stand], *directories: Directory) -> None:
    for stand, directory in zip(stands, directories, strict=True):
        stand.show(directory)


async def test_what_two_agree_on_is_used_until_its_end(tmp_path: Path) -> None:
    stands = stands_in(tmp_path)
    directory = directory_of(stands)
    showing(stands, directory, directory)
    async with asking(tmp_path, stands) as keeper:
        pause_s = await keeper._fetch()

    assert directory == keeper.directory
    assert RETRY_S < pause_s <= PERIOD_S


@pytest.mark.parametrize("newer_first", [True, False])
async def test_who_has_an_older_document_does_not_keep_us_from_the_newer(
    tmp_path: Path, newer_first: bool
) -> None:
    stands = stands_in(tmp_path)
    older, newer = directory_of(stands, number=NUMBER - 1), directory_of(stands)
    async with asking(tmp_path, stands) as keeper:
        # The same choice that the keeper will make.
        first = random.Random(1).sample(root_of(stands).authorities, 2)[0]
        for stand in stands:
            stand.show(newer if (stand.signer == first) is newer_first else older)
        await keeper._fetch()

    assert newer == keeper.directory


async def test_two_documents_of_one_number_are_used_neither_and_kept_as_evidence(tmp_path: Path) -> None:
    stands = stands_in(tmp_path)
    before = directory_of(stands, number=NUMBER - 1)
    showing(stands, directory_of(stands), directory_of(stands, weight=7))
    async with asking(tmp_path, stands) as keeper:
        keeper._use(network_keeper._Known.of(before, None, None))
        with capture_logs() as logs:
            pauses = [await keeper._fetch() for _ in range(2)]
        # One of the two goes silent, or joins the other: still it is used no more.
        showing(stands, directory_of(stands), directory_of(stands))
        await keeper._fetch()

        assert before == keeper.directory
        assert [RETRY_S, RETRY_S] == pauses
        assert 1 == len([line for line in logs if line["event"] == "authorities_signed_twice"])
        (file,) = EvidenceFiles(tmp_path / "relay").files()
        proof = verify_evidence(decode_evidence(file.read_bytes()), root_of(stands))
        assert tuple(sorted(stand.identity.public for stand in stands)) == proof.guilty
        assert 0o600 == stat.S_IMODE(file.stat().st_mode)

        again = keeper
        again._denied = 0
        again.load()
        assert NUMBER == again._denied


async def test_the_next_document_ends_what_a_contradiction_began(tmp_path: Path) -> None:
    stands = stands_in(tmp_path)
    showing(
        stands, directory_of(stands, number=NUMBER - 1), directory_of(stands, number=NUMBER - 1, weight=7)
    )
    newer = directory_of(stands)
    async with asking(tmp_path, stands) as keeper:
        await keeper._fetch()
        assert keeper.directory is None
        showing(stands, newer, newer)
        await keeper._fetch()

    assert newer == keeper.directory


async def test_one_relay_that_contradicts_what_we_have_changes_nothing_but_is_told(tmp_path: Path) -> None:
    stands = stands_in(tmp_path)
    ours = directory_of(stands, number=NUMBER - 1)
    newer, other = directory_of(stands), directory_of(stands, number=NUMBER - 1, weight=7)
    showing(stands, newer, other)
    async with asking(tmp_path, stands) as keeper:
        keeper._use(network_keeper._Known.of(ours, None, None))
        # It serves the other one as if it were newer.
        publication = stands[1].directory.publication
        assert publication is not None
        object.__setattr__(publication, "number", NUMBER + 1)
        await keeper._fetch()

    assert newer == keeper.directory
    assert [NUMBER - 1] == EvidenceFiles(tmp_path / "relay").numbers()


@pytest.mark.parametrize("anyio_backend", [("trio", {"clock": MockClock()})], ids=["in time of its own"])
async def test_who_is_silent_costs_a_deadline_and_the_others_answer_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stands = stands_in(tmp_path)
    signed = directory_of(stands)
    stands[0].show(signed)

    async def never(call: object) -> object:
        # No time passes but this.
        clock = trio.lowlevel.current_clock()
        assert isinstance(clock, MockClock)
        clock.jump(CALL_TIMEOUT_S)
        await trio.sleep_forever()

    monkeypatch.setattr(stands[1].directory, "answer", never)
    async with asking(tmp_path, stands) as keeper:
        pause_s = await keeper._fetch()

    assert signed == keeper.directory
    assert RETRY_S == pause_s


async def test_a_succession_on_the_way_leads_to_the_new_authorities(tmp_path: Path) -> None:
    """They are told of us, and asked from then on; the file of the trust root names others."""
    old, new = stands_in(tmp_path, 1, name="old"), stands_in(tmp_path, 2, name="new")
    before, after = root_of(old), root_of(new, version=2)
    step = sign_succession(before, after, [stand.identity for stand in [*old, *new]])
    directory = directory_of(new, lineage=Lineage(before).follow([step]))
    showing([*old, *new], directory, directory, directory)
    async with asking(tmp_path, [*old, *new], before) as keeper, trio.open_nursery() as nursery:
        nursery.start_soon(keeper.publisher.run)
        await until(lambda: old[0].given)
        assert [] == [*new[0].given, *new[1].given]

        await keeper._fetch()
        await until(lambda: new[0].given and new[1].given)
        assert after == keeper.root
        await until(lambda: not keeper.publisher.is_under_way)
        assert 1 == len(old[0].given)
        assert old[0].given == new[0].given == new[1].given

        old[0].scope.cancel()
        with capture_logs() as logs:
            assert RETRY_S < await keeper._fetch()
        assert "directory_fetch_failed" not in {line["event"] for line in logs}
        nursery.cancel_scope.cancel()


@pytest.mark.slow  # a changed descriptor is a second younger
async def test_of_three_authorities_one_is_down_and_the_others_have_us(tmp_path: Path) -> None:
    stands = stands_in(tmp_path, 3)
    signed = directory_of(stands)
    showing(stands, signed, signed, signed)
    async with asking(tmp_path, stands) as keeper, trio.open_nursery() as nursery:
        publisher = keeper.publisher
        stands[2].scope.cancel()
        with capture_logs() as logs:
            nursery.start_soon(publisher.run)
            await until(lambda: not publisher.is_under_way)
            await until(lambda: publisher.failures.get("unreachable", 0) > 2)
        assert 1 == len(stands[0].given) == len(stands[1].given)
        assert stands[0].given == stands[1].given
        assert 1 == len([line for line in logs if line["event"] == "authority_unreachable"])

        # What changes reaches those who are there, although one never had what was before.
        described = publisher._describe()
        publisher._describe = lambda: replace(described, published_at=UnixTime(NOW + 1))
        publisher.soon()
        await until(lambda: len(stands[0].given) == len(stands[1].given) == 2)
        assert NOW + 1 == parse_descriptor(stands[0].given[1]).published_at

        await keeper._fetch()
        assert signed == keeper.directory
        nursery.cancel_scope.cancel()


def test_evidence_fills_no_disk(tmp_path: Path) -> None:
    files = EvidenceFiles(tmp_path)
    pair = Evidence.of_documents((b"one", b"two"))
    kept = [files.keep(pair, number=number) for number in (5, *range(5, 6 + MAX_EVIDENCE_FILES))]

    assert list(range(5, 5 + MAX_EVIDENCE_FILES)) == files.numbers()
    assert files.files() == [file for file in kept if file]

"""The client's directory against mirrors that are old, forged, broken or gone; no sockets."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from onionpath.client.directory_keeper import Ask, DirectoryKeeper
from onionpath.directory.evidence import decode_evidence, verify_evidence
from onionpath.disk.evidence_files import EvidenceFiles
from onionpath.errors import (
    MalformedError,
    MissingDirectoryError,
    OnionPathError,
    RollbackError,
    SignatureThresholdError,
    StaleDirectoryError,
    UnreachableError,
)
from onionpath.injected import UnixTime
from onionpath.service.calls import Call, ServiceId
from onionpath.service.directory import DirectoryService, Publication
from tests.directory.networks import NOW, PERIOD_S, Network, authority_keys, identity, network

OLD = network()
NEW = network(
    number=OLD.document.number + 1,
    previous=OLD.verified().digest,
    valid_from=UnixTime(OLD.document.valid_from + PERIOD_S),
    fresh_until=UnixTime(OLD.document.fresh_until + PERIOD_S),
    valid_until=UnixTime(OLD.document.valid_until + PERIOD_S),
)
LATER = UnixTime(NOW + PERIOD_S)


def keeper(*, now: UnixTime = NOW, file: Path | None = None) -> DirectoryKeeper:
    return DirectoryKeeper(OLD.root, file=file, clock=lambda: now, choice=random.Random(1))


def mirror(published: Network) -> Ask:
    """The directory service of a relay that has this document."""
    service = DirectoryService()
    service.replace(Publication.of(published.directory()))

    async def ask(body: bytes) -> bytes:
        call = Call(ServiceId.DIRECTORY, body, bytes(16), 100_000, 1, NOW)
        return (await service.answer(call)).body

    return ask


async def asked(ours: DirectoryKeeper, ask: Ask) -> OnionPathError | None:
    """Why this one brought nothing, or None."""
    asking = ours._inquire([ask], wanted=1)
    failure = await ours._ask(ask, asking)
    await ours._take(asking)
    return failure


async def garbage(body: bytes) -> bytes:
    return b"\xff" * 50


async def gone(body: bytes) -> bytes:
    raise UnreachableError("nobody there")


async def test_before_the_first_fetch_there_is_no_directory() -> None:
    with pytest.raises(MissingDirectoryError):
        keeper().directory  # noqa: B018  # asking is what raises


async def test_a_newer_document_replaces_an_older_one() -> None:
    ours = keeper(now=LATER)
    assert await asked(ours, mirror(OLD)) is None
    assert await asked(ours, mirror(NEW)) is None

    assert NEW.document.number == ours.directory.document.number


async def test_an_older_document_than_one_already_seen_never_replaces_it(tmp_path: Path) -> None:
    """A mirror that plays back yesterday's network would bring back yesterday's bad relays."""
    file = tmp_path / "network" / "directory"
    ours = keeper(now=LATER, file=file)
    assert await asked(ours, mirror(NEW)) is None
    await asked(ours, mirror(OLD))
    assert NEW.document.number == ours.directory.document.number

    again = keeper(now=LATER, file=file)
    await again.load()
    again._directory = None
    assert isinstance(await asked(again, mirror(OLD)), RollbackError)


async def test_two_documents_of_one_number_are_never_both_taken() -> None:
    twin = network(number=OLD.document.number, previous=bytes(31) + b"\1")
    ours = keeper()
    assert await asked(ours, mirror(OLD)) is None
    ours._seen, ours._directory = ours.directory.seen, None

    assert isinstance(await asked(ours, mirror(twin)), RollbackError)


async def test_two_are_asked_and_the_newer_document_wins_in_either_order() -> None:
    for asks in ([mirror(OLD), mirror(NEW)], [mirror(NEW), mirror(OLD)]):
        ours = keeper(now=LATER)
        await ours.refresh(asks)

        assert NEW.document.number == ours.directory.document.number


async def test_two_documents_of_one_number_are_used_neither_and_kept_as_evidence(tmp_path: Path) -> None:
    twin = network(
        number=NEW.document.number,
        previous=bytes(31) + b"\1",
        valid_from=NEW.document.valid_from,
        fresh_until=NEW.document.fresh_until,
        valid_until=NEW.document.valid_until,
    )
    file = tmp_path / "directory"
    ours = keeper(now=LATER, file=file)
    assert await asked(ours, mirror(OLD)) is None
    await ours.refresh([mirror(NEW), mirror(twin)])

    assert OLD.document.number == ours.directory.document.number
    (evidence,) = [
        kept.read_bytes() for kept in EvidenceFiles(tmp_path).files()
    ]  # a test may wait for its disk
    assert NEW.document.number == verify_evidence(decode_evidence(evidence), OLD.root).number

    # One of the two is offered alone, through a path or directly: it is used no more than before.
    await ours.refresh([mirror(NEW), gone])
    assert await asked(ours, mirror(twin)) is None
    assert OLD.document.number == ours.directory.document.number
    assert not ours._is_confirmed


async def test_whoever_has_one_answer_only_uses_it_and_asks_again_soon() -> None:
    ours = keeper(now=LATER)
    await ours.refresh([gone, mirror(NEW)])

    assert NEW.document.number == ours.directory.document.number
    assert not ours._is_confirmed
    await ours.refresh([mirror(OLD), mirror(NEW)])
    assert ours._is_confirmed


@pytest.mark.parametrize(
    ("ask", "error"),
    [
        (garbage, MalformedError),
        (gone, UnreachableError),
    ],
)
async def test_whatever_a_bad_mirror_does_the_next_one_is_asked(
    ask: Ask, error: type[OnionPathError]
) -> None:
    ours = keeper()

    assert isinstance(await asked(ours, ask), error)
    assert await asked(ours, mirror(OLD)) is None
    assert OLD.document.number == ours.directory.document.number


@pytest.mark.parametrize("hours", [-2, 4])
async def test_a_wrong_clock_is_named(hours: int) -> None:
    ours = keeper(now=UnixTime(NOW + hours * PERIOD_S))
    error = await asked(ours, mirror(OLD))

    assert isinstance(error, StaleDirectoryError)
    assert "clock" in str(error)


async def test_a_forged_signature_is_refused() -> None:
    forged = network(keys=authority_keys(1))
    stranger = replace(forged.root.authorities[0], identity=identity("stranger").public)
    ours = DirectoryKeeper(
        replace(forged.root, authorities=(stranger,)), file=None, clock=lambda: NOW, choice=random.Random(1)
    )

    assert isinstance(await asked(ours, mirror(forged)), SignatureThresholdError)


async def test_an_old_snapshot_still_proves_what_was_seen(tmp_path: Path) -> None:
    file = tmp_path / "directory"
    file.write_bytes(OLD.directory().encode())  # a test may wait for its disk
    ours = keeper(now=UnixTime(NOW + 10 * PERIOD_S), file=file)
    await ours.load()

    assert OLD.directory().seen == ours._seen
    with pytest.raises(MissingDirectoryError):
        ours.directory  # noqa: B018  # asking is what raises

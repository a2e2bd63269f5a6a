"""What clients did and saw, and the judge: nothing acknowledged is lost, nothing comes back, nothing is made up.

An operation is *ok* when its client was told so, *failed* when it was refused before anything happened, and *unknown*
otherwise: it may have happened, or may still happen at any later time. Times are true ones, in seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum


class Outcome(Enum):
    """How an operation ended for its client."""

    OK = "ok"
    FAILED = "failed"
    UNKNOWN = "unknown"


class Kind(Enum):
    """What was asked for."""

    STORE = "store"
    REMOVE = "remove"  # some messages, or all of the account
    EXTEND = "extend"
    READ = "read"


@dataclass
class Record:
    """One operation of one client.

    Args:
        hashes: which messages; None for all of the account.
        expiry_ms: asked for.
        asked: which members, for people to read.
        found: of a read: expiry by hash.
        is_settled: of a read: all members hold the same. Before, a member that has missed a removal still shows what
            is gone, and a client cannot tell.
    """

    kind: Kind
    account: int
    hashes: frozenset[str] | None
    began_at: float
    ended_at: float = float("inf")
    outcome: Outcome = Outcome.UNKNOWN
    expiry_ms: int = 0
    asked: str = ""
    found: Mapping[str, int] = field(default_factory=dict)
    is_settled: bool = False

    def names(self, name: str) -> bool:
        """Whether it is about this message, too."""
        return self.hashes is None or name in self.hashes

    def end(self, outcome: Outcome, at: float) -> None:
        """It is over for its client; an unknown one never is for the others."""
        self.outcome = outcome
        if outcome is not Outcome.UNKNOWN:
            self.ended_at = at

    def __str__(self) -> str:
        names = "all" if self.hashes is None else ",".join(sorted(name[:6] for name in self.hashes))
        ended = f"{self.ended_at:.3f}"
        return (
            f"{self.began_at:.3f}-{ended} {self.kind.value} a{self.account} {names} "
            f"{self.outcome.value} {self.asked}"
        )


class History:
    """All records, in the order in which they began."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def begin(self, record: Record) -> Record:
        """One more."""
        self.records.append(record)
        return record

    def faults(self) -> Iterator[str]:
        """What no history may show; each read is held against all that was done to its account."""
        by_account: dict[int, list[Record]] = {}
        for record in self.records:
            by_account.setdefault(record.account, []).append(record)
        for records in by_account.values():
            changes = _Changes(records)
            for read in records:
                if read.kind is Kind.READ and read.outcome is Outcome.OK:
                    yield from changes.faults_of(read)


class _Changes:
    """What was done to one account."""

    def __init__(self, records: Iterable[Record]) -> None:
        done = [each for each in records if each.outcome is not Outcome.FAILED]
        self._removals = [each for each in done if each.kind is Kind.REMOVE]
        self._extensions = [each for each in done if each.kind is Kind.EXTEND and each.outcome is Outcome.OK]
        self._stores: dict[str, list[Record]] = {}
        for each in done:
            if each.kind is Kind.STORE and each.hashes:
                self._stores.setdefault(next(iter(each.hashes)), []).append(each)

    def faults_of(self, read: Record) -> Iterator[str]:
        """What this read should not have shown, or should have."""
        for name in read.found:
            if name not in self._stores or all(each.began_at > read.ended_at for each in self._stores[name]):
                yield f"made up: {name[:6]} in {read}"
        for name, stores in self._stores.items():
            if name not in read.found and self._must_be_there(name, stores, read):
                yield f"lost: {name[:6]}, stored by {stores[0]}, in {read}"
            if name in read.found:
                yield from self._faults_of_found(name, stores, read)

    def _faults_of_found(self, name: str, stores: list[Record], read: Record) -> Iterator[str]:
        removal = self._certain_removal(name, stores, read)
        if removal is not None and read.is_settled:
            yield f"came back: {name[:6]}, removed by {removal}, in {read}"
        for extension in self._extensions:
            if (
                extension.names(name)
                and extension.ended_at < read.began_at
                and any(_was_done_before(each, extension) for each in stores)
                and not any(each.names(name) for each in self._removals)
                and read.found[name] < extension.expiry_ms
            ):
                yield f"shortened: {name[:6]}, extended by {extension}, in {read}"

    def _must_be_there(self, name: str, stores: list[Record], read: Record) -> bool:
        return any(
            store.outcome is Outcome.OK
            and store.ended_at < read.began_at
            and not any(
                removal.names(name) and removal.began_at < read.ended_at and removal.ended_at > store.began_at
                for removal in self._removals
            )
            for store in stores
        )

    def _certain_removal(self, name: str, stores: list[Record], read: Record) -> Record | None:
        """One that was acknowledged before the read began, and before which each store of the message was over."""
        return next(
            (
                removal
                for removal in self._removals
                if removal.outcome is Outcome.OK
                and removal.names(name)
                and removal.ended_at < read.began_at
                and all(_was_done_before(each, removal) for each in stores)
            ),
            None,
        )


def _was_done_before(one: Record, other: Record) -> bool:
    return one.outcome is Outcome.OK and one.ended_at < other.began_at

"""The judge of histories knows each way in which a swarm could break its word."""

from __future__ import annotations

from simulations.virtual.swarm.history import History, Kind, Outcome, Record

NAME = "name"


def history(*records: Record) -> list[str]:
    """The first words of what is found."""
    judged = History()
    for record in records:
        judged.begin(record)
    return [fault.partition(":")[0] for fault in judged.faults()]


def record(
    kind: Kind, began_at: float, outcome: Outcome = Outcome.OK, *, expiry_ms: int = 0, account: int = 0
) -> Record:
    """One that lasts a second."""
    made = Record(kind, account, frozenset((NAME,)), began_at, expiry_ms=expiry_ms)
    made.end(outcome, began_at + 1)
    return made


def read(began_at: float, *names: str, expiry_ms: int = 100, is_settled: bool = False) -> Record:
    made = Record(Kind.READ, 0, None, began_at, found=dict.fromkeys(names, expiry_ms), is_settled=is_settled)
    made.end(Outcome.OK, began_at + 1)
    return made


STORED, REMOVED = record(Kind.STORE, 1), record(Kind.REMOVE, 3)


def test_what_was_acknowledged_must_be_read() -> None:
    assert ["lost"] == history(STORED, read(3))
    assert [] == history(STORED, read(3, NAME))


def test_what_nobody_was_told_of_need_not_be_read() -> None:
    assert [] == history(record(Kind.STORE, 1, Outcome.UNKNOWN), read(3))
    assert [] == history(STORED, read(1.5)), "the read began before the store was over"


def test_what_was_refused_must_not_be_read() -> None:
    assert ["made up"] == history(record(Kind.STORE, 1, Outcome.FAILED), read(3, NAME))
    assert ["made up"] == history(read(3, "other"))
    assert ["made up"] == history(record(Kind.STORE, 1, account=1), read(3, NAME))


def test_what_was_removed_must_not_be_read_once_all_agree() -> None:
    assert ["came back"] == history(STORED, REMOVED, read(5, NAME, is_settled=True))
    assert [] == history(STORED, REMOVED, read(5, NAME)), "one member may not have heard of it"
    assert [] == history(STORED, record(Kind.REMOVE, 1.5), read(5, NAME, is_settled=True)), (
        "they may have happened in either order"
    )


def test_what_was_removed_need_not_be_read() -> None:
    assert [] == history(STORED, REMOVED, read(5))
    assert [] == history(STORED, record(Kind.REMOVE, 0.5, Outcome.UNKNOWN), read(5)), "it may still happen"
    assert ["lost"] == history(record(Kind.REMOVE, 1), record(Kind.STORE, 3), read(5))


def test_an_expiry_that_was_acknowledged_holds() -> None:
    extended = record(Kind.EXTEND, 3, expiry_ms=200)

    assert ["shortened"] == history(STORED, extended, read(5, NAME, expiry_ms=199))
    assert [] == history(STORED, extended, read(5, NAME, expiry_ms=200))

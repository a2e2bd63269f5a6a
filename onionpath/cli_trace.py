"""The way that an answer came: its relays, how long each had the exchange, and how many attempts it took."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from onionpath.directory.directory import Directory


@dataclass(frozen=True, slots=True)
class TracedHop:
    """One relay.

    Args:
        relay: its identity in hex.
        address: None once the directory has it no more.
        hold_ms: how long it says that it waited for the answer, with everything behind it; None if it said nothing.
        own_ms: the same without what the next hop says. Only differences between neighbours, so a liar moves time
            to its neighbour and no further.
    """

    relay: str
    address: str | None
    hold_ms: int | None
    own_ms: int | None


@dataclass(frozen=True, slots=True)
class Trace:
    """Of one answer.

    Args:
        took_ms: from the start, with the making of a path, until the answer's head was here.
        attempts: that the connection took.
    """

    took_ms: int
    attempts: int
    hops: tuple[TracedHop, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"ms": self.took_ms, "attempts": self.attempts, "hops": [asdict(hop) for hop in self.hops]}

    def lines(self) -> Iterator[str]:
        """For people."""
        tries = "1 attempt" if self.attempts == 1 else f"{self.attempts} attempts"
        yield f"answered in {self.took_ms} ms; the connection took {tries}"
        for number, hop in enumerate(self.hops, 1):
            name = {1: "guard", len(self.hops): "exit"}.get(number, "middle")
            held = (
                "" if hop.hold_ms is None else f", held it {hop.hold_ms} ms, {hop.own_ms} ms of that itself"
            )
            yield f"  {number} {name:<6} {hop.relay[:16]} {hop.address or 'unlisted'}{held}"
        if not self.hops:
            yield "  the connection moves to another path just now"


def trace_of(journey: Mapping[str, object], directory: Directory, *, took_ms: int) -> Trace:
    """Of ``response.extensions["onionpath"]``."""
    path = cast("Sequence[str]", journey["path"])
    hold_ms = cast("Sequence[int]", journey["hold_ms"])
    # Before the first reply there are none, and while a stream moves they are of another path.
    holds: Sequence[int | None] = hold_ms if len(hold_ms) == len(path) else [None] * len(path)
    hops = tuple(
        TracedHop(relay, _address(relay, directory), held, None if held is None else held - (behind or 0))
        for relay, (held, behind) in zip(path, pairwise([*holds, 0]), strict=True)
    )
    return Trace(took_ms, cast("int", journey["attempts"]), hops)


def _address(relay: str, directory: Directory) -> str | None:
    listed = directory.relays.get(cast("Any", bytes.fromhex(relay)))
    return None if listed is None else str(listed.descriptor.addresses[0])

"""What a client must remember about its paths from one run to the next, and how two programs' memories are joined."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from onionpath.crypto.identity import RelayId
from onionpath.injected import UnixTime
from onionpath.path.bias import PathBias
from onionpath.path.guard_numbers import GUARD_NUMBERS, MIDDLE_NUMBERS
from onionpath.path.middles import Middles
from onionpath.path.sample import Guard, Sample


@dataclass(frozen=True, slots=True)
class PathMemory:
    """The guards and the sticky middles of one network, both in their order."""

    guards: Sample = ()
    middles: Middles = ()


def merge(kept: PathMemory, ours: PathMemory, *, base: PathMemory) -> PathMemory:
    """Join what another program may have written with what we know; joining again changes nothing.

    Args:
        kept: what is on disk now; its order comes first, so that programs agree on one guard.
        ours: what this program wants to write; it becomes the result if nobody else has written.
        base: what this program last read or wrote. What is in there and no longer in ours was let go.
    """
    return PathMemory(
        _merged_guards(kept.guards, ours.guards, base.guards),
        _merged_middles(kept.middles, ours.middles, base.middles),
    )


def _merged_guards(kept: Sample, ours: Sample, base: Sample) -> Sample:
    our_guards, known = _by_id(ours), _by_id(base)
    kept = tuple(
        guard
        for guard in kept
        if not _is_let_go(guard, our_guards.get(guard.relay_id), known.get(guard.relay_id))
    )
    kept_guards = _by_id(kept)
    joined = [
        _joined(guard, our_guards.get(guard.relay_id, guard), known.get(guard.relay_id)) for guard in kept
    ]
    joined += [guard for guard in ours if guard.relay_id not in kept_guards]
    places = _places(kept, ours)
    # A guard that somebody has confirmed stays ahead of those that nobody has used.
    joined.sort(key=lambda guard: (guard.confirmed_at is None, places[guard.relay_id]))
    return tuple(joined)[: GUARD_NUMBERS.max_sample]


def _is_let_go(kept: Guard, ours: Guard | None, base: Guard | None) -> bool:
    """Whether we have ended this life of a guard; that it was drawn again since makes it another one."""
    if base is None or kept.added_at > base.added_at:
        return False
    return ours is None or ours.added_at > base.added_at


def _by_id(sample: Sample) -> Mapping[RelayId, Guard]:
    return {guard.relay_id: guard for guard in sample}


def _places(kept: Sample, ours: Sample) -> Mapping[RelayId, int]:
    """Places in the order: confirmed on disk, confirmed by us, then the rest of the disk's and of ours."""
    both = (*kept, *ours)
    confirmed = [guard.relay_id for guard in both if guard.confirmed_at is not None]
    order = dict.fromkeys([*confirmed, *(guard.relay_id for guard in both)])
    return {relay_id: place for place, relay_id in enumerate(order)}


def _joined(kept: Guard, ours: Guard, base: Guard | None) -> Guard:
    """One guard as who changed it knows it; if both did, with the earliest dates, and disabled if either says so."""
    if kept == base:
        return ours
    if ours == base:
        return kept
    unlisted_since = None
    # Our directory is the newer one, since we have just come to write.
    if ours.unlisted_since is not None:
        unlisted_since = _earliest(kept.unlisted_since, ours.unlisted_since)
    return replace(
        kept,
        added_at=min(kept.added_at, ours.added_at),
        confirmed_at=_earliest(kept.confirmed_at, ours.confirmed_at),
        unlisted_since=unlisted_since,
        is_disabled=kept.is_disabled or ours.is_disabled,
        bias=_joined_bias(kept.bias, ours.bias, None if base is None else base.bias),
    )


def _earliest(one: UnixTime | None, other: UnixTime | None) -> UnixTime | None:
    return min((date for date in (one, other) if date is not None), default=None)


def _joined_bias(kept: PathBias, ours: PathBias, base: PathBias | None) -> PathBias:
    """The counters of whoever has counted since; if both have, those that rest on more and say worse."""
    if kept == base:
        return ours
    if ours == base:
        return kept
    # Sums would count twice what both have read from the file.
    return max(
        (kept, ours),
        key=lambda bias: (bias.attempts + bias.uses, bias.attempts, -bias.carried, -bias.completed),
    )


def _merged_middles(kept: Middles, ours: Middles, base: Middles) -> Middles:
    let_go = {*base} - {*ours}
    staying = tuple(middle for middle in kept if middle not in let_go)
    names = {middle.relay_id for middle in staying}
    return (*staying, *(middle for middle in ours if middle.relay_id not in names))[: MIDDLE_NUMBERS.count]

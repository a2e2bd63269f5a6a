"""What an owner knows of one namespace, member by member: what each has shown, and what it has kept to itself.

No member is believed alone. So many are read that one of them has whatever a majority acknowledged; what one shows and
another one doesn't is shown all the same, and remembered: a replica may be behind, and one that stays behind withholds.
A cursor belongs to one replica, because each keeps its own order. Spec: docs/specs/storage.md §6.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import msgspec

from onionpath.crypto.identity import RelayId
from onionpath.errors import MalformedError
from onionpath.swarm.operations import Message
from onionpath.swarm.pages import Page

# Replicas that can reach each other agree within this time, so that who lacks a message for longer hides it, or is
# cut off from the others.
CONVERGENCE_MS = 60_000
MAX_KNOWN = 50_000  # messages of one namespace that a view remembers, the ones that expire last


@dataclass(frozen=True, slots=True)
class Cursor:
    """One member's part of a view.

    Args:
        last: the hash of the latest message that it gave; the next question begins after it.
        shown: the hashes of all that it gave and that have not expired.
        asked_at_ms: when it last answered.
    """

    last: str | None = None
    shown: frozenset[str] = frozenset()
    asked_at_ms: int = 0


@dataclass(frozen=True, slots=True)
class Seen:
    """A message that some member gave: since when we know of it, and the latest end that a member gave."""

    since_ms: int
    expiry_ms: int


@dataclass(frozen=True, slots=True)
class View:
    """Everything that an owner remembers between two readings of one namespace."""

    cursors: Mapping[RelayId, Cursor] = field(default_factory=dict)
    seen: Mapping[str, Seen] = field(default_factory=dict)

    def cursor(self, member: RelayId) -> Cursor:
        """This member's, an empty one if it was never asked."""
        return self.cursors.get(member, _UNASKED)

    def new(self, page: Page, *, now_ms: int) -> tuple[Message, ...]:
        """Those messages of a page that no member has given before, and that have not expired."""
        return tuple(
            message
            for message in page.messages
            if message.hash not in self.seen and message.expiry_ms > now_ms
        )

    def after(self, member: RelayId, page: Page, *, now_ms: int) -> Self:
        """Take note of what a member has answered."""
        cursor = self.cursor(member)
        hashes = [message.hash for message in page.messages]
        last = hashes[-1] if hashes else cursor.last
        found = {message.hash: self._seen_again(message, now_ms) for message in page.messages}
        shown = Cursor(last, cursor.shown.union(hashes), now_ms)
        noted = replace(self, cursors={**self.cursors, member: shown}, seen={**self.seen, **found})
        return noted._without(noted._forgettable(now_ms))

    def without(self, hashes: Collection[str]) -> Self:
        """Forget messages that their owner has deleted."""
        return self._without(set(hashes))

    def among(self, members: Collection[RelayId]) -> Self:
        """Forget relays that have left the swarm."""
        kept = {member: cursor for member, cursor in self.cursors.items() if member in members}
        return replace(self, cursors=kept)

    def withheld(self) -> Mapping[RelayId, frozenset[str]]:
        """What members did not show when they were last asked, although others had it a minute before.

        An owner that deletes on another device makes them look so as well, until its messages would have expired.
        """
        missing = {}
        for member, cursor in self.cursors.items():
            lacking = frozenset(
                name
                for name, seen in self.seen.items()
                if name not in cursor.shown and cursor.asked_at_ms - seen.since_ms >= CONVERGENCE_MS
            )
            if lacking:
                missing[member] = lacking
        return missing

    def _seen_again(self, message: Message, now_ms: int) -> Seen:
        before = self.seen.get(message.hash, Seen(now_ms, message.expiry_ms))
        # Whoever gives a time too early would have us forget the message, and take it for new at the next member.
        return replace(before, expiry_ms=max(before.expiry_ms, message.expiry_ms))

    def _forgettable(self, now_ms: int) -> set[str]:
        gone = {name for name, seen in self.seen.items() if seen.expiry_ms <= now_ms}
        surplus = len(self.seen) - len(gone) - MAX_KNOWN
        if surplus > 0:
            left = (name for name in self.seen if name not in gone)
            gone.update(sorted(left, key=lambda name: self.seen[name].expiry_ms)[:surplus])
        return gone

    def _without(self, gone: set[str]) -> Self:
        if not gone:
            return self
        cursors = {
            member: replace(cursor, shown=cursor.shown - gone) for member, cursor in self.cursors.items()
        }
        seen = {name: each for name, each in self.seen.items() if name not in gone}
        return replace(self, cursors=cursors, seen=seen)


_UNASKED = Cursor()


# How a view is kept between two runs of a program.


class _CursorForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    last: str | None
    shown: list[str]
    asked_at_ms: int


class _ViewForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    cursors: dict[str, _CursorForm]
    seen: dict[str, tuple[int, int]]


def encode_view(view: View) -> bytes:
    """A view as JSON."""
    cursors = {
        member.hex(): _CursorForm(cursor.last, sorted(cursor.shown), cursor.asked_at_ms)
        for member, cursor in view.cursors.items()
    }
    seen = {name: (each.since_ms, each.expiry_ms) for name, each in view.seen.items()}
    return msgspec.json.encode(_ViewForm(cursors, seen))


def decode_view(data: bytes) -> View:
    """Read what ``encode_view`` wrote.

    Raises:
        MalformedError: it did not.
    """
    try:
        form = msgspec.json.decode(data, type=_ViewForm)
        cursors = {
            RelayId(bytes.fromhex(member)): Cursor(each.last, frozenset(each.shown), each.asked_at_ms)
            for member, each in form.cursors.items()
        }
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise MalformedError("this is no view of a namespace") from error
    return View(cursors, {name: Seen(*times) for name, times in form.seen.items()})


def in_order(messages: Sequence[Message]) -> tuple[Message, ...]:
    """Messages of several members in one order: by the sender's time, then by hash."""
    return tuple(sorted(messages, key=lambda message: (message.timestamp_ms, message.hash)))

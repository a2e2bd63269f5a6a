"""A swarm whose members reach each other at once: plans carried out over model stores, without loss and time."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from typing import Any

from onionpath.crypto.identity import IdentityKey, RelayId
from onionpath.onion.session_packets import SessionReply
from onionpath.swarm.forwarding import decode_forwarded, forward, plan_forwarded
from onionpath.swarm.nodes import Roster
from onionpath.swarm.operations import NewestVersion, Version, VersionFound
from onionpath.swarm.parts import Failed, Part, decode_part, encode_part
from onionpath.swarm.planning import Jurisdiction, plan
from onionpath.swarm.plans import Done, Gate, Read, Step, Write, carry_out
from tests.swarm.model_store import ModelStore
from tests.swarm.rosters import roster_of

MAX_REPLY = 10 * 1024 * 1024  # bytes


@cache
def _roster() -> Roster:
    return roster_of({1: 0})


@dataclass
class Member:
    """A relay of a swarm."""

    name: str
    store: ModelStore = field(default_factory=ModelStore)

    @property
    def key(self) -> IdentityKey:
        return IdentityKey(sha256(self.name.encode()).digest())


@dataclass
class Members:
    """The first one is asked; the others are passed its changes."""

    all: tuple[Member, ...] = tuple(Member(f"member {number}") for number in range(5))
    roster: Roster = field(default_factory=_roster)
    is_ours: bool = True

    @classmethod
    def of(cls, count: int) -> Members:
        return cls(tuple(Member(f"member {number}") for number in range(count)))

    @property
    def store(self) -> ModelStore:
        """Of the member that is asked."""
        return self.all[0].store

    def ask(self, request: object, *, now_ms: int, max_reply: int = MAX_REPLY) -> SessionReply:
        """The reply to a request, given as text or as what JSON would make of it."""
        text = request if isinstance(request, bytes) else json.dumps(request).encode()
        jurisdiction = Jurisdiction(self.roster, lambda _: self.is_ours)
        run = carry_out(plan(text, jurisdiction, now_ms=now_ms, max_reply=max_reply), max_reply=max_reply)
        try:
            steps = next(run)
            while True:
                steps = run.send(tuple(self._step(step, now_ms) for step in steps))
        except StopIteration as end:
            reply: SessionReply = end.value
            return reply

    def json(self, request: object, *, now_ms: int) -> dict[str, Any]:
        """The body of a reply that must be 200."""
        reply = self.ask(request, now_ms=now_ms)
        assert (200, True) == (reply.status, reply.is_json), reply
        return dict(json.loads(reply.body))

    def _step(self, step: Step, now_ms: int) -> SessionReply:
        if refusal := _refusal(step.gate, self.store, now_ms):
            return refusal
        if isinstance(step, Read):
            return step.reply(self.store.apply([step.question], now_ms=now_ms)[0], now_ms=now_ms)
        (newest,) = self.store.apply([NewestVersion(step.account)], now_ms=now_ms)
        assert isinstance(newest, VersionFound)
        version = Version(max(now_ms, newest.version + 1))
        parts = {RelayId(each.key.public): self._part(each, step, version, now_ms) for each in self.all}
        return step.reply(parts, is_durable=True, now_ms=now_ms)

    def _part(self, member: Member, write: Write, version: Version, now_ms: int) -> Part | Failed:
        if member is self.all[0]:
            return _carry_out(member, write, version, now_ms)
        read = decode_forwarded(forward(write, version))
        theirs = plan_forwarded(read, now_ms=now_ms)
        if isinstance(theirs, Done) or _refusal(theirs.gate, member.store, now_ms):
            return Failed.REFUSED
        part = _carry_out(member, theirs, read.version, now_ms)
        return decode_part(encode_part(part), write.request)


def _carry_out(member: Member, write: Write, version: Version, now_ms: int) -> Part | Failed:
    return write.part(member.store.apply([write.change(version)], now_ms=now_ms)[0], member.key)


def _refusal(gate: Gate | None, store: ModelStore, now_ms: int) -> SessionReply | None:
    if gate is not None and gate.refuses(store.apply([gate.question], now_ms=now_ms)[0]):
        return gate.refusal
    return None


def write_of(request: object, *, now_ms: int) -> Write:
    """The plan of a request that must be a change."""
    jurisdiction = Jurisdiction(_roster(), lambda _: True)
    write = plan(json.dumps(request).encode(), jurisdiction, now_ms=now_ms, max_reply=MAX_REPLY)
    assert isinstance(write, Write), write
    return write


def held(members: Members, *, now_ms: int) -> list[Mapping[str, object]]:
    """What each member holds of all accounts, to be compared."""
    return [
        {
            name: message
            for account in member.store.accounts
            for name, message in member.store.messages(account, now_ms=now_ms).items()
        }
        for member in members.all
    ]

"""Small swarms in virtual time of which a test says itself what goes wrong."""

from __future__ import annotations

import json
from collections.abc import Iterable
from random import Random
from typing import Any

from onionpath.onion.session_packets import SessionReply
from onionpath.swarm.arcs import WHOLE_RING
from onionpath.swarm.hashes import message_hash
from onionpath.swarm.reconciliation import Count, Counted, Key, Owed, OwedFound
from simulations.virtual.swarm.accounts import Account
from simulations.virtual.swarm.machines import Machine
from simulations.virtual.swarm.world import MAX_LEARN_S, World

TTL_MS = 24 * 3600 * 1000
HELLO = b"hello"


class Scene:
    """A swarm whose members know each other; ``one`` to ``five`` are its first members, in the order of their names."""

    def __init__(self, members: int = 5, *, spare: int = 0) -> None:
        self.world = World(Random(1), members + spare)
        self.machines = [self.world.machines[name] for name in sorted(self.world.machines)]
        for machine in self.machines:
            machine.start()
        self.account = Account(Random(2).randbytes)
        self.hello = message_hash(self.account.id, 0, HELLO)
        self.publish(self.machines[:members])

    def publish(self, storing: Iterable[Machine], *, listed: Iterable[Machine] | None = None) -> None:
        """A new document, which everybody knows, and has followed, when this returns."""
        self.announce(storing, listed=listed)
        self.wait(MAX_LEARN_S + 10.0)

    def announce(self, storing: Iterable[Machine], *, listed: Iterable[Machine] | None = None) -> None:
        """A new document, of which each relay hears at its own time."""
        names = None if listed is None else [machine.name for machine in listed]
        self.world.publish([machine.name for machine in storing], listed=names)

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.world.heap.run_until(self.world.heap.now + seconds)

    def part(self, *sides: Iterable[Machine]) -> None:
        """From now on only those on one side hear each other; whoever is on no side hears nobody."""
        groups = [{machine.name for machine in side} for side in sides]
        self.world.cut = {
            (one, other)
            for one in self.world.machines
            for other in self.world.machines
            if one != other and not any(one in group and other in group for group in groups)
        }

    def join(self) -> None:
        """All hear each other again."""
        self.world.cut = set()

    @property
    def now_ms(self) -> int:
        return int(self.world.heap.now * 1000)

    def ask(self, machine: Machine, text: bytes, *, timeout_s: float = 20.0) -> tuple[SessionReply, float]:
        """The reply, and how long it took in seconds."""
        replies: list[SessionReply] = []
        began_at = self.world.heap.now
        self.world.request(machine.name, text, replies.append)
        self.world.heap.run_until(began_at + timeout_s, unless=lambda: bool(replies))
        return replies[0], self.world.heap.now - began_at

    def store(self, machine: Machine, data: bytes = HELLO) -> SessionReply:
        return self.ask(machine, self.account.store(data, now_ms=self.now_ms, ttl_ms=TTL_MS))[0]

    def retrieve(self, machine: Machine) -> SessionReply:
        return self.ask(machine, self.account.retrieve(now_ms=self.now_ms))[0]

    def found_at(self, machine: Machine) -> dict[str, int]:
        """Expiry by hash; the member must answer."""
        reply = self.retrieve(machine)
        assert reply.status == 200, reply
        messages: list[dict[str, Any]] = json.loads(reply.body)["messages"]
        return {message["hash"]: message["expiration"] for message in messages}


def swarm_of(reply: SessionReply) -> dict[str, dict[str, Any]]:
    """The parts of the members in a reply to a change."""
    parts: dict[str, dict[str, Any]] = json.loads(reply.body)["swarm"]
    return parts


def part_of(reply: SessionReply, machine: Machine) -> dict[str, Any]:
    return swarm_of(reply)[machine.name.hex()]


def count_at(machine: Machine) -> Counted:
    """What lies in a machine's store, whoever may read it."""
    (counted,) = machine.store.apply([Count(WHOLE_RING)], now_ms=machine.now_ms)
    assert isinstance(counted, Counted)
    return counted


def owed(machine: Machine, other: Machine) -> tuple[Key, ...]:
    """What a machine has noted that another one has missed."""
    (found,) = machine.store.apply([Owed(other.name)], now_ms=machine.now_ms)
    assert isinstance(found, OwedFound)
    return found.keys

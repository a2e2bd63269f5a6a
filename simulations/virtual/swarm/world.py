"""The machines, the links between them, and the documents that say who stores what."""

from __future__ import annotations

from collections.abc import Callable, Collection
from random import Random

from onionpath.crypto.identity import IdentityKey, RelayId
from onionpath.crypto.tags import digest
from onionpath.directory.swarms import assign
from onionpath.injected import UnixTime
from onionpath.onion.session_packets import SessionReply
from onionpath.onion.statuses import Reason
from onionpath.swarm.nodes import Roster
from relay.store.replica.layout import Layout
from relay.store.replica.steps import Ask
from simulations.virtual.heap import EventHeap
from simulations.virtual.swarm.machines import Known, Machine

START = UnixTime(1_800_000_000.0)
# One way; and how long a relay may take to have a new document.
MIN_DELAY_S, MAX_DELAY_S = 0.002, 0.03
MAX_LEARN_S = 20.0


class World:
    """See above.

    Args:
        count: of machines; ``publish`` says which of them store.
    """

    def __init__(self, choice: Random, count: int) -> None:
        self.choice = choice
        self.heap = EventHeap(START)
        self.loss = 0.0  # of messages, 0 to 1
        self.cut: set[tuple[RelayId, RelayId]] = set()  # from, to
        self.unaware: set[RelayId] = set()  # who reaches no directory
        self.newest: Known | None = None
        self._assigned: dict[RelayId, int] = {}
        self._fetching: set[RelayId] = set()
        identities = [IdentityKey.generate(choice.randbytes) for _ in range(count)]
        self.machines = {each.relay_id: Machine(self, each, choice) for each in identities}

    # Documents.

    def publish(self, storing: Collection[RelayId], *, listed: Collection[RelayId] | None = None) -> Layout:
        """A new document: these relays store, those are listed; all machines if nothing is said."""
        number = self.newest.layout.number + 1 if self.newest else 1
        self._assigned = assign(self._assigned, storing, seed=digest(number.to_bytes(8, "big")))
        swarms: dict[int, tuple[RelayId, ...]] = {}
        for relay, swarm in sorted(self._assigned.items(), key=lambda item: (item[1], item[0])):
            swarms[swarm] = (*swarms.get(swarm, ()), relay)
        layout = Layout.of_swarms(number, swarms, frozenset(self.machines if listed is None else listed))
        roster = Roster((), dict.fromkeys(swarms, ()), number, bytes(32))
        self.newest = Known(layout, roster)
        for machine in self.machines.values():
            self.heap.after(self.choice.uniform(0.0, MAX_LEARN_S), self._learn, machine)
        return layout

    def fetch(self, machine: Machine) -> None:
        """A machine was told of a newer document."""
        if machine.name not in self._fetching:
            self._fetching.add(machine.name)
            self.heap.after(self.choice.uniform(0.1, 1.0), self._fetched, machine)

    def _fetched(self, machine: Machine) -> None:
        self._fetching.discard(machine.name)
        if machine.is_up:
            self._learn(machine)

    def _learn(self, machine: Machine) -> None:
        if self.newest is not None and machine.name not in self.unaware:
            machine.learn(self.newest)

    # Links.

    def ask(self, asker: Machine, ask: Ask, on_answer: Callable[[object], None]) -> None:
        """A question, which may get lost on its way there or back."""
        waiting = [ask]

        def settle(result: object) -> None:
            if waiting:
                waiting.clear()
                timer.cancel()
                on_answer(result)

        def answered(body: bytes) -> None:
            self._carry(ask.relay, asker.name, lambda: settle(body))

        def arrives() -> None:
            self.machines[ask.relay].question(asker.name, ask.body, answered)

        timer = asker.process.after(ask.timeout_s, settle, Reason.NEXT_TIMED_OUT)
        listed = self.newest.layout.listed if self.newest else frozenset()
        if asker.name in listed and ask.relay in listed:
            self._carry(asker.name, ask.relay, arrives)

    def _carry(self, source: RelayId, target: RelayId, arrives: Callable[[], object]) -> None:
        if (source, target) not in self.cut and self.choice.random() >= self.loss:
            delay_s = self.choice.uniform(MIN_DELAY_S, MAX_DELAY_S)
            self.heap.after(delay_s, self._let_in, self.machines[target], arrives)

    def _let_in(self, machine: Machine, arrives: Callable[..., object], *arguments: object) -> None:
        """A paused machine takes what has come when it goes on."""
        machine.process.after(0.0, _happen, arrives, *arguments)

    def request(self, relay: RelayId, text: bytes, on_reply: Callable[[SessionReply], None]) -> None:
        """A client's request; clients reach everybody, if the message isn't lost."""
        choice, machine = self.choice, self.machines[relay]

        def replied(reply: SessionReply) -> None:
            if choice.random() >= self.loss:
                self.heap.after(choice.uniform(MIN_DELAY_S, MAX_DELAY_S), on_reply, reply)

        if choice.random() >= self.loss:
            delay_s = choice.uniform(MIN_DELAY_S, MAX_DELAY_S)
            self.heap.after(delay_s, self._let_in, machine, machine.request, text, replied)


def _happen(action: Callable[..., object], *arguments: object) -> None:
    action(*arguments)

"""What goes wrong in a trial, drawn by its seed: one fault after the other, several at a time, each for a while."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from onionpath.crypto.identity import RelayId
from simulations.virtual.heap import Task
from simulations.virtual.swarm.machines import SLOW_COMMIT_S, USUAL_COMMIT_S, Machine
from simulations.virtual.swarm.world import World

MIN_PAUSE_S, MAX_PAUSE_S = 2.0, 15.0
MIN_LAST_S, MAX_LAST_S = 5.0, 40.0
MAX_SKEW_S = 600.0
# A swarm of five knows all that it acknowledged as long as no more than two have lost their rows.
MAX_LOST = 2
LARGEST_LOSS = 0.2
MOST_AT_ONCE = 3

Heal = Callable[[], None]


class Faults:
    """See above; ``log`` says what happened when.

    Args:
        storing: the relays that store at first.
        changes_members: whether documents change who stores.
    """

    def __init__(
        self, world: World, choice: Random, storing: list[RelayId], *, changes_members: bool
    ) -> None:
        self._world = world
        self._choice = choice
        self._storing = storing
        self._healings: dict[int, Heal] = {}
        self._count = 0
        self._lost: set[RelayId] = set()
        self._task: Task | None = None
        self._kinds: list[Callable[[], Heal | None]] = [
            self._halves,
            self._bridge,
            self._one_way,
            self._kill,
            self._kill,
            self._pause,
            self._skew,
            self._fill_disk,
            self._slow_disk,
            self._lose_messages,
            self._lose_disk,
        ]
        if changes_members:
            self._kinds += [self._change_members] * 3 + [self._hide_documents]
        self.log: list[str] = []

    def start(self) -> None:
        """Begin; until ``end``."""
        self._task = self._world.heap.spawn(self._run())

    async def _run(self) -> None:
        while True:
            await self._world.heap.sleep(self._choice.uniform(MIN_PAUSE_S, MAX_PAUSE_S))
            if len(self._healings) < MOST_AT_ONCE:
                self._begin(self._choice.choice(self._kinds))

    def end(self) -> None:
        """Heal everything, and begin nothing more."""
        if self._task is not None:
            self._task.cancel()
        for number in list(self._healings):
            self._heal(number)

    def _begin(self, kind: Callable[[], Heal | None]) -> None:
        heal = kind()
        if heal is not None:
            self._count += 1
            self._healings[self._count] = heal
            last_s = self._choice.uniform(MIN_LAST_S, MAX_LAST_S)
            self._world.heap.after(last_s, self._heal, self._count)

    def _heal(self, number: int) -> None:
        heal = self._healings.pop(number, None)
        if heal is not None:
            heal()

    def _say(self, text: str, *machines: Machine) -> None:
        names = " ".join(machine.name.hex()[:4] for machine in machines)
        self.log.append(f"{self._world.heap.now:.3f} {text} {names}")

    def _any(self) -> Machine:
        return self._world.machines[self._choice.choice(self._storing)]

    # Links.

    def _halves(self) -> Heal:
        return self._cut("halves", bridge=0)

    def _bridge(self) -> Heal:
        return self._cut("bridge", bridge=1)

    def _cut(self, text: str, *, bridge: int) -> Heal:
        names = self._choice.sample(list(self._world.machines), len(self._world.machines))
        left, right = set(names[bridge : len(names) // 2]), set(names[len(names) // 2 :])
        cut = {(one, two) for one in left for two in right} | {(two, one) for one in left for two in right}
        self._say(f"{text} {'|'.join(','.join(sorted(n.hex()[:4] for n in side)) for side in (left, right))}")
        return self._without(cut)

    def _one_way(self) -> Heal:
        deaf = self._any()
        self._say("hears nobody", deaf)
        return self._without({(other, deaf.name) for other in self._world.machines if other != deaf.name})

    def _without(self, cut: set[tuple[RelayId, RelayId]]) -> Heal:
        world, added = self._world, cut - self._world.cut
        world.cut |= added

        def heal() -> None:
            world.cut -= added
            self._say("links again")

        return heal

    def _lose_messages(self) -> Heal:
        self._world.loss = self._choice.uniform(0.0, LARGEST_LOSS)
        self._say(f"loses {self._world.loss:.2f}")

        def heal() -> None:
            self._world.loss = 0.0

        return heal

    # Machines.

    def _kill(self) -> Heal | None:
        machine = self._any()
        if not machine.is_up:
            return None
        machine.kill()
        self._say("killed", machine)

        def heal() -> None:
            machine.start()
            self._say("started", machine)

        return heal

    def _pause(self) -> Heal:
        machine = self._any()
        machine.process.pause()
        self._say("paused", machine)

        def heal() -> None:
            machine.process.resume()
            self._say("resumed", machine)

        return heal

    def _skew(self) -> Heal:
        machine = self._any()
        machine.skew_s = self._choice.uniform(-MAX_SKEW_S, MAX_SKEW_S)
        self._say(f"skewed by {machine.skew_s:.0f}", machine)

        def heal() -> None:
            machine.skew_s = 0.0

        return heal

    def _fill_disk(self) -> Heal:
        machine = self._any()
        machine.is_disk_full = True
        self._say("full", machine)

        def heal() -> None:
            machine.is_disk_full = False

        return heal

    def _slow_disk(self) -> Heal:
        machine = self._any()
        machine.slowest_s = SLOW_COMMIT_S
        self._say("slow", machine)

        def heal() -> None:
            machine.slowest_s = USUAL_COMMIT_S

        return heal

    def _lose_disk(self) -> None:
        """For good; not more at a time than the swarm survives."""
        self._lost = {relay for relay in self._lost if self._is_behind(self._world.machines[relay])}
        machine = self._any()
        if len(self._lost) < MAX_LOST and machine.is_up and machine.name not in self._lost:
            self._lost.add(machine.name)
            machine.lose_disk()
            self._say("lost its disk", machine)

    @staticmethod
    def _is_behind(machine: Machine) -> bool:
        around = machine.member.around
        return not machine.is_up or not around.is_ready or any(each.debts for each in around.duties.holdings)

    # Documents.

    def _hide_documents(self) -> Heal:
        machine = self._any()
        self._world.unaware.add(machine.name)
        self._say("reaches no directory", machine)

        def heal() -> None:
            self._world.unaware.discard(machine.name)
            self._world.fetch(machine)

        return heal

    def _change_members(self) -> None:
        """Some come, some go; whoever goes stays in the document, and hands over."""
        spare = sorted(self._world.machines.keys() - set(self._storing))
        coming = self._choice.sample(spare, min(len(spare), self._choice.randrange(3)))
        going = self._choice.sample(self._storing, self._choice.randrange(3))
        storing = sorted(({*self._storing} | {*coming}) - {*going})
        if len(storing) >= 5:
            self._storing = storing
            self._world.publish(storing)
            self._say(f"document of {len(storing)}", *(self._world.machines[each] for each in storing))

"""The virtual driver of a switch: the counterpart of ``relay.links`` on the event heap.

It carries out what the switch decides, in the same order, and cancels services at their deadlines. What the real
driver, and the processes and machines around it, do and virtual ones don't:

- TLS. The link key's hash is compared when a connection is made; the in-band proof between relays is real.
- Streams of bytes: a write arrives whole, never split or joined, and not in a buffer that is reused.
- Batches: each frame is a write of its own, where the real one joins what leaves in one turn.
- Limits of the machine: connections per address, open files and dialled links are not counted, a handshake never takes
  too long, and no disk is ever full.
- CPU time: handling a frame takes no virtual time, so overload shows in limits, not in waiting. Where a relay measures
  its own speed, it is told a number.
- Ticks every half second: a switch that has nothing under way is ticked every five, which changes only by how much
  an idle or unproven link outlives its time.
- Timers of drifting machines: a relay's run with its clock, as fast as it drifted when they were set; those of clients
  and of the authority run with true time, whatever their clocks say.
- Connections to a paused process: they fail after ten seconds, also if it goes on before; a kernel would keep them.
- The authority looks at its clock every five seconds between periods, not ten times in a second.
- Directories: in one process equal ones are one object, and above a hundred relays a node that fetches is spared the
  descriptors that another has parsed. Documents are always carried and verified.
- The exit: names are not resolved and addresses not judged; see ``exit``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from onionpath.crypto.identity import RelayId
from onionpath.injected import UnixTime
from onionpath.link.frames import CallBody
from onionpath.link.neighbour import Neighbour
from onionpath.onion.statuses import Reason
from onionpath.service.calls import Reply
from onionpath.service.registry import Registry, WithDeadline
from relay.links import TICK_EVERY_S, Answered
from relay.step import Actions, Serving
from relay.switch import Switch
from simulations.virtual.heap import EventHeap, Started, Task, Timer
from simulations.virtual.wires import End, Fabric

IDLE_TICK_EVERY_S = 5.0


class SwitchDriver:
    """One life of one switch: all its wires, and the calls that its services answer.

    Args:
        name: of the node, for wires and records.
        clock: the node's Unix time, which may be wrong.
    """

    def __init__(
        self,
        name: str,
        fabric: Fabric,
        switch: Switch,
        registry: Registry,
        *,
        clock: Callable[[], UnixTime],
    ) -> None:
        self.name = name
        self.switch = switch
        self.registry = registry
        self.closes: dict[str, int] = {}
        self.is_accepting = True
        self._fabric = fabric
        self._heap: EventHeap = fabric.heap
        self._clock = clock
        self._neighbours: Mapping[RelayId, Neighbour] = {}
        self._ends: dict[int, End] = {}
        self._paused: dict[int, list[bytes]] = {}
        self._tasks: dict[int, Task] = {}
        self._asked: dict[int, Answered] = {}
        self._next_link_id = 1
        self._is_alive = True
        self._tick_at = self._heap.now + IDLE_TICK_EVERY_S
        self._ticking: Timer = self._heap.at(self._tick_at, self._tick)

    def use_network(
        self, neighbours: Mapping[RelayId, Neighbour], key_hashes: Mapping[RelayId, bytes]
    ) -> None:
        """The relays of the newest document."""
        self._neighbours = neighbours
        self.switch.use_network(key_hashes)

    def drain(self) -> None:
        """Take nothing new and let every neighbour know."""
        self.is_accepting = False
        self._carry_out(self.switch.drain(now=self._clock()))

    def end(self) -> None:
        """The process is gone: its calls are cancelled, and the kernel closes its connections."""
        self._is_alive = False
        self._ticking.cancel()
        for task in list(self._tasks.values()):
            task.cancel()
        for end in list(self._ends.values()):
            end.close()
        self._ends.clear()
        self._asked.clear()

    # Wires come and go, and bring bytes.

    def accepted(self, end: End) -> None:
        """Somebody called us."""
        self._hold(end, None)

    def _dialled(self, peer: RelayId, end: End | None) -> None:
        if not self._is_alive:
            if end is not None:
                end.close()
        elif end is None:
            self._carry_out(self.switch.dial_failed(peer, now=self._clock()))
        else:
            self._hold(end, peer)

    def _hold(self, end: End, peer: RelayId | None) -> None:
        end.link_id, self._next_link_id = self._next_link_id, self._next_link_id + 1
        self._ends[end.link_id] = end
        address = end.other.holder.name
        self._fabric.record.linked(self._heap.now, self.name, end.link_id, address, is_ours=peer is not None)
        self._carry_out(self.switch.opened(end.link_id, now=self._clock(), peer=peer))
        if not end.is_open:
            self.closed(end)  # it broke before we knew that it stood

    def received(self, end: End, data: bytes) -> None:
        """A write arrives."""
        if self._paused and end.link_id in self._paused:
            self._paused[end.link_id].append(data)
        else:
            self._carry_out(self.switch.receive(end.link_id, data, now=self._clock()))

    def written(self, end: End, size: int) -> None:
        """The wire has taken bytes of ours."""
        self.switch.written(end.link_id, size)

    def closed(self, end: End) -> None:
        """The other side is gone, or the connection broke."""
        if self._ends.pop(end.link_id, None) is not None:
            self._paused.pop(end.link_id, None)
            self._carry_out(self.switch.closed(end.link_id, now=self._clock()))

    # Asks.

    def ask(
        self, number: int, relay_id: RelayId, call: CallBody, *, timeout_s: float, answered: Answered
    ) -> None:
        """See ``Links.ask``."""
        self._asked[number] = answered
        self._carry_out(self.switch.ask(number, relay_id, call, now=self._clock(), timeout_s=timeout_s))

    def forget_ask(self, number: int) -> None:
        """See ``Links.forget_ask``."""
        self._asked.pop(number, None)
        self.switch.forget_ask(number)

    # Actions.

    def _carry_out(self, actions: Actions) -> None:
        for link_id, data in actions.writes:
            end = self._ends.get(link_id)
            if end is not None:
                end.send(data)
        for relay_id in actions.dials:
            self._dial(relay_id)
        for serving in actions.serves:
            self._serve(serving)
        for link_id, until in actions.pauses:
            if link_id in self._ends:
                self._paused.setdefault(link_id, [])
                self._heap.after(until - self._clock(), self._resume, self._ends[link_id])
        for link_id, reason in actions.closes:
            end = self._ends.pop(link_id, None)
            if end is not None:
                self.closes[reason] = self.closes.get(reason, 0) + 1
                self._paused.pop(link_id, None)
                end.close()
        for number, result in actions.answers:
            answered = self._asked.pop(number, None)
            if answered is not None:
                answered(result)
        if self._tick_at > self._heap.now + TICK_EVERY_S and not self.switch.is_idle:
            self._tick_after(TICK_EVERY_S)

    def _dial(self, relay_id: RelayId) -> None:
        neighbour = self._neighbours.get(relay_id)
        if neighbour is None:
            self._heap.after(0.0, self._dialled, relay_id, None)
        else:
            self._fabric.call(
                self, str(neighbour), neighbour.key_hash, lambda end: self._dialled(relay_id, end)
            )

    def _resume(self, end: End) -> None:
        if end.link_id not in self._ends:
            return
        held = self._paused.pop(end.link_id, [])
        self._carry_out(self.switch.receive(end.link_id, b"", now=self._clock()))
        for data in held:
            # The first of them may pause the link once more.
            if end.link_id in self._ends:
                self.received(end, data)

    # Services: most answer at once; one that waits goes on as a task.

    def _serve(self, serving: Serving) -> None:
        started = Started(
            self.registry.answer(serving.call, from_client=serving.from_client, last_depth=serving.last_depth)
        )
        if started.has_ended:
            self._answered(serving.call_id, started.value)
            return

        async def go_on() -> None:
            self._answered(serving.call_id, await started)

        task = Task(go_on())
        self._tasks[serving.call_id] = task
        self._heap.after(serving.call.deadline - self._clock(), self._give_up, serving.call_id)
        task.step()

    def _give_up(self, call_id: int) -> None:
        task = self._tasks.get(call_id)
        if task is not None and self._is_alive:
            task.cancel()
            self._answered(call_id, Reply.refused(Reason.SERVICE_TIMED_OUT))

    def _answered(self, call_id: int, reply: Reply) -> None:
        self._tasks.pop(call_id, None)
        self._carry_out(self.switch.answered(call_id, reply, now=self._clock()))

    # Time passes.

    def _tick_after(self, seconds: float) -> None:
        self._ticking.cancel()
        self._tick_at = self._heap.now + seconds
        self._ticking = self._heap.at(self._tick_at, self._tick)

    def _tick(self) -> None:
        self._tick_after(IDLE_TICK_EVERY_S)
        self._carry_out(self.switch.tick(self._clock()))


def deadlines(heap: EventHeap) -> WithDeadline:
    """What a registry needs to cancel a service that takes too long."""

    async def with_deadline(answer: Callable[[], Awaitable[Reply]], timeout_s: float) -> Reply | None:
        started: Started[Reply] = Started(answer())  # type: ignore[arg-type]  # registries give coroutines
        if started.has_ended:
            return started.value
        try:
            return await heap.within(timeout_s, started.finish())
        except TimeoutError:
            return None

    return with_deadline

"""A relay's machine in virtual time: what the daemon builds, started, drained, killed and started again.

| verb | the process | the machine |
|---|---|---|
| ``start`` | built as in ``relay.daemon`` from what the disk holds | |
| ``drain`` | takes nothing new, finishes what is under way for ten seconds at most, then stops cleanly | |
| ``pause``, ``resume`` | does nothing, then all that it missed | connections and clocks kept |
| ``kill`` | gone at once, as by SIGKILL | disk kept, tags in mapped files kept |
| ``lose_power`` | gone at once | tags lost, another boot id |
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from onionpath.crypto.hybrid import HybridPrivateKey
from onionpath.crypto.identity import IdentityKey, RelayId
from onionpath.directory.address import Address
from onionpath.directory.descriptor import Descriptor
from onionpath.directory.trust import TrustRoot
from onionpath.injected import SteadyClock, UnixTime
from onionpath.onion.native import NativeOnion
from onionpath.onion.replay import ReplayMemory
from onionpath.service.call_memory import CallMemory
from onionpath.service.calls import Service, ServiceId
from onionpath.service.directory import DirectoryService
from onionpath.service.echo import EchoService
from onionpath.service.registry import Registry
from relay.keys import KeySchedule, PacketKeys, rotate
from relay.limits import SwitchLimits
from relay.serving import DRAIN_S, HEARD_S, LOOK_EVERY_S
from relay.switch import Switch
from simulations.virtual.chance import bytes_of, stream
from simulations.virtual.clocks import MachineClock
from simulations.virtual.disks import Disk, ReplayDisk
from simulations.virtual.driver import SwitchDriver, deadlines
from simulations.virtual.exit import Destinations, VirtualExit
from simulations.virtual.heap import EventHeap, Process, Task
from simulations.virtual.keeper import Keeper
from simulations.virtual.record import watch
from simulations.virtual.shared import SharedDirectories
from simulations.virtual.wires import Fabric, Holder

MakeService = Callable[[EventHeap], Service]


@dataclass(frozen=True, slots=True)
class World:
    """What all nodes of a network live in."""

    seed: int
    root: TrustRoot
    onion: NativeOnion
    heap: EventHeap
    fabric: Fabric
    shared: SharedDirectories
    limits: SwitchLimits
    replay_entries: int
    services: Mapping[int, MakeService]
    destinations: Destinations
    name_of: Callable[[RelayId], str]


class VirtualRelay:
    """A machine with a relay on it; made stopped.

    Args:
        name: names its streams of chance, its wires and its records.
        address: where it listens.
    """

    def __init__(self, world: World, name: str, address: Address) -> None:
        self.name, self.address = name, address
        self._world = world
        self.clock = MachineClock(world.heap)
        self._use_process()
        self._entropy = bytes_of(world.seed, name)
        parameters = world.root.parameters
        self.schedule = KeySchedule(parameters.epoch_s, parameters.slot_s)
        self.disk = Disk(
            identity=IdentityKey(self._entropy(32)),
            link_key_hash=self._entropy(32),
            replay=ReplayDisk(slot_s=parameters.slot_s, capacity=world.replay_entries),
        )
        self.steady: SteadyClock = self.clock.steady()
        self.driver: SwitchDriver | None = None
        self.keeper: Keeper | None = None
        self.exit: VirtualExit | None = None
        self.lives = 0
        self._boots = 0
        self._tasks: list[Task] = []
        world.fabric.host(str(address), self)

    # What others see of it.

    @property
    def relay_id(self) -> RelayId:
        """Its name among relays."""
        return self.disk.identity.relay_id

    @property
    def link_key_hash(self) -> bytes:
        """Of its link key, which callers expect."""
        return self.disk.link_key_hash

    @property
    def listener(self) -> Holder | None:
        """Whoever takes a connection now."""
        return self.driver if self.driver is not None and self.driver.is_accepting else None

    @property
    def is_running(self) -> bool:
        """Whether its process lives."""
        return self.driver is not None

    @property
    def switch(self) -> Switch:
        """Of this life."""
        assert self.driver is not None, f"{self.name} does not run"
        return self.driver.switch

    @property
    def counts(self) -> Mapping[str, int]:
        """The switch's counts by named reason, of this life."""
        return self.switch.statistics().counts

    def now(self) -> UnixTime:
        """What this relay takes for the time."""
        return self.steady.now()

    # Its lives.

    def start(self, *, published: bool = False) -> None:
        """Start the process from what the disk holds.

        Args:
            published: the authorities have our descriptor already, and ``disk.directory`` was verified.
        """
        assert self.driver is None, f"{self.name} runs already"
        self.lives += 1
        self._use_process()
        self.steady = self.clock.steady()
        disk, world = self.disk, self._world
        disk.replay.start(
            now=self.now(),
            keys_existed=bool(disk.packet_keys),
            boot_id=str(self._boots),
            entropy=self._entropy,
        )
        self._rotate()
        replay = ReplayMemory(disk.replay, disk.replay.tag_key, slot_s=world.root.parameters.slot_s)
        replay.advance(self.now())
        directory = DirectoryService()
        services: dict[int, Service] = {ServiceId.ECHO: EchoService(), ServiceId.DIRECTORY: directory}
        services |= {number: make(self._heap) for number, make in world.services.items()}
        if world.destinations:
            self.exit = VirtualExit(self._heap, world.destinations, look=self._look_beyond)
            services[ServiceId.STREAM] = self.exit
        self.driver = SwitchDriver(
            self.name,
            self._fabric,
            self._make_switch(replay),
            Registry(
                services,
                deadlines(self._heap),
                memory=CallMemory(self.steady.now, slot_s=world.root.parameters.slot_s),
            ),
            clock=self.steady.now,
        )
        self.keeper = self._make_keeper(self.driver, directory)
        self._note("started", outcome=disk.replay.loss.name if disk.replay.loss else "")
        if published and disk.directory is not None:
            self.keeper.use(disk.directory)
        else:
            self.keeper.load()
        self._tasks = []
        self._run(self._keep_keys(self.driver.switch, replay, self.keeper))
        self._run(self.keeper.publish_forever(published=published))
        self._run(self.keeper.fetch_forever())

    def _use_process(self) -> None:
        self._heap = Process(self._world.heap, rate=self.clock.rate)
        self._fabric = self._world.fabric.used_by(self._heap)

    def _make_switch(self, replay: ReplayMemory) -> Switch:
        world = self._world
        return Switch(
            world.onion,
            self.disk.identity,
            network_id=world.root.network_id,
            link_key_hash=self.disk.link_key_hash,
            replay=replay,
            limits=world.limits,
            entropy=self._entropy,
            watch=watch(world.fabric.record, self.name, world.heap, world.name_of),
        )

    def _make_keeper(self, driver: SwitchDriver, directory: DirectoryService) -> Keeper:
        world = self._world
        return Keeper(
            world.root,
            self.disk.identity,
            describe=self.describe,
            disk=self.disk,
            driver=driver,
            service=directory,
            fabric=self._fabric,
            shared=world.shared,
            clock=self.steady.now,
            choice=stream(world.seed, "keeper", self.name, str(self.lives)),
        )

    def _run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = Task(coroutine)
        self._tasks.append(task)
        task.step()

    async def _keep_keys(self, switch: Switch, replay: ReplayMemory, keeper: Keeper) -> None:
        while True:
            if self._rotate():
                keeper.publish_soon()
            switch.use_keys(self._keys().accepted(self.relay_id, self.now()))
            replay.advance(self.now())
            change = self.schedule.next_change(self.now())
            await self._heap.sleep(min(max(0.01, change - self.now()), self.schedule.slot_s))

    def _keys(self) -> PacketKeys:
        return PacketKeys(self.schedule, self.disk.packet_keys)

    def _rotate(self) -> bool:
        rotation = rotate(self.disk.packet_keys.keys(), self.now(), self.schedule)
        for epoch in rotation.create:
            # By epoch: another order of epochs, or a key made again, draws nothing from anything else.
            entropy = bytes_of(self._world.seed, self.name, "packet key", str(epoch))
            self.disk.packet_keys[epoch] = HybridPrivateKey.generate(entropy)
        for epoch in rotation.erase:
            del self.disk.packet_keys[epoch]
        return bool(rotation.create)

    def make_keys(self) -> None:
        """Have the packet keys on disk that the present needs, as an earlier life would have left them."""
        self.disk.replay.start(now=self.now(), keys_existed=False, boot_id="0", entropy=self._entropy)
        self._rotate()

    def describe(self) -> Descriptor:
        """Our descriptor as it is now."""
        world = self._world
        numbers = {int(ServiceId.ECHO), int(ServiceId.DIRECTORY), *world.services}
        if world.destinations:
            numbers.add(int(ServiceId.STREAM))
        return Descriptor(
            relay_id=self.relay_id,
            addresses=(self.address,),
            link_key_hash=self.link_key_hash,
            packet_keys=self._keys().published(self.now()),
            family=(),
            services=tuple(sorted(numbers)),
            exit_policy=("accept *:*",) if world.destinations else (),
            version="virtual",
            published_at=UnixTime(int(self.now())),
            network_id=world.root.network_id,
        )

    def drain(self) -> None:
        """Begin to stop cleanly; ``is_running`` says when it is done."""
        assert self.driver is not None, f"{self.name} does not run"
        self._note("draining")
        self._run(self._drain(self.driver))

    async def _drain(self, driver: SwitchDriver) -> None:
        driver.drain()
        ends_at = self._heap.now + DRAIN_S
        await self._heap.sleep(HEARD_S)
        while not driver.switch.is_idle and self._heap.now < ends_at:
            await self._heap.sleep(LOOK_EVERY_S)
        self.disk.replay.close()
        # As an event: a task cannot end itself.
        self._heap.at(self._heap.now, self._end_life, driver, "stopped")

    def pause(self) -> None:
        """SIGSTOP."""
        assert self.driver is not None, f"{self.name} does not run"
        assert not self._heap.is_paused, f"{self.name} is paused already"
        self._note("paused")
        self._heap.pause()
        self._fabric.pause(self.name)

    def resume(self) -> None:
        """SIGCONT."""
        assert self._heap.is_paused, f"{self.name} is not paused"
        self._note("resumed")
        self._heap.resume()
        self._fabric.go_on(self.name)

    def kill(self) -> None:
        """SIGKILL, also of a paused process."""
        assert self.driver is not None, f"{self.name} does not run"
        self._end_life(self.driver, "killed")

    def lose_power(self) -> None:
        """The machine stops; it has another boot id when it comes back."""
        if self.driver is not None:
            self._end_life(self.driver, "lost_power")
        self.disk.replay.lose_power()
        self._boots += 1

    def _end_life(self, driver: SwitchDriver, how: str) -> None:
        if driver is not self.driver:
            return
        self._note(how)
        if self._heap.is_paused:
            self._fabric.paused.pop(self.name)
        self.driver = self.keeper = None
        for task in self._tasks:
            task.cancel()
        driver.end()
        if self.exit is not None:
            self.exit.close()
            self.exit = None

    def _look_beyond(self, direction: str, server: str, size: int) -> None:
        ends = (self.name, server) if direction == "up" else (server, self.name)
        self._fabric.record.passed_beyond(self._heap.now, *ends, size)

    def _note(self, kind: str, *, outcome: str = "") -> None:
        self._fabric.record.note(self._heap.now, self.name, kind, outcome=outcome)

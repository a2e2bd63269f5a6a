"""``bench steps``: how long one turn of a relay's event loop lasts, which is how long everybody else waits.

Each load has a relay process of its own, whose steps are timed from when it serves until it leaves:

    honest     packets of both classes, 64 under way
    garbage    clients on 50 links send packets that don't open, beside small honest ones
    directory  a directory of 2,000 relays arrives from a mirror, beside small honest packets
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from onionpath.crypto.hybrid import HybridPrivateKey
from onionpath.crypto.identity import IdentityKey
from onionpath.directory.descriptor import PacketKey
from onionpath.directory.directory import assemble
from onionpath.directory.document import (
    NO_PREVIOUS,
    SeenDocument,
    UnverifiedDocument,
)
from onionpath.directory.parameters import Parameters
from onionpath.errors import OnionPathError, UnreachableError
from onionpath.injected import UnixTime
from onionpath.link.frames import (
    AnswerBody,
    Frame,
    Kind,
    call_capacity,
    decode_call,
    encode_answer,
    encode_frame,
)
from onionpath.onion.geometry import SizeClass
from onionpath.service.calls import Call, Reply
from onionpath.service.directory import DirectoryService, Publication
from relay.keys import KeySchedule
from relay.state_folder import DIRECTORY_NAME
from simulations.bench.flood import LIFTED, READY_S, Target, flood_forever
from simulations.bench.load import Load, Pipe
from simulations.bench.relay import RELAY_HOST, Stage

ENDS_WITHIN_S = 20.0
ARRIVES_WITHIN_S = 60.0


@dataclass(frozen=True, slots=True)
class StepsPlan:
    """Honest packets of each class, links that flood, and relays of the directory."""

    small: int = 12_000
    large: int = 2_000
    links: int = 50
    relays: int = 2_000


def bench_steps(plan: StepsPlan, *, progress: Callable[[str], None]) -> dict[str, Any]:
    """Measure; gives the JSON of ``bench steps``."""
    rows = {}
    for name, settings, load in (
        ("honest", None, _honest),
        ("garbage", LIFTED, _garbage),
        ("directory", None, _directory),
    ):
        with TemporaryDirectory(prefix="onionpath-bench-") as folder:
            stage = MeasuredStage(Path(folder), settings, relays=plan.relays if name == "directory" else 0)
            with stage.relay():
                load(stage, plan)
        rows[name] = stage.figures
        progress(
            f"{name:<9}: steps of at most {stage.figures['max_ms']} ms, p99.9 {stage.figures['p99_9_ms']} ms"
        )
    return {"bench": "steps", "loads": rows}


def _load(stage: Stage) -> Load:
    return Load((RELAY_HOST, stage.relay_port), stage.geometry, stage.next_relay)


def _honest(stage: MeasuredStage, plan: StepsPlan) -> None:
    load = _load(stage)
    for size_class, count in ((SizeClass.SMALL, plan.small), (SizeClass.LARGE, plan.large)):
        stage.next_relay.reply_class = size_class
        load.run(stage.packets(count, size_class), in_flight=64)
    load.close()


def _garbage(stage: MeasuredStage, plan: StepsPlan) -> None:
    load = _load(stage)
    load.prove(stage.caller_identity, stage.answerer)
    packets = stage.relayed_packets(plan.small)
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    target = Target.of(stage)
    flooder = context.Process(target=flood_forever, args=(target, "garbage", plan.links, ready), daemon=True)
    flooder.start()
    try:
        if not ready.wait(READY_S):
            raise UnreachableError(f"the flood did not come up in {READY_S:.0f} s")
        load.run(packets, in_flight=64)
    finally:
        flooder.kill()
        flooder.join()
    load.close()


def _directory(stage: MeasuredStage, plan: StepsPlan) -> None:
    # The keeper asks as soon as the relay runs; it gets no answer before there is load beside it.
    pipe = stage.next_relay.accept()
    load = _load(stage)
    load.run(stage.packets(64, SizeClass.SMALL), in_flight=1)
    mirror = threading.Thread(target=_serve_directory, args=(pipe, stage.arriving), daemon=True)
    mirror.start()
    deadline = time.monotonic() + ARRIVES_WITHIN_S
    while not stage.has_arrived and time.monotonic() < deadline:
        load.run(stage.packets(256, SizeClass.SMALL), in_flight=64)
    mirror.join(ENDS_WITHIN_S)
    if not stage.has_arrived:
        raise UnreachableError("the relay did not fetch the directory")
    load.run(stage.packets(256, SizeClass.SMALL), in_flight=64)
    load.close()


def _serve_directory(pipe: Pipe, arriving: DirectoryService) -> None:
    """Answer calls of one connection until its other end leaves."""
    try:
        while True:
            select.select([pipe.sock], [] if pipe.send() else [pipe.sock], [])
            for frame in pipe.receive():
                pipe.put(_answer(pipe, arriving, frame))
    except (EOFError, OSError, OnionPathError):
        pipe.sock.close()


def _answer(pipe: Pipe, arriving: DirectoryService, frame: Frame) -> bytes:
    called = decode_call(frame.body)
    capacity = call_capacity(pipe.geometry, called.reply_class)
    asked = arriving.answer(
        Call(called.service, called.body, bytes(16), capacity, 1, UnixTime(time.time() + 10))
    )
    try:
        asked.send(None)
    except StopIteration as answered:
        reply: Reply = answered.value
    else:
        raise UnreachableError("the directory service waited")
    body = encode_answer(AnswerBody(reply.status, reply.reason, reply.body))
    return encode_frame(
        pipe.geometry, Kind.ANSWER, body, size_class=called.reply_class, exchange_id=frame.exchange_id
    )


class MeasuredStage(Stage):
    """A stage whose relay times its steps.

    Args:
        relays: with some, the directory on the relay's disk is stale, and the next relay has one with so many more.
    """

    def __init__(self, folder: Path, settings: dict[str, Any] | None, *, relays: int) -> None:
        self._more = relays
        self.arriving = DirectoryService()
        self.figures: dict[str, Any] = {}
        super().__init__(folder, Parameters(), settings)

    @property
    def has_arrived(self) -> bool:
        """Whether the relay has written the larger directory to its disk."""
        return (self._state / DIRECTORY_NAME).stat().st_size > 100 * self._more

    @property
    def _state(self) -> Path:
        return self._founded.settings_file.parent / "state"

    def _snapshot(self, relays: list[tuple[IdentityKey, bytes]], now: UnixTime) -> bytes:
        if not self._more:
            return super()._snapshot(relays, now)
        number = int(now // self._parameters.period_s)
        stale = self._document(relays, number - 1, NO_PREVIOUS)
        verified = UnverifiedDocument(stale).verify(self._root, now=now, seen=None)
        everybody = relays + [self._stranger(number, now) for number in range(self._more)]
        envelope = self._document(everybody, number, verified.digest)
        newer = UnverifiedDocument(envelope).verify(self._root, now=now, seen=SeenDocument.of(verified))
        self.arriving.replace(Publication.of(assemble(newer, [each for _, each in everybody])))
        return assemble(verified, [each for _, each in relays]).encode()

    def _stranger(self, number: int, now: UnixTime) -> tuple[IdentityKey, bytes]:
        identity = IdentityKey.generate(os.urandom)
        schedule = KeySchedule(self._parameters.epoch_s, self._parameters.slot_s)
        epoch = schedule.epoch(now)
        public = HybridPrivateKey.generate(os.urandom).public
        key = PacketKey(epoch, schedule.valid_from(epoch), schedule.valid_until(epoch), public)
        host = f"10.{number // 250}.{number % 250}.1"
        return self._descriptor(identity, host, 9, os.urandom(32), (key,), now)

    @contextlib.contextmanager
    def relay(self) -> Iterator[subprocess.Popen[bytes]]:
        """The relay under test, ready; its figures are there afterwards."""
        read_end, write_end = os.pipe()
        command = [sys.executable, "-m", "simulations.bench.steps_relay", str(self._founded.settings_file)]
        process = subprocess.Popen([*command, str(write_end)], pass_fds=[write_end], stdout=subprocess.PIPE)
        os.close(write_end)
        try:
            with os.fdopen(read_end, "rb") as ready:
                if not ready.readline():
                    raise RuntimeError("the relay under test did not start")
            yield process
            process.send_signal(signal.SIGTERM)
            output, _ = process.communicate(timeout=ENDS_WITHIN_S)
            # Its last words are the figures; what it told while it ran stands before them.
            self.figures = json.loads(output.splitlines()[-1])
        finally:
            process.kill()
            process.wait()

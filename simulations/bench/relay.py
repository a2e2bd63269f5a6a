"""``bench relay``: what one relay process spends on a packet and its reply, beside the bare cryptography."""

from __future__ import annotations

import contextlib
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from onionpath.crypto.certificates import LinkCertificate, make_link_certificate
from onionpath.crypto.hybrid import HybridPrivateKey
from onionpath.crypto.identity import IdentityKey
from onionpath.directory.address import Address
from onionpath.directory.descriptor import Descriptor, PacketKey, descriptor_digest, sign_descriptor
from onionpath.directory.directory import assemble
from onionpath.directory.document import (
    NO_PREVIOUS,
    VALID_PERIODS,
    Document,
    Listing,
    UnverifiedDocument,
    sign_document,
)
from onionpath.directory.parameters import Parameters
from onionpath.directory.trust import Authority, TrustRoot
from onionpath.disk.private_files import replace_private
from onionpath.injected import UnixTime
from onionpath.link.tls import server_context
from onionpath.onion.geometry import SizeClass
from onionpath.onion.native import NativeOnion
from onionpath.onion.packets import Forward, Hop, HopKey, OnionCall, Packet
from onionpath.onion.replay import slot_at
from relay.founding import Founded, found_relay
from relay.keys import KeySchedule, PacketKeyFiles
from relay.replay_files import ReplayFiles, read_boot_id
from relay.state_folder import DIRECTORY_NAME, REPLAY_NAME
from simulations.bench.bare import bare_crypto
from simulations.bench.load import Answerer, Load, NextRelay
from simulations.bench.processes import cpu_ns, free_port, resident_bytes

RELAY_HOST = "127.201.0.1"
NEXT_HOST = "127.202.0.1"
CALLER_HOST = "127.205.0.1"
# The bench asks for more than one client should get.
LIFTED = {
    "limits.client_packets_per_second": 1e6,
    "limits.client_burst": 1e6,
    "limits.openings_per_second": 1e6,
}
IDLE_WAIT_S = 1.0
WARM_UP = 128
CALL = OnionCall(1, b"", bytes(16))
REPLAY_ENTRIES = 2**20


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement; times are microseconds of CPU."""

    size_class: str
    in_flight: int
    packets: int
    bare_crypto_us: float
    relay_us: float
    ratio: float
    packets_per_second_per_core: float


@dataclass(frozen=True, slots=True)
class Plan:
    """How many packets for each (class, in flight), and how often each measurement is repeated."""

    small: int = 3_000
    large: int = 600
    in_flight: tuple[int, ...] = (1, 8, 64)
    rounds: int = 3


def bench_relay(plan: Plan, *, progress: Callable[[str], None]) -> dict[str, Any]:
    """Measure one relay process; gives the JSON of ``bench relay``."""
    parameters = Parameters()
    with TemporaryDirectory(prefix="onionpath-bench-") as name:
        stage = Stage(Path(name), parameters)
        with stage.relay() as process:
            time.sleep(IDLE_WAIT_S)
            idle_bytes = resident_bytes(process.pid)
            load = Load((RELAY_HOST, stage.relay_port), parameters.geometry, stage.next_relay)
            load.run(stage.packets(WARM_UP, SizeClass.SMALL), in_flight=8)
            rows = []
            for size_class in SizeClass:
                for in_flight in plan.in_flight:
                    rows.append(_measure(stage, load, process.pid, size_class, in_flight, plan))
                    progress(_line(rows[-1]))
            loaded_bytes = resident_bytes(process.pid)
            load.close()
    return {
        "bench": "relay",
        "rows": [asdict(row) for row in rows],
        "idle_resident_mb": round(idle_bytes / 1e6, 1),
        "loaded_resident_mb": round(loaded_bytes / 1e6, 1),
        "rounds": plan.rounds,
    }


def _measure(stage: Stage, load: Load, pid: int, size_class: SizeClass, in_flight: int, plan: Plan) -> Row:
    count = plan.small if size_class is SizeClass.SMALL else plan.large
    count = max(WARM_UP, count // (4 if in_flight == 1 else 1))
    stage.next_relay.reply_class = size_class
    relay_us, bare_us = [], []
    for _ in range(plan.rounds):
        packets = stage.packets(count, size_class)
        floor = bare_crypto(stage.geometry, size_class, size_class, rounds=3)
        before = cpu_ns(pid)
        load.run(packets, in_flight=in_flight)
        relay_us.append((cpu_ns(pid) - before) / count / 1000)
        after = bare_crypto(stage.geometry, size_class, size_class, rounds=3)
        # The floor before and after, because the machine's speed drifts.
        bare_us.append((floor.total_us + after.total_us) / 2)
    ratios = [ours / bare for ours, bare in zip(relay_us, bare_us, strict=True)]
    ours = statistics.median(relay_us)
    return Row(
        size_class.name.lower(),
        in_flight,
        count,
        round(statistics.median(bare_us), 1),
        round(ours, 1),
        round(statistics.median(ratios), 2),
        round(1e6 / ours),
    )


def _line(row: Row) -> str:
    return (
        f"{row.size_class:<6} {row.in_flight:>3} in flight: {row.relay_us:7.1f} µs / {row.bare_crypto_us:6.1f} µs"
        f" = {row.ratio:.2f}, {row.packets_per_second_per_core} packets/s per core"
    )


class Stage:
    """A network of two: the relay under test, a real process, and the next relay, which the load generator plays."""

    def __init__(
        self, folder: Path, parameters: Parameters, settings: Mapping[str, Any] | None = None
    ) -> None:
        self._folder = folder
        self.geometry = parameters.geometry
        self._parameters = parameters
        self._authority = IdentityKey.generate(os.urandom)
        self._settings = LIFTED if settings is None else settings
        self._next_identity = IdentityKey.generate(os.urandom)
        self.caller_identity = IdentityKey.generate(os.urandom)
        self._next_key = HybridPrivateKey.generate(os.urandom)
        self._caller_key = HybridPrivateKey.generate(os.urandom)
        certificate = make_link_certificate()
        self.next_relay = NextRelay((NEXT_HOST, 0), self._context(certificate), self.geometry)
        self.relay_port = free_port(RELAY_HOST)
        self._root = TrustRoot(
            os.urandom(32),
            "bench",
            (Authority(self._authority.public, Address("127.203.0.1", 9), bytes(32)),),
            1,
            parameters,
        )
        self._founded = self._found()
        self._relay_key = self._write_directory(certificate)
        self._onion = NativeOnion(self.geometry, self._root.network_id)

    def _context(self, certificate: LinkCertificate) -> Any:
        pem, key = self._folder / "next.pem", self._folder / "next.key"
        pem.write_bytes(certificate.certificate_pem)
        key.write_bytes(certificate.key_pem)
        return server_context(pem, key)

    def _found(self) -> Founded:
        root_file = self._folder / "root.json"
        root_file.write_bytes(self._root.encode())
        values = {
            "relay.listen": (f"{RELAY_HOST}:{self.relay_port}",),
            "limits.replay_entries": REPLAY_ENTRIES,
            "log.level": "error",
        } | dict(self._settings)
        return found_relay(self._folder / "relay", values, trust_root=root_file, entropy=os.urandom)

    def _write_directory(self, next_certificate: LinkCertificate) -> PacketKey:
        """Keys and a directory as a relay that was stopped cleanly leaves them, so that no authority is needed."""
        state = self._founded.settings_file.parent / "state"
        now = UnixTime(time.time())
        ReplayFiles(
            state / REPLAY_NAME,
            now=now,
            slot_s=self._parameters.slot_s,
            keys_existed=False,
            entropy=os.urandom,
            boot_id=read_boot_id(os.urandom),
            capacity=REPLAY_ENTRIES,
        ).close()
        schedule = KeySchedule(self._parameters.epoch_s, self._parameters.slot_s)
        files = PacketKeyFiles(state, schedule, entropy=os.urandom)
        files.rotate(now)
        keys = files.keys.published(now)
        ours = self._descriptor(
            self._founded.keys.identity,
            RELAY_HOST,
            self.relay_port,
            self._founded.keys.link.key_hash,
            keys,
            now,
        )
        epoch = schedule.epoch(now)
        theirs_key = PacketKey(
            epoch, schedule.valid_from(epoch), schedule.valid_until(epoch), self._next_key.public
        )
        host, port = self.next_relay.address
        theirs = self._descriptor(
            self._next_identity, host, port, next_certificate.key_hash, (theirs_key,), now
        )
        caller_key = PacketKey(
            epoch, schedule.valid_from(epoch), schedule.valid_until(epoch), self._caller_key.public
        )
        caller = self._descriptor(self.caller_identity, CALLER_HOST, 9, bytes(32), (caller_key,), now)
        replace_private(state / DIRECTORY_NAME, self._snapshot([ours, theirs, caller], now))
        return keys[0]

    def _descriptor(
        self,
        identity: IdentityKey,
        host: str,
        port: int,
        key_hash: bytes,
        keys: tuple[PacketKey, ...],
        now: UnixTime,
    ) -> tuple[IdentityKey, bytes]:
        descriptor = Descriptor(
            relay_id=identity.relay_id,
            addresses=(Address(host, port),),
            link_key_hash=key_hash,
            packet_keys=keys,
            family=(),
            services=(1,),
            exit_policy=(),
            version="bench",
            published_at=UnixTime(int(now)),
            network_id=self._root.network_id,
        )
        return identity, sign_descriptor(descriptor, identity)

    def _snapshot(self, relays: list[tuple[IdentityKey, bytes]], now: UnixTime) -> bytes:
        envelope = self._document(relays, int(now // self._parameters.period_s), NO_PREVIOUS)
        verified = UnverifiedDocument(envelope).verify(self._root, now=now, seen=None)
        return assemble(verified, [envelope for _, envelope in relays]).encode()

    def _document(self, relays: list[tuple[IdentityKey, bytes]], number: int, previous: bytes) -> bytes:
        period_s = self._parameters.period_s
        listings = [Listing(key.relay_id, descriptor_digest(envelope), 1000) for key, envelope in relays]
        document = Document(
            network_id=self._root.network_id,
            number=number,
            previous=previous,
            valid_from=UnixTime(number * period_s),
            fresh_until=UnixTime((number + 1) * period_s),
            valid_until=UnixTime((number + VALID_PERIODS) * period_s),
            parameters=self._parameters,
            relays=tuple(sorted(listings, key=lambda listing: listing.relay_id)),
        )
        return sign_document(document, [self._authority])

    @contextlib.contextmanager
    def relay(self) -> Iterator[subprocess.Popen[bytes]]:
        """The relay under test, ready."""
        read_end, write_end = os.pipe()
        command = [sys.executable, "-m", "relay", "run", str(self._founded.settings_file)]
        process = subprocess.Popen(
            [*command, "--ready-fd", str(write_end)], pass_fds=[write_end], stdout=subprocess.DEVNULL
        )
        os.close(write_end)
        try:
            with os.fdopen(read_end, "rb") as ready:
                if not ready.readline():
                    raise RuntimeError("the relay under test did not start")
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()

    @property
    def hop(self) -> tuple[bytes, bytes, int]:
        """The relay's id, its packet key and that key's generation."""
        key = self._relay_key
        return self._founded.keys.identity.relay_id, key.public.encoded, key.generation

    @property
    def next_relay_id(self) -> bytes:
        """Of the relay that the load generator plays."""
        return self._next_identity.relay_id

    @property
    def network_id(self) -> bytes:
        """32 bytes."""
        return self._root.network_id

    @property
    def slot_s(self) -> int:
        """Length of a replay slot."""
        return self._parameters.slot_s

    @property
    def answerer(self) -> Answerer:
        """The relay under test, for one that calls it."""
        keys = self._founded.keys
        return Answerer(self._root.network_id, keys.identity.relay_id, keys.link.key_hash)

    def relayed_packets(self, count: int) -> list[Packet]:
        """Fresh small packets as the relay gets them from another relay, to be forwarded."""
        generation = self._relay_key.generation
        hops = [
            Hop(self.caller_identity.relay_id, self._caller_key.public, generation),
            Hop(self._founded.keys.identity.relay_id, self._relay_key.public, generation),
            Hop(self._next_identity.relay_id, self._next_key.public, generation),
        ]
        key = HopKey(self.caller_identity.relay_id, generation, self._caller_key)
        slot = slot_at(UnixTime(time.time()), self._parameters.slot_s)
        peeled = (
            self._onion.peel(self._onion.wrap(hops, CALL, slot=slot, entropy=os.urandom).packet, key)
            for _ in range(count)
        )
        return [one.packet for one in peeled if isinstance(one, Forward)]

    def packets(self, count: int, size_class: SizeClass) -> list[Packet]:
        """Fresh packets that the relay forwards; the layers within are real, though nobody opens them."""
        hops = [
            Hop(self._founded.keys.identity.relay_id, self._relay_key.public, self._relay_key.generation),
            Hop(self._next_identity.relay_id, self._next_key.public, self._relay_key.generation),
        ]
        call = OnionCall(1, b"", bytes(16), size_class, size_class)
        slot = slot_at(UnixTime(time.time()), self._parameters.slot_s)
        return [self._onion.wrap(hops, call, slot=slot, entropy=os.urandom).packet for _ in range(count)]

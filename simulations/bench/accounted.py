"""The flood once more, in virtual time: what a relay's budget leaves to an honest relay beside so many clients.

One switch, whose core could open exactly its budget, is driven in steps of a millisecond. An honest relay keeps 64
packets under way, and each client as many as it may; all packets are valid and answered at once. So the figures
depend on the switch's decisions alone, and on no machine.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from onionpath.crypto.hybrid import HybridPrivateKey
from onionpath.crypto.identity import IdentityKey
from onionpath.crypto.tags import TagKey
from onionpath.injected import UnixTime
from onionpath.link.frames import Frame, FrameReader, Kind, encode_frame
from onionpath.link.proof import Claim, Parties, sign_proof
from onionpath.onion.geometry import Geometry
from onionpath.onion.native import NativeOnion
from onionpath.onion.packets import Hop, HopKey, OnionCall
from onionpath.onion.replay import MemoryTables, ReplayMemory, slot_at
from onionpath.service.calls import Reply
from relay.limits import SwitchLimits
from relay.step import Actions
from relay.switch import Switch

STEP_S = 0.001
WINDOW_S = 0.25
IN_FLIGHT = 64
CALL = OnionCall(1, b"", bytes(16))
GEOMETRY = Geometry()


@dataclass(frozen=True, slots=True)
class Accounted:
    """Packets a second of the honest relay alone and beside the flood, of all together, and seconds to recover."""

    flooding_links: int
    peak_per_second: float
    honest_per_second: float
    together_per_second: float
    share_of_peak: float
    recovered_after_s: float


def account_flood(
    clients: int, *, budget: float = 600.0, flood_s: float = 3.0, recovery_s: float = 5.0
) -> Accounted:
    """Let clients that ask for all they may get beside one relay.

    Args:
        budget: openings per second of the relay that is flooded.
        recovery_s: how long to look for 95 % of the peak once the clients are gone.
    """
    scene = _Scene(budget)
    scene.run(1.0)
    peak = scene.run(1.0)[0]
    scene.join(clients)
    scene.run(1.0)
    honest, together = scene.run(flood_s)
    scene.leave()
    recovered_after_s = next(
        (
            window * WINDOW_S
            for window in range(int(recovery_s / WINDOW_S))
            if scene.run(WINDOW_S)[0] >= 0.95 * peak
        ),
        recovery_s,
    )
    return Accounted(
        clients, round(peak), round(honest), round(together), round(honest / peak, 2), recovered_after_s
    )


@dataclass(slots=True)
class _Asker:
    """The other end of one link."""

    link_id: int
    unanswered: int = 0
    answered: int = 0
    paused_until: float = 0.0


class _Scene:
    def __init__(self, budget: float) -> None:
        self._now = 1_800_000_000.0
        self._budget = budget
        identity, network_id, key_hash = IdentityKey.generate(os.urandom), os.urandom(32), os.urandom(32)
        self._onion = NativeOnion(GEOMETRY, network_id)
        self._key = HopKey(identity.relay_id, 0, HybridPrivateKey.generate(os.urandom))
        self._switch = Switch(
            self._onion,
            identity,
            network_id=network_id,
            link_key_hash=key_hash,
            replay=ReplayMemory(MemoryTables(capacity=2**15), TagKey(os.urandom(32))),
            limits=SwitchLimits(openings_per_second=budget),
            entropy=os.urandom,
        )
        self._switch.use_keys({0: self._key})
        self._order = Random(7)
        self._askers = {1: _Asker(1)}
        self._prove(identity, network_id, key_hash)

    def _prove(self, answerer: IdentityKey, network_id: bytes, key_hash: bytes) -> None:
        caller, nonce, now = IdentityKey.generate(os.urandom), os.urandom(32), UnixTime(self._now)
        self._switch.use_network({caller.relay_id: key_hash})
        self._switch.opened(1, now=now)
        claim = encode_frame(GEOMETRY, Kind.CLAIM, Claim(caller.relay_id, nonce).encode())
        ((_, challenge),) = self._switch.receive(1, claim, now=now).writes
        (frame,) = _frames(challenge)
        parties = Parties(network_id, caller.relay_id, answerer.relay_id, key_hash, nonce, bytes(frame.body))
        proof = encode_frame(GEOMETRY, Kind.PROOF, sign_proof(parties, caller))
        self._switch.receive(1, proof, now=now)
        self._switch.written(1, len(challenge))

    def join(self, clients: int) -> None:
        """So many clients connect."""
        for link_id in range(2, 2 + clients):
            self._switch.opened(link_id, now=UnixTime(self._now))
            self._askers[link_id] = _Asker(link_id)

    def leave(self) -> None:
        """They are gone."""
        for link_id in [link_id for link_id in self._askers if link_id != 1]:
            self._switch.closed(link_id, now=UnixTime(self._now))
            del self._askers[link_id]

    def run(self, seconds: float) -> tuple[float, float]:
        """Packets a second that were answered: of the relay, and of all."""
        for asker in self._askers.values():
            asker.answered = 0
        for step in range(round(seconds / STEP_S)):
            self._now += STEP_S
            if not step % 500:
                self._carry_out(self._switch.tick(UnixTime(self._now)))
            askers = list(self._askers.values())
            self._order.shuffle(askers)
            for asker in askers:
                self._ask(asker)
        together = sum(asker.answered for asker in self._askers.values())
        return self._askers[1].answered / seconds, together / seconds

    def _ask(self, asker: _Asker) -> None:
        if asker.paused_until > self._now:
            return
        resumed, asker.paused_until = bool(asker.paused_until), 0.0
        if resumed:
            self._carry_out(self._switch.receive(asker.link_id, b"", now=UnixTime(self._now)))
        # As many as were answered may follow at once; a step is long enough for no more.
        for _ in range(IN_FLIGHT - asker.unanswered):
            if asker.paused_until:
                return
            asker.unanswered += 1
            self._carry_out(self._switch.receive(asker.link_id, self._request(), now=UnixTime(self._now)))

    def _request(self) -> bytes:
        hops = [Hop(self._key.relay_id, self._key.private.public, 0)]
        slot = slot_at(UnixTime(self._now), 300)
        packet = self._onion.wrap(hops, CALL, slot=slot, entropy=os.urandom).packet
        return encode_frame(GEOMETRY, Kind.REQUEST, packet.layer, slot=slot, exchange_id=1)

    def _carry_out(self, actions: Actions) -> None:
        for link_id, until in actions.pauses:
            self._askers[link_id].paused_until = until
        for serving in actions.serves:
            self._carry_out(self._switch.answered(serving.call_id, Reply(b""), now=UnixTime(self._now)))
        for link_id, data in actions.writes:
            self._switch.written(link_id, len(data))
            asker = self._askers[link_id]
            asker.unanswered -= 1
            asker.answered += data[0] == Kind.REPLY


def _frames(data: bytes) -> Iterator[Frame]:
    reader = FrameReader(GEOMETRY)
    reader.feed(data)
    while (frame := reader.next_frame()) is not None:
        yield frame

"""Both onion formats behind one face, so that one suite can ask the same of them.

Each adapter is for paths over its own relays 0, 1, …, and adds nothing: it names what the formats call differently.
"""

from __future__ import annotations

from typing import Any, Protocol

from onionpath.crypto.identity import RelayId
from onionpath.crypto.session_channels import Cipher
from onionpath.injected import UnixTime
from onionpath.onion.geometry import MAX_HOPS
from onionpath.onion.native import NativeOnion
from onionpath.onion.packets import Forward, ReplyHead
from onionpath.onion.replay import Remembered, ReplayMemory
from onionpath.onion.session import SessionOnion
from onionpath.onion.session_packets import MAX_LAYERS, ForwardToRelay, SessionCall, SessionReply
from onionpath.onion.session_replay import remember_layer
from onionpath.onion.statuses import ReplyStatus
from tests.onion import paths, session_paths


class Format(Protocol):
    """What the suite needs of a format; packets, outcomes, keys and openers are the format's own."""

    onion: type
    longest_path: int
    longest_body: int  # bytes, on the longest path

    def wrap(self, hops: int, body: bytes, seed: int = 0) -> Any: ...

    def peel(self, packet: Any, relay: int) -> Any: ...

    def next_relay(self, peeled: Any) -> RelayId | None: ...

    def name(self, relay: int) -> RelayId: ...

    def reply(self, way: list[Any], body: bytes, seed: int = 1) -> bytes: ...

    def open_reply(self, opener: Any, reply: bytes) -> bytes: ...

    def remember(self, memory: ReplayMemory, peeled: Any, now: UnixTime) -> Remembered: ...


class NativeFormat:
    """Our own, in a network of five hops; shorter paths are asked there as well."""

    onion = NativeOnion
    longest_path = MAX_HOPS
    longest_body = 2_096

    def wrap(self, hops: int, body: bytes, seed: int = 0) -> Any:
        return paths.wrap(paths.a_call(body), hops=hops, network=MAX_HOPS, seed=seed)

    def peel(self, packet: Any, relay: int) -> Any:
        return paths.native(MAX_HOPS).peel(packet, paths.hop_key(relay))

    def next_relay(self, peeled: Any) -> RelayId | None:
        return peeled.next_relay if isinstance(peeled, Forward) else None

    def name(self, relay: int) -> RelayId:
        return paths.hop_key(relay).relay_id

    def reply(self, way: list[Any], body: bytes, seed: int = 1) -> bytes:
        keys = [each.reply_key for each in way]
        head = ReplyHead(ReplyStatus.ANSWERED)
        return paths.reply_layers(keys, head, body, network=MAX_HOPS, seed=seed)[0]

    def open_reply(self, opener: Any, reply: bytes) -> bytes:
        return paths.native(MAX_HOPS).open_reply(opener, reply).body

    def remember(self, memory: ReplayMemory, peeled: Any, now: UnixTime) -> Remembered:
        return memory.remember(paths.SLOT, peeled.seed, now=now)


class SessionFormat:
    """Session's, with one cipher for all layers; every hop passes the last one's reply back as it is."""

    onion = SessionOnion
    longest_path = MAX_LAYERS

    # Packets of 64 KiB, because the 10 MiB of the format take seconds.
    session = SessionOnion(max_size=65_536)

    def __init__(self, cipher: Cipher, *, longest_body: int) -> None:
        self.cipher = cipher
        self.longest_body = longest_body

    def wrap(self, hops: int, body: bytes, seed: int = 0) -> Any:
        hops_of = session_paths.hops_of(range(hops), self.cipher)
        return self.session.wrap(hops_of, SessionCall(body), entropy=session_paths.entropy(seed))

    def peel(self, packet: Any, relay: int) -> Any:
        return self.session.peel(packet, session_paths.hop_key(relay))

    def next_relay(self, peeled: Any) -> RelayId | None:
        return peeled.next_relay if isinstance(peeled, ForwardToRelay) else None

    def name(self, relay: int) -> RelayId:
        return session_paths.hop_key(relay).relay_id

    def reply(self, way: list[Any], body: bytes, seed: int = 1) -> bytes:
        reply = SessionReply(200, body)
        return self.session.seal_reply(way[-1].reply_key, reply, entropy=session_paths.entropy(seed))

    def open_reply(self, opener: Any, reply: bytes) -> bytes:
        return self.session.open_reply(opener, reply).body

    def remember(self, memory: ReplayMemory, peeled: Any, now: UnixTime) -> Remembered:
        return remember_layer(memory, peeled.seed, now=now)


FORMATS: dict[str, Format] = {
    "native": NativeFormat(),
    "session, xchacha20": SessionFormat(Cipher.XCHACHA20, longest_body=64_439),
    "session, aes-gcm": SessionFormat(Cipher.AES_GCM, longest_body=64_509),
}

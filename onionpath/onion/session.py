"""Session's onion requests v2: a layer for each hop, sealed with the hop's X25519 key, and one sealed reply.

Kept byte for byte where another implementation must understand us, and stricter wherever no real client notices. It
is weaker than the native format, and what uses it must say so: nothing is padded, so that the length of a layer shows
its place; the reply is sealed once, so that every hop sees the same bytes; relays keep one key for long, so that who
steals it reads what was recorded; and no time stands in a packet, so that a replay is refused only while it is
remembered. Spec: docs/specs/session-onion.md; what is weaker: §10.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from onionpath.crypto.session_channels import Cipher, LayerSecret, SessionPrivateKey, SessionPublicKey
from onionpath.errors import MalformedError, RefusedError, UsageError
from onionpath.injected import Entropy
from onionpath.onion.session_framing import MAX_FRAMING_SIZE, decode_framing, encode_framing
from onionpath.onion.session_instructions import (
    AnswerInstruction,
    Instruction,
    RelayInstruction,
    ServerInstruction,
    fields_of_instruction,
    parse_instruction,
)
from onionpath.onion.session_messages import encode_post
from onionpath.onion.session_packets import (
    MAX_LAYERS,
    ForwardToRelay,
    ForwardToServer,
    ReplyForm,
    ServerCall,
    SessionCall,
    SessionHop,
    SessionHopKey,
    SessionOpener,
    SessionPacket,
    SessionPeeled,
    SessionReply,
    SessionReplyKey,
    SessionServe,
    SessionWrapped,
)
from onionpath.onion.session_replies import decode_base64, decode_reply, encode_base64, encode_reply
from onionpath.onion.session_v4 import V4Response, encode_v4_request

PATH_TOO_LONG = "path too long"


class SessionOnion:
    """Session's format; it has no parameters of a network.

    Args:
        max_size: bytes of the longest packet that is wrapped, Session's servers' 10 MiB by default.
    """

    def __init__(self, *, max_size: int = MAX_FRAMING_SIZE) -> None:
        self.max_size = max_size

    def wrap(
        self, hops: Sequence[SessionHop], call: SessionCall | ServerCall, *, entropy: Entropy
    ) -> SessionWrapped:
        """Seal a call for the last of ``hops`` or the server behind it, in a layer for each.

        Args:
            hops: first relay first, 1 to 5, no relay twice; the server of a ``ServerCall`` counts as one of the 5.
            entropy: for each layer, the innermost first, 32 bytes and a nonce are drawn; a retry shares nothing.

        Raises:
            UsageError: too many hops, the same relay twice, or too long a call.

        Spec: docs/specs/session-onion.md §4.
        """
        _check_path(hops, call)
        packet, opener = _seal_call(hops[-1], call, entropy)
        for hop, after in reversed(list(pairwise(hops))):
            instruction = RelayInstruction(after.relay_id, packet.ephemeral, packet.cipher)
            packet, _ = _seal_layer(hop, packet.layer, instruction, entropy)
        if len(encode_post(packet)) > self.max_size:
            raise UsageError(f"a call is too long for packets of {self.max_size} bytes")
        return SessionWrapped(packet, opener)

    def peel(self, packet: SessionPacket, key: SessionHopKey) -> SessionPeeled:
        """Remove one layer and say what this relay must do with the rest.

        Before it does, the caller remembers the seed (§9): nothing else tells a replay.

        Raises:
            BadLayerError: the seal did not open. Wrong key, wrong cipher and damage look alike on purpose.
            MalformedError: it opened, and asks for nothing that we do, as a fifth layer that leads on does.
            RefusedError: more than five layers, as what stands beside the layer says.

        Spec: docs/specs/session-onion.md §4.
        """
        _check_depth(packet.depth)
        secret = key.private.secret_from(packet.ephemeral, packet.cipher)
        opened = secret.open(packet.layer)
        blob, fields = decode_framing(opened)
        match parse_instruction(fields):
            case AnswerInstruction(wants_json, wants_base64):
                form = ReplyForm.JSON if wants_json else ReplyForm.TEXT
                reply_key = SessionReplyKey(secret, form, wants_base64=wants_base64)
                return SessionServe(blob, secret.seed, reply_key)
            case RelayInstruction(next_relay, ephemeral, cipher):
                _check_leads_on(packet.depth)
                if next_relay == key.relay_id:
                    raise MalformedError("a layer leads back to the relay that opened it")
                onward = SessionPacket(ephemeral, cipher, blob, packet.depth + 1)
                return ForwardToRelay(next_relay, onward, secret.seed)
            case ServerInstruction(server):
                _check_leads_on(packet.depth)
                return ForwardToServer(server, opened, secret.seed)

    def seal_reply(
        self, key: SessionReplyKey, reply: SessionReply | V4Response, *, entropy: Entropy
    ) -> bytes:
        """Seal the one reply, in the form that the client has asked for; every hop before passes it on as it is.

        Args:
            key: consumed; a second use raises ``UsageError``.
            reply: a relay's or, under a server's key, a ``V4Response``.
            entropy: a nonce is drawn.

        Raises:
            UsageError: the reply has not the key's form; the key stays unused.

        Spec: docs/specs/session-onion.md §7.
        """
        plaintext = encode_reply(reply, key.form)
        sealed = key.use().seal(plaintext, entropy=entropy)
        return encode_base64(sealed) if key.wants_base64 else sealed

    def open_reply(self, opener: SessionOpener, reply: bytes) -> SessionReply | V4Response:
        """Open the reply of the last hop or the server; nobody else can have made it.

        Raises:
            BadLayerError: it does not open. Any hop may have damaged it or put another in its place.
            MalformedError: whoever was asked wrote something else than a reply.

        Spec: docs/specs/session-onion.md §7.
        """
        sealed = decode_base64(reply) if opener.is_base64 else reply
        return decode_reply(opener.secret.open(sealed), opener.form)


def _check_path(hops: Sequence[SessionHop], call: SessionCall | ServerCall) -> None:
    layers = len(hops) + isinstance(call, ServerCall)
    if not hops or layers > MAX_LAYERS:
        raise UsageError(f"an onion of Session has 1 to {MAX_LAYERS} layers, not {layers}")
    if len({hop.relay_id for hop in hops}) < len(hops):
        raise UsageError("a path has the same relay twice")


def _check_depth(depth: int) -> None:
    if depth >= MAX_LAYERS:
        raise RefusedError(f"an onion has more than {MAX_LAYERS} layers", reason=PATH_TOO_LONG)


def _check_leads_on(depth: int) -> None:
    # Whoever holds a layer can write any depth beside it; an answer of its own would tell him where the layer leads.
    if depth + 1 >= MAX_LAYERS:
        raise MalformedError("the last layer that an onion may have leads on")


def _seal_call(
    last: SessionHop, call: SessionCall | ServerCall, entropy: Entropy
) -> tuple[SessionPacket, SessionOpener]:
    """The layer of the last hop, with what opens the reply: to that layer, or to the server's inside of it."""
    if isinstance(call, ServerCall):
        inner, secret = _seal(call.key, call.cipher, encode_v4_request(call.request), entropy)
        instruction = ServerInstruction(call.server, inner.ephemeral, inner.cipher)
        packet, _ = _seal_layer(last, inner.layer, instruction, entropy)
        return packet, SessionOpener(secret, ReplyForm.V4, is_base64=False)
    packet, secret = _seal_layer(last, call.body, AnswerInstruction(wants_base64=call.wants_base64), entropy)
    return packet, SessionOpener(secret, ReplyForm.TEXT, is_base64=call.wants_base64)


def _seal_layer(
    hop: SessionHop, blob: bytes, instruction: Instruction, entropy: Entropy
) -> tuple[SessionPacket, LayerSecret]:
    return _seal(hop.key, hop.cipher, encode_framing(blob, fields_of_instruction(instruction)), entropy)


def _seal(
    key: SessionPublicKey, cipher: Cipher, plaintext: bytes, entropy: Entropy
) -> tuple[SessionPacket, LayerSecret]:
    """A layer under a fresh ephemeral key, as the packet that whoever opens it will receive."""
    ephemeral = SessionPrivateKey.generate(entropy)
    secret = ephemeral.secret_to(key, cipher)
    return SessionPacket(ephemeral.public, cipher, secret.seal(plaintext, entropy=entropy)), secret

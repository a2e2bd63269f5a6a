"""The far end of a request to a server: what an exit has posted, opened with the server's own key.

Spec: docs/specs/session-onion.md §7.
"""

from __future__ import annotations

from typing import NamedTuple

from onionpath.crypto.session_channels import SessionPrivateKey
from onionpath.errors import MalformedError
from onionpath.onion.session_framing import MAX_FRAMING_SIZE, decode_framing
from onionpath.onion.session_instructions import ServerInstruction, parse_instruction
from onionpath.onion.session_packets import ReplyForm, SessionReplyKey


class ServerLayer(NamedTuple):
    """An opened layer for this server; what it says is not read yet, so that a bad request can be answered sealed.

    Args:
        plaintext: for ``decode_v4_request``.
        seed: what stands for the layer in a replay memory.
        reply_key: seals the one ``V4Response``.
    """

    plaintext: bytes
    seed: bytes
    reply_key: SessionReplyKey

    def __repr__(self) -> str:
        return f"<ServerLayer {self.reply_key!r}>"


def open_posted(posted: bytes, key: SessionPrivateKey, *, max_size: int = MAX_FRAMING_SIZE) -> ServerLayer:
    """Open what an exit has posted: the layer that it opened itself, with the server's inside.

    Raises:
        BadLayerError: the seal did not open.
        MalformedError: what was posted is no such layer.
    """
    blob, fields = decode_framing(posted, max_size=max_size)
    instruction = parse_instruction(fields)
    if not isinstance(instruction, ServerInstruction):
        raise MalformedError("an exit posts only layers that name a server")
    secret = key.secret_from(instruction.ephemeral, instruction.cipher)
    reply_key = SessionReplyKey(secret, ReplyForm.V4, wants_base64=False)
    return ServerLayer(secret.open(blob), secret.seed, reply_key)

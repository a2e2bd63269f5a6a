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
from onionpath.onion.session_v4 import V4Request, decode_v4_request


class ServerRequest(NamedTuple):
    """A request for this server; its reply is a ``V4Response``, sealed with the key beside it."""

    request: V4Request
    seed: bytes
    reply_key: SessionReplyKey

    def __repr__(self) -> str:
        return f"<ServerRequest {self.reply_key!r}>"


def open_posted(posted: bytes, key: SessionPrivateKey, *, max_size: int = MAX_FRAMING_SIZE) -> ServerRequest:
    """Open what an exit has posted: the layer that it opened itself, with the server's inside.

    Raises:
        BadLayerError: the seal did not open.
        MalformedError: it opened, and is no v4 request; or what was posted is no such layer.
    """
    blob, fields = decode_framing(posted, max_size=max_size)
    instruction = parse_instruction(fields)
    if not isinstance(instruction, ServerInstruction):
        raise MalformedError("an exit posts only layers that name a server")
    secret = key.secret_from(instruction.ephemeral, instruction.cipher)
    request = decode_v4_request(secret.open(blob))
    return ServerRequest(request, secret.seed, SessionReplyKey(secret, ReplyForm.V4, wants_base64=False))

"""The plaintext of a reply, in the three forms that a client can ask for. Spec: docs/specs/session-onion.md §7."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated

import msgspec

from onionpath.errors import BadLayerError, MalformedError, UsageError
from onionpath.onion.session_fields import Form
from onionpath.onion.session_packets import ReplyForm, SessionReply
from onionpath.onion.session_v4 import V4Response, decode_v4_response, encode_v4_response


class _ReplyFields(Form, frozen=True):
    body: str
    status: Annotated[int, msgspec.Meta(ge=100, le=599)]


class _JsonReplyFields(Form, frozen=True):
    body: msgspec.Raw
    status: Annotated[int, msgspec.Meta(ge=100, le=599)]


def encode_reply(reply: SessionReply | V4Response, form: ReplyForm) -> bytes:
    """The plaintext of a reply.

    Raises:
        UsageError: a relay's reply where a server's belongs, or the other way round; or a body that is not UTF-8.
    """
    if isinstance(reply, V4Response) is not (form is ReplyForm.V4):
        raise UsageError("a server answers with a V4Response, and a relay with a SessionReply")
    if isinstance(reply, V4Response):
        return encode_v4_response(reply)
    if not 100 <= reply.status <= 599:
        raise UsageError(f"a reply's status is 100 to 599, not {reply.status}")
    if form is ReplyForm.JSON and reply.is_json:
        return msgspec.json.encode({"body": msgspec.Raw(reply.body), "status": reply.status})
    try:
        return msgspec.json.encode(_ReplyFields(reply.body.decode(), reply.status))
    except UnicodeDecodeError as error:
        raise UsageError("the body of a relay's reply is UTF-8 text") from error


def decode_reply(plaintext: bytes, form: ReplyForm) -> SessionReply | V4Response:
    """Read the plaintext of a reply.

    Raises:
        MalformedError: it has another form than was asked for.
    """
    if form is ReplyForm.V4:
        return decode_v4_response(plaintext)
    try:
        # Replies are long, and only the last hop can have written this one: the quick reader is enough for them.
        return _decode_json(plaintext) if form is ReplyForm.JSON else _decode_text(plaintext)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise MalformedError("a reply is not a body and a status") from error


def _decode_text(plaintext: bytes) -> SessionReply:
    fields = msgspec.json.decode(plaintext, type=_ReplyFields)
    return SessionReply(fields.status, fields.body.encode())


def _decode_json(plaintext: bytes) -> SessionReply:
    fields = msgspec.json.decode(plaintext, type=_JsonReplyFields)
    body = bytes(fields.body)
    if body.startswith(b'"'):
        return SessionReply(fields.status, msgspec.json.decode(body, type=str).encode())
    return SessionReply(fields.status, body, is_json=True)


def encode_base64(sealed: bytes) -> bytes:
    """Sealed bytes as text, with padding."""
    return base64.b64encode(sealed)


def decode_base64(text: bytes) -> bytes:
    """Read what ``encode_base64`` writes, and no second spelling of it.

    Raises:
        BadLayerError: it is no base64; that is damage like any other.
    """
    try:
        sealed = base64.b64decode(text)
    except (binascii.Error, ValueError) as error:
        raise BadLayerError("a reply that should be base64 is not") from error
    if base64.b64encode(sealed) != text:
        raise BadLayerError("a reply is base64 in a second spelling")
    return sealed

"""Replies of Session's format: one seal, three forms, and one spelling of each."""

from __future__ import annotations

import json

import pytest

from onionpath.errors import BadLayerError, MalformedError, UsageError
from onionpath.onion.session_packets import (
    ReplyForm,
    SessionCall,
    SessionReply,
    SessionServe,
)
from onionpath.onion.session_replies import decode_reply, encode_reply
from onionpath.onion.session_v4 import V4Response
from tests.onion.session_paths import (
    ONION,
    entropy,
    peel_fields,
    walk,
    wrap,
)

ANSWER: dict[str, object] = {"headers": ""}


def test_the_two_flags_of_a_call_choose_the_form_of_its_reply() -> None:
    for wants_json, wants_base64 in [(False, True), (True, False), (True, True), (False, False)]:
        served = peel_fields({"headers": "", "json": wants_json, "base64": wants_base64})
        assert isinstance(served, SessionServe)
        assert (ReplyForm.JSON if wants_json else ReplyForm.TEXT) is served.reply_key.form
        assert wants_base64 is served.reply_key.wants_base64


def test_a_reply_in_bytes_is_a_quarter_shorter_and_opens_as_well() -> None:
    wrapped = wrap(SessionCall(b"call", wants_base64=False), hops=2)
    serve = walk(wrapped.packet).peeled[-1]
    assert isinstance(serve, SessionServe)

    reply = ONION.seal_reply(serve.reply_key, SessionReply(421, b"wrong swarm"), entropy=entropy(1))

    assert len('{"body":"wrong swarm","status":421}') + 40 == len(reply)
    assert SessionReply(421, b"wrong swarm") == ONION.open_reply(wrapped.opener, reply)


def test_an_answer_in_json_stands_in_its_reply_as_it_is_if_the_client_wants_that() -> None:
    served = peel_fields({"headers": "", "json": True, "base64": False})
    assert isinstance(served, SessionServe)
    secret = served.reply_key._layer
    assert secret is not None

    sealed = ONION.seal_reply(served.reply_key, SessionReply(200, b'{"t":1}', True), entropy=entropy(1))

    assert {"body": {"t": 1}, "status": 200} == json.loads(secret.open(sealed))


def test_an_answer_in_json_is_a_string_for_everybody_else() -> None:
    wrapped = wrap(hops=1)
    serve = walk(wrapped.packet).peeled[-1]
    assert isinstance(serve, SessionServe)

    reply = ONION.seal_reply(serve.reply_key, SessionReply(200, b'{"t":1}', True), entropy=entropy(1))

    assert SessionReply(200, b'{"t":1}') == ONION.open_reply(wrapped.opener, reply)


@pytest.mark.parametrize(
    "reply", [SessionReply(99, b""), SessionReply(600, b""), SessionReply(200, b"\xff"), V4Response(200)]
)
def test_a_reply_that_cannot_be_written_leaves_its_key_unused(reply: SessionReply | V4Response) -> None:
    """So that a refusal is still possible."""
    served = peel_fields(ANSWER)
    assert isinstance(served, SessionServe)
    with pytest.raises(UsageError):
        ONION.seal_reply(served.reply_key, reply, entropy=entropy(1))

    assert ONION.seal_reply(served.reply_key, SessionReply(500, b""), entropy=entropy(1))


@pytest.mark.parametrize(
    "plaintext",
    [b"", b"{}", b'{"body":"x"}', b'{"status":200}', b'{"body":{},"status":200}', b'{"body":"","status":99}',
     b'{"body":"","status":"200"}', b'{"body":"","status":200,"more":1}', b'{"body":"","status":200}x',
     b'{"more":' + b"[" * 100_000],
)  # fmt: skip
def test_a_reply_of_another_form_is_refused(plaintext: bytes) -> None:
    wrapped = wrap(SessionCall(b"", wants_base64=False), hops=1)

    with pytest.raises(MalformedError):
        ONION.open_reply(wrapped.opener, wrapped.opener.secret.seal(plaintext, entropy=entropy(1)))


@pytest.mark.parametrize("how", ["with a line's end", "without padding", "after a space", "with stray bits"])
def test_a_second_spelling_of_a_replys_base64_is_refused(how: str) -> None:
    wrapped = wrap(hops=1)
    serve = walk(wrapped.packet).peeled[-1]
    assert isinstance(serve, SessionServe)
    reply = ONION.seal_reply(serve.reply_key, SessionReply(200, b"abc"), entropy=entropy(1))
    assert reply.endswith(b"==")
    # Of the last digit's six bits four belong to no byte, and a loose reader takes any.
    spellings = {
        "with a line's end": reply + b"\n",
        "without padding": reply[:-2],
        "after a space": b" " + reply,
        "with stray bits": reply[:-3] + bytes([reply[-3] + 1]) + b"==",
    }

    with pytest.raises(BadLayerError, match="base64"):
        ONION.open_reply(wrapped.opener, spellings[how])


@pytest.mark.parametrize(
    "reply",
    [
        SessionReply(200, b'{"t":1,"list":["a"]}', is_json=True),
        SessionReply(421, b"[]", is_json=True),
        SessionReply(400, 'kein Text für "alle"\n'.encode()),
        SessionReply(503, b""),
    ],
)
def test_a_reply_in_json_is_read_as_it_was_written(reply: SessionReply) -> None:
    """Storage calls over native paths are answered so."""
    assert reply == decode_reply(encode_reply(reply, ReplyForm.JSON), ReplyForm.JSON)


@pytest.mark.parametrize(
    "plaintext", [b"", b"{}", b'{"body":{}}', b'{"body":{},"status":99}', b'{"body":{,"status":200}']
)
def test_a_reply_in_json_without_body_or_status_is_refused(plaintext: bytes) -> None:
    with pytest.raises(MalformedError):
        decode_reply(plaintext, ReplyForm.JSON)

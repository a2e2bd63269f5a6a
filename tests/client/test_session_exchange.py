"""What a response to one of Session's onions proves: an answer, or a loss that names nobody."""

from __future__ import annotations

import base64

import pytest

from onionpath.client.http_exchange import HttpResponse
from onionpath.client.session_exchange import SessionAnswer, SessionExchange
from onionpath.crypto.session_channels import SessionPrivateKey
from onionpath.errors import MalformedError, UnreachableError
from onionpath.onion.session import SessionOnion
from onionpath.onion.session_packets import SessionCall, SessionHop, SessionHopKey, SessionReply, SessionServe
from onionpath.onion.session_refusals import Refusal, decide_post
from onionpath.onion.statuses import Reason
from tests.client.session_nodes import seeded
from tests.directory.networks import identity

ONION = SessionOnion()
KEY = SessionHopKey(identity("a node").relay_id, SessionPrivateKey(b"\x01" * 32))


def an_exchange() -> SessionExchange:
    hop = SessionHop(KEY.relay_id, KEY.private.public)
    return SessionExchange.begin(ONION, [hop], SessionCall(b"{}"), entropy=seeded(1))


def a_reply(exchange: SessionExchange, *, plaintext: bytes | None = None) -> bytes:
    served = decide_post(ONION, exchange.body, KEY)
    assert isinstance(served, SessionServe)
    if plaintext is None:
        return ONION.seal_reply(served.reply_key, SessionReply(421, b"elsewhere"), entropy=seeded(2))
    return base64.b64encode(served.reply_key.use().seal(plaintext, entropy=seeded(2)))


def test_a_reply_that_opens_is_the_last_hops_whatever_it_says() -> None:
    exchange = an_exchange()
    answer = exchange.judge(HttpResponse(200, a_reply(exchange)))

    assert SessionAnswer(0, SessionReply(421, b"elsewhere")) == answer
    assert (0.0, None, Reason.NONE) == (answer.held_s, answer.lying_edge, answer.reason)


@pytest.mark.parametrize("status", [200, 299, 404, 421, 502])
def test_a_loss_names_no_edge_and_may_have_been_carried_out(status: int) -> None:
    exchange = an_exchange()
    sealed = a_reply(exchange)
    body = sealed[:-4] + (b"AAA=" if sealed[-4:] != b"AAA=" else b"AAE=")

    with pytest.raises(UnreachableError) as caught:
        exchange.judge(HttpResponse(status, body))
    assert (None, True) == (caught.value.edge, caught.value.sent)


def test_a_sealed_reply_under_another_status_is_not_the_last_hops() -> None:
    """The status stands outside of the seal: who changed it may have changed more."""
    exchange = an_exchange()
    with pytest.raises(UnreachableError):
        exchange.judge(HttpResponse(500, a_reply(exchange)))


@pytest.mark.parametrize("refusal", Refusal, ids=lambda refusal: refusal.name)
def test_each_refusal_is_told_as_what_somebody_says(refusal: Refusal) -> None:
    body = refusal.text.replace("{}", KEY.relay_id.hex()).encode()
    with pytest.raises(UnreachableError, match=r"nobody can tell which: [a-z]") as caught:
        an_exchange().judge(HttpResponse(refusal.status, body))
    assert caught.value.edge is None
    # It may name a relay of the path, which belongs into no log.
    assert KEY.relay_id.hex() not in str(caught.value)


def test_text_of_a_relay_is_not_repeated() -> None:
    with pytest.raises(UnreachableError, match=r"status 500$"):
        an_exchange().judge(HttpResponse(500, b"<script>"))


@pytest.mark.parametrize("plaintext", [b"", b"[]", b'{"body":1,"status":200}', b'{"body":"","status":99}'])
def test_what_is_sealed_and_no_reply_is_the_last_hops_fault(plaintext: bytes) -> None:
    exchange = an_exchange()
    with pytest.raises(MalformedError):
        exchange.judge(HttpResponse(200, a_reply(exchange, plaintext=plaintext)))

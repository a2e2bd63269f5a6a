"""The native onion's round trips, and what its four verbs refuse of their own callers."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onionpath.errors import MalformedError, UsageError
from onionpath.onion.geometry import Geometry, SizeClass
from onionpath.onion.native import NativeOnion
from onionpath.onion.packets import Hop, OnionCall, Packet, ReplyHead
from onionpath.onion.statuses import Reason, ReplyStatus
from tests.onion.paths import (
    NETWORK_ID,
    SLOT,
    a_call,
    entropy,
    hop_key,
    hops_of,
    native,
    reply_layers,
    walk,
    wrap,
)

CLASSES = st.sampled_from(SizeClass)
SMALL, LARGE = SizeClass.SMALL, SizeClass.LARGE
ANSWERED = ReplyHead(ReplyStatus.ANSWERED)


@settings(max_examples=40)
@given(data=st.data(), hops=st.integers(2, 5), request_class=CLASSES, reply_class=CLASSES)
def test_a_call_and_its_reply_go_there_and_back(
    data: st.DataObject, hops: int, request_class: SizeClass, reply_class: SizeClass
) -> None:
    length = data.draw(st.integers(1, hops), label="length of the path")
    sizes = Geometry(hops)
    body = b"q" * data.draw(st.integers(0, sizes.request_capacity(request_class, length - 1)))
    answer_body = b"a" * data.draw(st.integers(0, sizes.reply_capacity(reply_class, length - 1)))
    call = OnionCall(data.draw(st.integers(0, 65535)), body, b"i" * 16, request_class, reply_class)

    wrapped = wrap(call, hops=length, network=hops)
    way = walk(wrapped.packet, network=hops)
    layers = reply_layers(way.reply_keys, ANSWERED, answer_body, network=hops)
    answer = native(hops).open_reply(wrapped.opener, layers[0])

    assert (call.service, body, b"i" * 16) == (way.serve.service, way.serve.body, way.serve.idempotency_key)
    assert [hop_key(each).relay_id for each in range(1, length)] == [each.next_relay for each in way.forwards]
    assert (length - 1, answer_body, ANSWERED) == (answer.hop, answer.body, answer.head)


@pytest.mark.parametrize("speaker", [0, 1, 2])
@pytest.mark.parametrize(
    ("status", "reason"),
    [(ReplyStatus.REFUSED, Reason.HOP_BUSY), (ReplyStatus.EDGE_FAILED, Reason.NEXT_TIMED_OUT)],
)
def test_a_refusal_is_opened_as_far_as_the_hop_that_spoke(
    speaker: int, status: ReplyStatus, reason: Reason
) -> None:
    wrapped = wrap()
    keys = walk(wrapped.packet).reply_keys[: speaker + 1]
    layer = reply_layers(keys, ReplyHead(status, reason, 7))[0]

    if speaker == 2 and status is ReplyStatus.EDGE_FAILED:
        with pytest.raises(MalformedError, match="after it"):
            native().open_reply(wrapped.opener, layer)
        return
    answer = native().open_reply(wrapped.opener, layer)

    assert (speaker, status, reason, b"") == (answer.hop, answer.head.status, answer.head.reason, answer.body)


@pytest.mark.parametrize("speaker", [0, 1])
def test_a_hop_cannot_answer_in_the_place_of_the_last(speaker: int) -> None:
    """Each hop holds a reply key, and would otherwise speak for the exit."""
    wrapped = wrap()
    keys = walk(wrapped.packet).reply_keys[: speaker + 1]
    layer = reply_layers(keys, ReplyHead(ReplyStatus.ANSWERED), b"forged")[0]

    with pytest.raises(MalformedError, match="not asked") as refusal:
        native().open_reply(wrapped.opener, layer)

    assert speaker == refusal.value.hop


@pytest.mark.parametrize("hops", [0, 4])
def test_a_path_of_a_length_that_the_network_does_not_have_is_the_callers_mistake(hops: int) -> None:
    with pytest.raises(UsageError):
        native(3).wrap(hops_of(range(hops)), a_call(), slot=SLOT, entropy=entropy(0))


def test_a_body_that_does_not_fit_is_the_callers_mistake() -> None:
    with pytest.raises(UsageError):
        wrap(a_call(bytes(4_529)))
    assert 4_528 == len(walk(wrap(a_call(bytes(4_528))).packet).serve.body)


@pytest.mark.parametrize("size", [0, 15, 17])
def test_an_idempotency_key_of_another_length_is_the_callers_mistake(size: int) -> None:
    with pytest.raises(UsageError):
        wrap(OnionCall(1, b"", bytes(size)))


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_network_id_of_another_length_is_the_callers_mistake(size: int) -> None:
    with pytest.raises(UsageError):
        NativeOnion(Geometry(), bytes(size))


def test_a_reply_that_does_not_fit_leaves_its_key_unused() -> None:
    """The service's answer was too long; a refusal must still be possible."""
    key = walk(wrap().packet).serve.reply_key
    with pytest.raises(UsageError):
        native().seal_reply(key, ANSWERED, bytes(8_033), entropy=entropy(0))

    assert 8192 - 16 - 96 == len(native().seal_reply(key, ANSWERED, bytes(8_032), entropy=entropy(0)))


def test_a_relayed_layer_of_another_length_is_not_sealed() -> None:
    key = walk(wrap().packet).forwards[0].reply_key
    with pytest.raises(UsageError):
        native().seal_reply(key, ReplyHead(ReplyStatus.RELAYED), bytes(8_127), entropy=entropy(0))


def test_a_reply_key_seals_once() -> None:
    key = walk(wrap().packet).serve.reply_key
    native().seal_reply(key, ANSWERED, b"first", entropy=entropy(0))

    with pytest.raises(UsageError):
        native().seal_reply(key, ANSWERED, b"second", entropy=entropy(1))
    assert "<ReplyKey spent>" == repr(key)


def test_a_hold_time_that_does_not_fit_is_the_longest() -> None:
    wrapped = wrap()
    layers = reply_layers(walk(wrapped.packet).reply_keys, ReplyHead(ReplyStatus.ANSWERED, hold_ms=2**40))

    assert (2**32 - 1,) * 3 == native().open_reply(wrapped.opener, layers[0]).hold_ms


def test_wrapping_draws_one_seed_per_hop_from_the_given_entropy() -> None:
    asked: list[int] = []

    def draw(size: int) -> bytes:
        asked.append(size)
        return bytes(size)

    native().wrap(hops_of(range(3)), a_call(), slot=SLOT, entropy=draw)

    assert [32, 32, 32] == asked


def test_a_network_with_larger_classes_pads_and_checks_all_of_them() -> None:
    """The directory allows frames of up to 16 MiB."""
    onion = NativeOnion(Geometry(2, 8192, 1_000_000), NETWORK_ID)
    call = a_call(b"body", request=LARGE, reply=LARGE)
    wrapped = onion.wrap(hops_of(range(2)), call, slot=SLOT, entropy=entropy(0))
    forward = onion.peel(wrapped.packet, hop_key(0))
    serve = onion.peel(forward.packet, hop_key(1))  # type: ignore[union-attr]

    inner = onion.seal_reply(serve.reply_key, ANSWERED, b"answer", entropy=entropy(1))
    layer = onion.seal_reply(forward.reply_key, ReplyHead(ReplyStatus.RELAYED), inner, entropy=entropy(2))

    assert b"body" == serve.body  # type: ignore[union-attr]
    assert 1_000_000 - 16 == len(layer)
    assert b"answer" == onion.open_reply(wrapped.opener, layer).body


def test_padding_beyond_the_usual_class_is_checked_too() -> None:
    onion = NativeOnion(Geometry(2, 8192, 1_000_000), NETWORK_ID)
    body = bytes(onion.geometry.request_capacity(LARGE, 0) - 1) + b"\1"
    hop = Hop(hop_key(0).relay_id, hop_key(0).private.public, 0)
    # The same bytes with a shorter length: the last byte of the padding is set.
    whole = onion.wrap([hop], a_call(body, request=LARGE), slot=SLOT, entropy=entropy(0)).packet
    info = onion._info(hop.relay_id, SLOT, 0, LARGE, 0)
    plain = bytearray(hop_key(0).private.open(whole.layer, info=info))
    plain[56:60] = bytes(4)

    with pytest.raises(MalformedError):
        onion.peel(Packet(LARGE, 0, 0, SLOT, hop.key.seal(bytes(plain), info=info)), hop_key(0))

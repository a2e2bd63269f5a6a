"""How long a layer is remembered, and what its second coming looks like."""

from __future__ import annotations

from random import Random

import pytest

from onionpath.injected import UnixTime
from onionpath.lsrpc.posted_layers import PostedLayers
from onionpath.onion.session_refusals import Refusal, Refuse, refuse
from tests.lsrpc.worlds import KEY, NOW, asked


def layers() -> PostedLayers:
    return PostedLayers(KEY, entropy=Random(1).randbytes, replay_entries=64)


@pytest.mark.parametrize("after_s", [0, 299, 300, 599])
def test_a_replay_is_refused_for_the_rest_of_its_slot_and_all_of_the_next(after_s: float) -> None:
    one = layers()
    one.open(asked().posted, now=UnixTime(NOW))

    assert refuse(Refusal.UNREADABLE) == one.open(asked().posted, now=UnixTime(NOW + after_s))


def test_afterwards_it_works_again() -> None:
    """No time stands in the format: docs/specs/session-server.md §4 tells apps of it."""
    one = layers()
    one.open(asked().posted, now=UnixTime(NOW))

    assert not isinstance(one.open(asked().posted, now=UnixTime(NOW + 600)), Refuse)


def test_a_layer_under_another_spelling_of_its_ephemeral_key_is_the_same_layer() -> None:
    one, posted = layers(), asked().posted
    key = posted.split(b'"ephemeral_key":"')[1][:64]
    one.open(posted, now=UnixTime(NOW))

    assert refuse(Refusal.UNREADABLE) == one.open(posted.replace(key, key.upper()), now=UnixTime(NOW))


def test_a_damaged_layer_does_not_use_up_the_good_one() -> None:
    one, posted = layers(), asked().posted
    one.open(posted[:9] + bytes([posted[9] ^ 1]) + posted[10:], now=UnixTime(NOW))

    assert not isinstance(one.open(posted, now=UnixTime(NOW)), Refuse)

"""What is read of a member's page: only messages that are named by their content."""

from __future__ import annotations

import json
from base64 import b64encode

import pytest

from onionpath.errors import MalformedError
from onionpath.swarm.hashes import message_hash
from onionpath.swarm.operations import AccountId
from onionpath.swarm.pages import read_page

ACCOUNT = AccountId(b"\5" + bytes(32))
NOW_MS = 1_795_318_536_524


def reply(*messages: tuple[str, bytes], more: object = False) -> bytes:
    listed = [
        {"hash": name, "timestamp": NOW_MS, "expiration": NOW_MS + 1, "data": b64encode(data).decode()}
        for name, data in messages
    ]
    return json.dumps({"messages": listed, "more": more, "t": NOW_MS, "hf": [19, 4]}).encode()


def test_a_message_with_another_hash_than_its_content_makes_is_dropped_and_counted() -> None:
    name = message_hash(ACCOUNT, 0, b"one")

    read = read_page(reply((name, b"one"), (name, b"altered"), more=1), ACCOUNT, 0)

    assert ([b"one"], True, 1) == ([each.data for each in read.messages], read.has_more, read.altered)


def test_a_message_of_another_namespace_is_dropped() -> None:
    assert 1 == read_page(reply((message_hash(ACCOUNT, 0, b"one"), b"one")), ACCOUNT, 10).altered


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b'{"messages":1}',
        b'{"messages":[{}]}',
        b'{"messages":[{"hash":"","timestamp":1,"expiration":1,"data":"!"}]}',
        bytes(11 * 2**20),
    ],
)
def test_what_is_no_page_is_refused(text: bytes) -> None:
    with pytest.raises(MalformedError):
        read_page(text, ACCOUNT, 0)

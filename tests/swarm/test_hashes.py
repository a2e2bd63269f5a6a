"""How messages are named, compared with Session's own code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onionpath.swarm.hashes import is_hash, message_hash
from onionpath.swarm.operations import AccountId

FOLDER = Path(__file__).parents[1] / "vectors" / "session"
VECTORS: list[dict[str, Any]] = json.loads((FOLDER / "message_hashes.json").read_text())["vectors"]


def test_messages_have_the_names_that_the_original_gives_them() -> None:
    ours = [
        message_hash(AccountId(bytes.fromhex(each["pubkey"])), each["namespace"], each["data_text"].encode())
        for each in VECTORS
    ]

    assert [each["hash"] for each in VECTORS] == ours


@given(st.binary(min_size=33, max_size=33), st.integers(-(2**15), 2**15 - 1), st.binary(max_size=100))
def test_every_message_has_a_name_of_the_form_that_is_asked_for(
    account: bytes, namespace: int, data: bytes
) -> None:
    assert is_hash(message_hash(AccountId(account), namespace, data))


@pytest.mark.parametrize(
    "name", ["", "a" * 42, "a" * 44, "a" * 42 + "'", "a" * 42 + "\0", "a" * 42 + "\n", "a" * 42 + "="]
)
def test_what_no_message_is_called_is_no_hash(name: str) -> None:
    assert not is_hash(name)

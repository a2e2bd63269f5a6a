"""From the key that an account signs with to the key that names it, compared with Session's own code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from onionpath.crypto.account_keys import to_x25519
from onionpath.errors import MalformedError

FOLDER = Path(__file__).parents[1] / "vectors" / "session"
ACCOUNTS: list[dict[str, Any]] = json.loads((FOLDER / "session_ids.json").read_text())["vectors"]


def test_accounts_are_named_by_the_conversion_of_their_keys() -> None:
    converted = [to_x25519(bytes.fromhex(each["ed25519_pub"])).hex() for each in ACCOUNTS]

    assert [each["x25519_pub"] for each in ACCOUNTS] == converted


@pytest.mark.parametrize(
    "key",
    [bytes(32), (1).to_bytes(32, "little"), (2**255 - 18).to_bytes(32, "little"), bytes(31), b"\xff" * 32],
    ids=["order 4", "neutral", "second spelling", "short", "no point"],
)
def test_what_is_no_key_of_large_order_is_not_converted(key: bytes) -> None:
    with pytest.raises(MalformedError):
        to_x25519(key)

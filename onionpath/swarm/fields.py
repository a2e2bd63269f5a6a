"""The fields of a storage request: each read once, by one name, and of exactly its type.

What was read is kept: a member forwards that to the others, and nothing that it has not understood.
Spec: docs/specs/storage.md §2.2.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import TypeVar

from onionpath.errors import MalformedError
from onionpath.swarm.hashes import is_hash
from onionpath.swarm.namespaces import HIGHEST, LOWEST
from onionpath.swarm.operations import AccountId

MAX_HASHES = 10_000
MAX_ECHO = 64  # characters
MAX_TOKENS = 50
TOKEN_SIZE = 36  # bytes
SIGNATURE_SIZE = 64  # bytes

# A double keeps every integer up to here, and JSON's numbers are doubles to many readers.
MAX_INTEGER = 2**53 - 1
# A time that is signed has 13 digits at most, so that its digits are no other field's (§3.5).
MAX_SIGNED_TIME_MS = 10**13 - 1
# Anything smaller was meant in seconds.
MIN_SIGNED_TIME_MS = 10**9

_ACCOUNT = re.compile(r"[0-9a-fA-F]{66}\Z")
_KEY = re.compile(r"[0-9a-fA-F]{64}\Z")
_HEX_TOKEN = re.compile(r"[0-9a-fA-F]{72}\Z")
_DECIMAL = re.compile(r"(?:0|[1-9][0-9]{0,15})\Z")

T = TypeVar("T")


class BadRequestError(MalformedError):
    """A request that cannot be read; its text is the reply."""


def refuse_request(why: str) -> BadRequestError:
    """The error for a request whose envelope is sound and whose fields are not."""
    return BadRequestError(f"invalid request: {why}")


class Fields:
    """The fields of one request, and which of them were read.

    Every method returns None for a field that is missing or null, and raises BadRequestError for one that is wrong.
    """

    def __init__(self, params: Mapping[str, object]) -> None:
        self._params = params
        self.taken: dict[str, object] = {}

    def get(self, *names: str) -> object:
        """The field that has one of these names."""
        given = [name for name in names if self._params.get(name) is not None]
        if len(given) > 1:
            raise refuse_request(f"Cannot specify both '{given[0]}' and '{given[1]}'")
        if not given:
            return None
        value = self.taken[given[0]] = self._params[given[0]]
        return value

    def integer(self, name: str, low: int, high: int) -> int | None:
        """An integer from ``low`` to ``high``."""
        value = self.get(name)
        if value is None:
            return None
        # A bool is an int to Python.
        if not isinstance(value, int) or isinstance(value, bool):
            raise _wrong(name, "expected integer")
        if not low <= value <= high:
            raise _wrong(name, "value out of range")
        return value

    def integer_or_decimal(self, name: str) -> int | None:
        """An integer from 0 on, or its decimal text."""
        value = self.get(name)
        if not isinstance(value, str):
            return self.integer(name, 0, MAX_INTEGER)
        if not _DECIMAL.match(value) or int(value) > MAX_INTEGER:
            raise _wrong(name, "expected integer")
        return int(value)

    def signed_time_ms(self, name: str, *, low: int = MIN_SIGNED_TIME_MS) -> int | None:
        """A time that the signature covers."""
        return self.integer(name, low, MAX_SIGNED_TIME_MS)

    def flag(self, name: str) -> bool:
        """A boolean; False if missing."""
        value = self.get(name)
        if value is not None and not isinstance(value, bool):
            raise _wrong(name, "expected boolean")
        return bool(value)

    def text(self, *names: str) -> str | None:
        """Text."""
        value = self.get(*names)
        if value is not None and not isinstance(value, str):
            raise _wrong(names[0], "expected string")
        return value

    def account(self, *, or_alias: bool = False) -> AccountId:
        """Whose storage the request is about; ``pubKey`` says it too where an alias is allowed."""
        if not or_alias and self._params.get("pubKey") is not None:
            raise refuse_request("pubKey is no field of this method")
        text = required(self.text("pubkey", *(("pubKey",) if or_alias else ())), "pubkey")
        if not _ACCOUNT.match(text):
            raise refuse_request("Pubkey must be 66 hex digits (33 bytes) long")
        return AccountId(bytes.fromhex(text))

    def namespace(self) -> int:
        """0 if missing."""
        return self.integer("namespace", LOWEST, HIGHEST) or 0

    def namespace_or_all(self) -> int | None:
        """0 if missing, None for all."""
        if self.get("namespace") == "all":
            return None
        return self.namespace()

    def last_hash(self) -> str | None:
        """A hash under either of its names; an empty one counts as missing."""
        text = self.text("last_hash", "lastHash")
        if text and not is_hash(text):
            raise refuse_request("Invalid last_hash: expected base64 (43 chars)")
        return text or None

    def hashes(self) -> tuple[str, ...]:
        """One hash or up to 10,000."""
        texts = self._texts("messages", MAX_HASHES)
        if not all(map(is_hash, texts)):
            raise refuse_request("invalid message hash")
        return texts

    def signed_times_ms(self, name: str) -> tuple[int, ...]:
        """One time or up to 10,000."""
        value = required(self.get(name), name)
        times = value if isinstance(value, list) else [value]
        if not 1 <= len(times) <= MAX_HASHES:
            raise refuse_request(f"'{name}' does not contain 1 to {MAX_HASHES} timestamps")
        # Each is held to the rules of a field that stands alone.
        return tuple(required(Fields({name: time}).signed_time_ms(name), name) for time in times)

    def tokens(self, name: str) -> tuple[bytes, ...]:
        """One token of a subaccount or up to 50."""
        return tuple(_token(text, name) for text in self._texts(name, MAX_TOKENS))

    def token(self, name: str) -> bytes | None:
        """A token; empty text counts as missing."""
        text = self.text(name)
        return _token(text, name) if text else None

    def signature(self, name: str) -> bytes | None:
        """64 bytes."""
        text = self.text(name)
        if text is None:
            return None
        signature = decode_base64(text, name) if len(text) <= 88 else b""
        if len(signature) != SIGNATURE_SIZE:
            raise refuse_request(f"invalid {name}: expected base64 encoded Ed25519 signature")
        return signature

    def signing_key(self, account: AccountId) -> bytes | None:
        """The Ed25519 key of a person's account, 32 bytes; whether it is one is judged later."""
        text = self.text("pubkey_ed25519")
        if text is None:
            return None
        if account[0] != 5:
            raise refuse_request("pubkey_ed25519 is only permitted for 05[...] pubkeys")
        if not _KEY.match(text):
            raise refuse_request("Invalid pubkey_ed25519: expected 64 hex char")
        return bytes.fromhex(text)

    def _texts(self, name: str, most: int) -> tuple[str, ...]:
        value = required(self.get(name), name)
        texts = value if isinstance(value, list) else [value]
        if not all(isinstance(text, str) for text in texts):
            raise _wrong(name, "expected string array")
        if not 1 <= len(texts) <= most:
            raise refuse_request(f"{name} does not contain 1 to {most} entries")
        return tuple(texts)


def required(value: T | None, name: str) -> T:
    """The value, which must be there.

    Raises:
        BadRequestError: it is not.
    """
    if value is None:
        raise refuse_request(f"Required field '{name}' missing")
    return value


def decode_base64(text: str, name: str) -> bytes:
    """Bytes from base64 with all of its padding or none; every value has one spelling of either kind.

    Raises:
        BadRequestError: it isn't base64, or has bits that no byte needs.
    """
    bare = text.rstrip("=")
    padded = bare + "=" * (-len(bare) % 4)
    try:
        decoded = b64decode(padded, validate=True)
    except ValueError:
        decoded = None
    if decoded is None or text not in (bare, padded) or b64encode(decoded).decode() != padded:
        raise refuse_request(f"Invalid '{name}' value: not base64 encoded")
    return decoded


def _token(text: str, name: str) -> bytes:
    if _HEX_TOKEN.match(text):
        return bytes.fromhex(text)
    if len(text) != TOKEN_SIZE * 4 // 3:
        raise refuse_request(f"invalid {name}: expected base64 or hex-encoded subaccount token")
    return decode_base64(text, name)


def _wrong(name: str, expected: str) -> BadRequestError:
    return refuse_request(f"Invalid value given for '{name}': {expected}")


def echoed(name: object) -> str:
    """A name from a request, if it is short and plain enough to stand in a text that answers it; or nothing."""
    is_plain = isinstance(name, str) and len(name) <= MAX_ECHO and name.isascii() and name.isprintable()
    return str(name) if is_plain else ""

"""Whoever owns an account, and signs for it. Spec: docs/specs/storage.md §1.2, §3."""

from __future__ import annotations

from onionpath.crypto.account_keys import to_x25519
from onionpath.crypto.identity import IdentityKey
from onionpath.errors import UsageError
from onionpath.injected import Entropy
from onionpath.swarm.operations import AccountId
from onionpath.swarm.requests import Credentials

PERSON = 0x05
GROUP = 0x03


class Owner:
    """An account's long-term key.

    Args:
        key: Ed25519; whoever has it reads and deletes what is stored for the account.
        prefix: 05, under which the account is named by the key's conversion to X25519; or another, such as 03 for
            groups, under which it is named by the key itself.

    Raises:
        UsageError: the prefix is no byte.
    """

    __slots__ = ("_key", "account")

    def __init__(self, key: IdentityKey, *, prefix: int = PERSON) -> None:
        if not 0 <= prefix <= 255:
            raise UsageError("an account's prefix is a byte")
        self._key = key
        named = to_x25519(key.public) if prefix == PERSON else key.public
        self.account = AccountId(bytes([prefix]) + named)

    @classmethod
    def generate(cls, entropy: Entropy, *, prefix: int = PERSON) -> Owner:
        """A new account from 32 unpredictable bytes, which nobody registers."""
        return cls(IdentityKey.generate(entropy), prefix=prefix)

    def sign(self, signed: bytes) -> Credentials:
        """Credentials for a request whose signature covers this text."""
        signing_key = self._key.public if self.account[0] == PERSON else None
        return Credentials(self._key.sign(signed), signing_key)

    def __repr__(self) -> str:
        return "<Owner>"

"""Whom a link is made to. Which of a relay's addresses is dialled is decided here and nowhere else."""

from __future__ import annotations

from typing import NamedTuple, Self

from onionpath.directory.address import Address
from onionpath.directory.descriptor import Descriptor
from onionpath.directory.trust import Authority


class Neighbour(NamedTuple):
    """Where a relay or an authority listens, and the hash of its link key."""

    host: str
    port: int
    key_hash: bytes

    @classmethod
    def of_relay(cls, descriptor: Descriptor) -> Self:
        """A relay at the first of its addresses: each was reachable when the authorities listed it."""
        return cls.at(descriptor.addresses[0], descriptor.link_key_hash)

    @classmethod
    def of_authority(cls, authority: Authority) -> Self:
        """An authority as the trust root describes it."""
        return cls.at(authority.address, authority.link_key_hash)

    @classmethod
    def at(cls, address: Address, key_hash: bytes) -> Self:
        """Whoever holds this link key at this address."""
        return cls(address.host, address.port, key_hash)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

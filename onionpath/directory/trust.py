"""The trust root: whose signatures make a document valid in one network.

Its authorities may change by a succession (``succession``), which makes the next version of it.
Spec: docs/specs/directory.md §4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from onionpath.crypto.certificates import HASH_SIZE
from onionpath.crypto.identity import parse_public_key
from onionpath.crypto.tags import digest
from onionpath.directory.address import Address, AddressForm
from onionpath.directory.canonical import (
    Count,
    Form,
    check_text,
    decode_canonical,
    encode_canonical,
    without_white_space,
)
from onionpath.directory.descriptor import NETWORK_ID_SIZE
from onionpath.directory.parameters import Parameters, ParametersForm
from onionpath.errors import MalformedError

MAX_AUTHORITIES = 32
MAX_ROOT_SIZE = 64 * 1024
# So that the chain of successions has a bound: with one a year it serves longer than any key should.
MAX_VERSION = 64


@dataclass(frozen=True, slots=True)
class Authority:
    """One signer: its Ed25519 public key (32 bytes), where it answers, and the hash of its link key."""

    identity: bytes
    address: Address
    link_key_hash: bytes

    def __post_init__(self) -> None:
        parse_public_key(self.identity)
        if len(self.link_key_hash) != HASH_SIZE:
            raise MalformedError(f"a link key hash has {HASH_SIZE} bytes, not {len(self.link_key_hash)}")


@dataclass(frozen=True, slots=True)
class TrustRoot:
    """A network's id (32 bytes) and name, its authorities, how many of them must sign, and its parameters.

    Args:
        version: 1 in a new network, and one more with each succession.

    Raises:
        MalformedError: two authorities share something, or the threshold is no majority of them.
    """

    network_id: bytes
    name: str
    authorities: tuple[Authority, ...]
    threshold: int
    parameters: Parameters = field(default_factory=Parameters)
    version: int = 1

    def __post_init__(self) -> None:
        count = len(self.authorities)
        if len(self.network_id) != NETWORK_ID_SIZE:
            raise MalformedError(f"a network id has {NETWORK_ID_SIZE} bytes, not {len(self.network_id)}")
        check_text(self.name, what="a network's name", longest=64)
        if not 1 <= count <= MAX_AUTHORITIES:
            raise MalformedError(f"a trust root has 1 to {MAX_AUTHORITIES} authorities, not {count}")
        if not 1 <= self.version <= MAX_VERSION:
            raise MalformedError(f"a trust root has a version of 1 to {MAX_VERSION}, not {self.version}")
        # With half of them or fewer, two disjoint sets of authorities could sign two truths.
        if not count < 2 * self.threshold <= 2 * count:
            raise MalformedError(f"the threshold {self.threshold} is not a majority of {count} authorities")
        _check_distinct([authority.identity for authority in self.authorities], "identity")
        _check_distinct([authority.address for authority in self.authorities], "address")
        _check_distinct([authority.link_key_hash for authority in self.authorities], "link key")

    @property
    def signers(self) -> frozenset[bytes]:
        """The public keys whose signatures count."""
        return frozenset(authority.identity for authority in self.authorities)

    @property
    def digest(self) -> bytes:
        """The 32 bytes by which a succession names this version."""
        return digest(encode_canonical(RootForm.of(self)))

    def encode(self) -> bytes:
        """The content of a trust root's file: JSON, laid out for people."""
        return msgspec.json.format(encode_canonical(RootForm.of(self)), indent=2) + b"\n"

    @classmethod
    def decode(cls, data: bytes) -> TrustRoot:
        """Read what ``encode`` wrote; the layout may have changed.

        Raises:
            MalformedError: the form is wrong, or the values are.
        """
        compact = without_white_space(data, what="the trust root", max_size=MAX_ROOT_SIZE)
        return decode_canonical(RootForm, compact, what="the trust root", max_size=MAX_ROOT_SIZE).parse()


class AuthorityForm(Form, frozen=True):
    """An authority as it is written, in trust roots and on cards."""

    identity: str
    address: AddressForm
    link_key_hash: str

    @classmethod
    def of(cls, one: Authority) -> AuthorityForm:
        """The written form of a value."""
        return cls(one.identity.hex(), AddressForm.of(one.address), one.link_key_hash.hex())

    def parse(self) -> Authority:
        """The value; raises ``MalformedError`` if it is outside of the specification."""
        return Authority(_unhex(self.identity), self.address.parse(), _unhex(self.link_key_hash))


class RootForm(Form, frozen=True):
    """A trust root as it is written, in its file and in successions."""

    network_id: str
    name: str
    version: Count
    threshold: Count
    authorities: tuple[AuthorityForm, ...]
    parameters: ParametersForm

    @classmethod
    def of(cls, root: TrustRoot) -> RootForm:
        """The written form of a value."""
        authorities = tuple(AuthorityForm.of(one) for one in root.authorities)
        parameters = ParametersForm.of(root.parameters)
        return cls(root.network_id.hex(), root.name, root.version, root.threshold, authorities, parameters)

    def parse(self) -> TrustRoot:
        """The value; raises ``MalformedError`` if it is outside of the specification."""
        authorities = tuple(one.parse() for one in self.authorities)
        parameters = self.parameters.parse()
        return TrustRoot(
            _unhex(self.network_id), self.name, authorities, self.threshold, parameters, self.version
        )


def _unhex(text: str) -> bytes:
    try:
        value = bytes.fromhex(text)
    except ValueError as error:
        raise MalformedError("the trust root holds a value that is not hexadecimal") from error
    if value.hex() != text:
        raise MalformedError("the trust root holds a value that is not lower-case hexadecimal")
    return value


def _check_distinct(values: Sequence[object], what: str) -> None:
    if len(set(values)) != len(values):
        raise MalformedError(f"two authorities have one {what}")

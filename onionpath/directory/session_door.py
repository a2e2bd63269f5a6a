"""Where a relay takes Session's onions, as its descriptor says. Spec: docs/specs/directory.md §3.6."""

from __future__ import annotations

from dataclasses import dataclass

from onionpath.crypto.certificates import HASH_SIZE
from onionpath.crypto.session_channels import SessionPublicKey
from onionpath.directory.canonical import Form
from onionpath.errors import MalformedError


@dataclass(frozen=True, slots=True)
class SessionDoor:
    """A relay's HTTPS door for clients of Session; its host is the relay's first IPv4 address.

    Args:
        key: to which layers for this relay are sealed.
        port: 1 to 65535.
        certificate_hash: SHA-256 of the public key of the certificate that is shown there, 32 bytes.

    Raises:
        MalformedError: a value is outside of the specification.
    """

    key: SessionPublicKey
    port: int
    certificate_hash: bytes

    def __post_init__(self) -> None:
        if not 1 <= self.port <= 65_535:
            raise MalformedError(f"a port is 1 to 65535, not {self.port}")
        if len(self.certificate_hash) != HASH_SIZE:
            raise MalformedError(
                f"a certificate's hash has {HASH_SIZE} bytes, not {len(self.certificate_hash)}"
            )


class SessionDoorForm(Form, frozen=True):
    """``SessionDoor`` as JSON."""

    key: bytes
    port: int
    certificate_hash: bytes

    @classmethod
    def of(cls, door: SessionDoor) -> SessionDoorForm:
        return cls(door.key.encoded, door.port, door.certificate_hash)

    def parse(self) -> SessionDoor:
        return SessionDoor(SessionPublicKey(self.key), self.port, self.certificate_hash)

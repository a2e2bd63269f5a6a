"""Relays as Session's clients list them. Spec: docs/specs/session-network.md §2."""

from __future__ import annotations

from dataclasses import dataclass

from onionpath.crypto.identity import RelayId
from onionpath.crypto.session_channels import SessionPublicKey
from onionpath.directory.directory import Directory


@dataclass(frozen=True, slots=True)
class SessionNode:
    """A relay that takes Session's onions, of our network or of another.

    Args:
        relay_id: its Ed25519 key, under which packets are forwarded to it.
        session_key: to which layers for it are sealed.
        host: an IPv4 address.
        https_port: where it takes onions.
        certificate_hash: SHA-256 of the public key of the certificate shown there, 32 bytes; None if nobody says.
        swarm: in which it stores; None for a relay that doesn't.
    """

    relay_id: RelayId
    session_key: SessionPublicKey
    host: str
    https_port: int
    certificate_hash: bytes | None = None
    swarm: int | None = None


def session_nodes(directory: Directory) -> tuple[SessionNode, ...]:
    """The relays of a directory that take Session's onions, in the order of the document."""
    nodes = []
    for listing in directory.document.relays:
        relay = directory.relays.get(listing.relay_id)
        if relay is None or relay.descriptor.session is None or relay.descriptor.session_address is None:
            continue
        door, address = relay.descriptor.session, relay.descriptor.session_address
        nodes.append(
            SessionNode(
                listing.relay_id, door.key, address.host, door.port, door.certificate_hash, listing.swarm
            )
        )
    return tuple(nodes)

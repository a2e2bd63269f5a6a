"""Relays as Session's clients know them, one by one and by swarm. Spec: docs/specs/session-network.md §1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from onionpath.crypto.identity import RelayId
from onionpath.crypto.session_channels import SessionPublicKey
from onionpath.directory.directory import Directory, Relay
from onionpath.directory.swarms import members, swarm_of


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


@dataclass(frozen=True, slots=True)
class Roster:
    """What there is to tell of a directory to Session's clients; made once for each directory.

    Args:
        nodes: in the order of the document.
        swarms: all of the document, ascending, with those members that are nodes.
        number, digest: the document's.
    """

    nodes: tuple[SessionNode, ...]
    swarms: Mapping[int, tuple[SessionNode, ...]]
    number: int
    digest: bytes = field(repr=False)

    @classmethod
    def of(cls, directory: Directory) -> Roster:
        """Of a directory that was verified."""
        nodes = session_nodes(directory)
        by_id = {node.relay_id: node for node in nodes}
        swarms = {
            swarm: tuple(by_id[relay_id] for relay_id in relay_ids if relay_id in by_id)
            for swarm, relay_ids in members(directory.document).items()
        }
        return cls(nodes, MappingProxyType(swarms), directory.document.number, directory.document.digest)

    def swarm_of(self, account_key: bytes) -> int | None:
        """The swarm that stores for an account; None where nobody stores.

        Args:
            account_key: 32 bytes, without Session's prefix.
        """
        return swarm_of(account_key, list(self.swarms)) if self.swarms else None


def session_nodes(directory: Directory) -> tuple[SessionNode, ...]:
    """The relays of a directory that take Session's onions, in the order of the document."""
    found = (
        _node(directory.relays[listing.relay_id], listing.swarm)
        for listing in directory.document.relays
        if listing.relay_id in directory.relays
    )
    return tuple(node for node in found if node is not None)


def _node(relay: Relay, swarm: int | None) -> SessionNode | None:
    door, address = relay.descriptor.session, relay.descriptor.session_address
    if door is None or address is None:
        return None
    return SessionNode(relay.relay_id, door.key, address.host, door.port, door.certificate_hash, swarm)

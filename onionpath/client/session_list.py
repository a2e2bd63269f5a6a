"""The list of Session nodes that a client was given, as the choice of paths sees it. Spec: docs/specs/paths.md §6."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from onionpath.crypto.identity import RelayId
from onionpath.crypto.session_channels import SessionPublicKey
from onionpath.directory.address import Address
from onionpath.injected import UnixTime
from onionpath.swarm.nodes import SessionNode

# As real clients' paths have; the one that is asked, or a server, comes behind them.
HOPS = 3
HOPS_TO_NODE = HOPS + 1


@dataclass(frozen=True, slots=True)
class ListedNode:
    """A node as a relay of a path: nobody says who runs it or how much it carries, and its key has no time.

    It is its own descriptor: see ``onionpath.path.relays``.
    """

    node: SessionNode
    addresses: tuple[Address, ...]
    weight: int = 1
    family: tuple[RelayId, ...] = ()
    services: tuple[int, ...] = ()
    exit_policy: tuple[str, ...] = ()

    @classmethod
    def of(cls, node: SessionNode) -> ListedNode:
        """A node of a list that was checked."""
        return cls(node, (Address(node.host, node.https_port),))

    @property
    def relay_id(self) -> RelayId:
        """The name under which packets are forwarded to it."""
        return self.node.relay_id

    @property
    def descriptor(self) -> ListedNode:
        """What is said of it."""
        return self

    def packet_key(self, now: UnixTime) -> SessionPublicKey:
        """The key to which its layers are sealed, at any time."""
        return self.node.session_key


@dataclass(frozen=True, slots=True)
class SessionList:
    """See ``RelayList``."""

    relays: Mapping[RelayId, ListedNode]
    distinct_subnets: bool = True
    hops: int = HOPS

    @classmethod
    def of(cls, nodes: Sequence[SessionNode]) -> SessionList:
        """These nodes."""
        return cls(MappingProxyType({node.relay_id: ListedNode.of(node) for node in nodes}))

    @property
    def nodes(self) -> tuple[SessionNode, ...]:
        """All of them."""
        return tuple(each.node for each in self.relays.values())

    @property
    def total_weight(self) -> int:
        """See ``RelayList``."""
        return len(self.relays)

    def is_usable(self, now: UnixTime) -> bool:
        """A list says nothing of its age."""
        return True

"""Which kind of network a program has named: by the packet format, from a file or from what it has read already."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from onionpath.client.native_network import NativeNetwork
from onionpath.client.network import Means
from onionpath.client.session_network import SessionNetwork
from onionpath.directory.directory import Directory
from onionpath.directory.trust import TrustRoot
from onionpath.disk.node_file import read_nodes
from onionpath.disk.trust_file import read_trust_root
from onionpath.errors import UsageError
from onionpath.swarm.node_list import NodeList
from onionpath.swarm.nodes import SessionNode

Named = str | os.PathLike[str] | TrustRoot | Sequence[SessionNode]
"""A trust root or a list of Session nodes, or the file of either."""


def network_of(
    named: Named, packet_format: str, means: Means, *, directory: Directory | None
) -> NativeNetwork | SessionNetwork:
    """The network's side of a client.

    Raises:
        UsageError: there is no such format, or what was named is of the other one.
    """
    match packet_format:
        case "native":
            return NativeNetwork(_trust_root(named), means, directory=directory)
        case "session":
            if directory is not None:
                raise UsageError("a network of Session nodes has no signed directory to start from")
            return SessionNetwork(_nodes(named), means)
    raise UsageError(
        f"there is no packet format {packet_format!r}; this version speaks 'native' and 'session'"
    )


def _trust_root(named: Named) -> TrustRoot:
    if isinstance(named, TrustRoot):
        return named
    if isinstance(named, str | os.PathLike):
        return read_trust_root(Path(named))
    raise UsageError("a list of Session nodes needs format='session'")


def _nodes(named: Named) -> NodeList:
    if isinstance(named, str | os.PathLike):
        return read_nodes(Path(named))
    if isinstance(named, TrustRoot):
        raise UsageError(
            "a trust root is of the native format; format='session' takes a list of Session nodes"
        )
    return NodeList(tuple(named), 0)

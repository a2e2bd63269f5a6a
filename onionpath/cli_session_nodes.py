"""What ``onionpath network session-nodes`` shows: the relays of a directory that take Session's onions, for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from onionpath.swarm.node_list import swarm_hex
from onionpath.swarm.nodes import SessionNode


def lines(nodes: Sequence[SessionNode]) -> Iterator[str]:
    """A line for each relay; one that says so if there is none."""
    if not nodes:
        yield "no relay of this network serves clients of Session"
        return
    addresses = [f"{node.host}:{node.https_port}" for node in nodes]
    width = max(map(len, addresses))
    yield f"{'relay':<18}{'swarm':<18}{'address':<{width}}  key"
    for node, address in zip(nodes, addresses, strict=True):
        swarm = "none" if node.swarm is None else swarm_hex(node.swarm).rjust(16, "0")
        key = node.session_key.encoded.hex()[:16]
        yield f"{node.relay_id.hex()[:16]:<18}{swarm:<18}{address:<{width}}  {key}"

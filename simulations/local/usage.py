"""What a local network tells whoever started it: how to use it, as text and as JSON."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onionpath.swarm.nodes import SessionNode
    from simulations.local.network import LocalNetwork
    from simulations.local.nodes import LocalRelay


def command(network: LocalNetwork) -> str:
    """A line for a shell in this folder that fetches through the network."""
    words = [*_program(), "get", "--network", str(network.trust_root_file)]
    if not network.has_website:
        return f"{shlex.join(words)} URL"
    website = network.website
    return shlex.join([*words, "--ca", str(website.ca_file), website.url])


def usage(network: LocalNetwork) -> str:
    """For people."""
    lines = [f"network file   {network.trust_root_file}"]
    if network.has_website:
        lines += [f"website        {network.website.url}", f"its CA         {network.website.ca_file}"]
    if network.has_file_server:
        lines += _session_usage(network)
    lines += [
        "",
        f"From another shell in {Path.cwd()}, until Ctrl-C here",
        "(exits reach this machine's servers only):",
    ]
    lines += [""]
    return "\n".join([*lines, f"  {command(network)}"])


def _session_usage(network: LocalNetwork) -> list[str]:
    server = network.file_server
    return [
        f"Session seed   {_seed(network.relays[0])} and every other relay",
        f"without TLS    {network.seed_url}",
        f"node list      {network.nodes_file}",
        f"file server    {server.url}",
        f"its key        {server.key.encoded.hex()}",
        *(f"swarm          {', '.join(names)}" for names in _swarms(network).values()),
    ]


def facts(network: LocalNetwork) -> dict[str, object]:
    """For programs."""
    relays = [
        {"name": relay.name, "id": relay.relay_id.hex(), "address": str(relay.endpoint), "pid": relay.pid}
        for relay in network.relays
    ]
    authorities = [
        {"name": one.name, "settings": str(one.folder / "authority.toml")} for one in network.authorities
    ]
    found: dict[str, object] = {
        "network": str(network.trust_root_file),
        "command": command(network),
        "pids": network.pids(),
        "authorities": authorities,
        "relays": relays,
    }
    if network.has_website:
        website = network.website
        found["website"] = {"url": website.url, "wrong_url": website.wrong_url, "ca": str(website.ca_file)}
    if network.has_file_server:
        found["session"] = _session_facts(network)
    return found


def _session_facts(network: LocalNetwork) -> dict[str, object]:
    server = network.file_server
    return {
        "seeds": [_seed(relay) for relay in network.relays],
        "plain_seed": network.seed_url,
        "nodes": str(network.nodes_file),
        "file_server": {"url": server.url, "key": server.key.encoded.hex()},
        "swarms": _swarms(network),
    }


def _swarms(network: LocalNetwork) -> dict[str, list[str]]:
    """The names of each swarm's relays, by the swarm's id."""

    def name(node: SessionNode) -> str:
        return network.relay(node.relay_id).name

    found: dict[str, list[str]] = {}
    for node in network.nodes:
        if node.swarm is not None:
            found.setdefault(f"{node.swarm:x}", []).append(name(node))
    return found


def _seed(relay: LocalRelay) -> str:
    return f"https://{relay.session_endpoint}/json_rpc"


def _program() -> list[str]:
    """``onionpath`` as any shell in this folder finds it: beside the Python that runs us."""
    beside = Path(sys.executable).with_name("onionpath")
    found, *arguments = (beside,) if os.access(beside, os.X_OK) else (Path(sys.executable), "-m", "onionpath")
    if found.is_relative_to(Path.cwd()):
        found = found.relative_to(Path.cwd())
    # Without a slash a shell would look in its PATH.
    return [str(found) if "/" in str(found) else f"./{found}", *map(str, arguments)]

"""The text of a settings file: every setting with what it is for and its default."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

import msgspec

from onionpath.errors import UsageError
from relay.settings import AuthoritySettings, RelaySettings

ABOUT = {
    "relay.state": "Folder of keys and replay memory, as seen from this file. Nobody else may read it.",
    "relay.listen": "Addresses to listen on, IP:PORT or [IPv6]:PORT.",
    "relay.advertise": "Addresses to publish, if others: behind NAT, or listening on 0.0.0.0.",
    "relay.family": "Identities (64 hex digits) of your other relays. No path uses two of one family.",
    "network.trust_root": "The network's trust root, as given out by its authorities.",
    "exit.enabled": "An exit is what websites see. Read docs/guides/operator.md before you enable it.",
    "exit.policy": "First match wins, nothing listed means denied: accept|reject NETWORK:PORTS.",
    "exit.reach_private": "Networks to reach although they aren't public. Meant for test networks.",
    "exit.connections_per_server": "Connections to one address and port at once, whoever asks for them.",
    "exit.new_connections_per_second": (
        "New ones to one address and port, whoever asks for them. More wait for up to 2 s."
    ),
    "exit.streams": "Connections at once to all servers; fewer where the system lets a process open few files.",
    "exit.streams_per_link": "Those asked for over one link, which carries many clients; at most half of all.",
    "exit.held_bytes": "Bytes held for all streams together; no link takes more of them than it leaves free.",
    "exit.stream_life_s": "A connection is ended so long after it was made.",
    "exit.stream_bytes": "A connection that carried more, in either direction, is ended.",
    "session.enabled": "Serve clients of Session over HTTPS. Their onions are weaker than ours; read the guide first.",
    "session.listen": "Addresses for them, IP:PORT. The first IPv4 address that the relay publishes must lead here.",
    "session.advertise_port": "Port to publish for them, if another. 0: the port of the first address above.",
    "session.seed": "Hand out the list of nodes at /json_rpc, as Session's seeds do; needs session.enabled.",
    "session.openings_per_second": "Onions opened for clients. One address has a quarter, relays three times of it.",
    "storage.enabled": "Store messages for accounts, as one relay of a swarm.",
    "storage.max_bytes": "Disk for all accounts; a twentieth, at least 64 MiB, is kept for deletions.",
    "storage.account_bytes": "Disk for the messages of one account.",
    "storage.account_messages": "Messages of one account.",
    "limits.client_packets_per_second": "Requests from one client; beyond it we read more slowly.",
    "limits.client_burst": "Requests that one client may send at once.",
    "limits.client_in_flight": "Requests of one client that are under way; beyond it they're refused.",
    "limits.relay_packets_per_second": "The same for another relay, which speaks for many clients.",
    "limits.relay_burst": "Requests that one relay may send at once.",
    "limits.relay_in_flight": "Requests of one relay that are under way.",
    "limits.openings_per_second": (
        "Packets opened over all links together. 0: half of what a core can open, measured at start."
    ),
    "limits.bad_packets_per_second": "Packets of one client that were opened for nothing.",
    "limits.in_flight": "Requests under way in all.",
    "limits.queued_bytes_per_peer": "Bytes that wait for one slow reader.",
    "limits.queued_bytes": "Bytes that wait for all; beyond it whoever holds most is closed.",
    "limits.dial_queue": "Packets that wait for one link to another relay to be made.",
    "limits.dial_bytes": "Bytes of packets that wait for links to be made, in all.",
    "limits.redial_after_s": "How long a relay that could not be reached is not dialled again.",
    "limits.handshake_s": "For TLS, from the first byte.",
    "limits.connect_s": "For reaching another relay.",
    "limits.proof_s": "For two relays to prove who they are, once connected.",
    "limits.frame_s": "For one frame, from its first byte to its last.",
    "limits.stall_s": "For a peer that reads nothing while bytes wait for it.",
    "limits.idle_s": "For a link that carries nothing.",
    "limits.service_s": "For the last hop's service. Clients wait 40 s in all.",
    "limits.hop_margin_s": "How much longer each hop waits than the one after it.",
    "limits.replay_entries": "Packets remembered per slot, a power of two; each is 24 bytes of disk.",
    "log.level": "debug, info, warning or error.",
    "log.format": "text or json.",
    "simulation.record_frames": "File for every frame's size and time. Refused unless all is loopback.",
    "authority.state": "Folder of keys and of what was signed, as seen from this file.",
    "authority.listen": "Addresses to listen on, IP:PORT or [IPv6]:PORT.",
    "authority.first_document_relays": "Reach so many relays before voting while no document is valid.",
    "authority.private_addresses": "List relays whose addresses aren't public. Meant for test networks.",
    "authority.measure": "Measure relays through the network; without it all weigh what others measured.",
    "authority.allow": "Identities (64 hex digits) of the only relays that may join. Empty: anybody can.",
}


def example_settings(
    kind: type[RelaySettings | AuthoritySettings], values: Mapping[str, Any] | None = None
) -> str:
    """A commented settings file with every default, or what ``values`` has for a ``section.key`` instead."""
    given = dict(values or {})
    parts = [_HEADER]
    for section in msgspec.structs.fields(kind):
        parts.append(f"\n# {section.type.__doc__}\n[{section.name}]\n")
        for field in msgspec.structs.fields(section.type):
            value = given.pop(f"{section.name}.{field.name}", field.default)
            parts.append(_setting(field.name, ABOUT[f"{section.name}.{field.name}"], value))
    if given:
        raise UsageError(f"no such setting: {min(given)}")
    return "".join(parts)


_HEADER = """\
# Every setting with its default. Each can also be given as ONIONPATH_RELAY_SECTION_KEY in the environment,
# lists separated by commas, or as --set section.key=value, which wins over both.
"""


def _setting(name: str, description: str, value: Any) -> str:
    comment = textwrap.fill(description, 110, initial_indent="# ", subsequent_indent="# ")
    return f'{comment}\n# {name} = ""\n' if value is None else f"{comment}\n{name} = {_toml(value)}\n"


def _toml(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            # JSON's strings are TOML's, but for DEL, which no setting holds.
            return msgspec.json.encode(value).decode()
        case tuple() | list():
            return f"[{', '.join(_toml(each) for each in value)}]"
        case _:
            return str(value)

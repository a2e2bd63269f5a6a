"""The settings of a relay and of an authority: what may stand in their files, and what it means.

What is the same for a whole network (hops, sizes, slots, epochs) is no setting: it stands in the trust root.

One frozen tree per program. A value comes from the first of: flag, ``ONIONPATH_RELAY_SECTION_KEY`` in the
environment, file, default. Nothing unknown, doubled or out of range is passed over in silence, and every
error names the file and the key. ``settings_files`` reads a file, ``settings_text`` writes one and says what
each setting is for.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from msgspec import Meta, Struct

from onionpath.crypto.identity import RelayId, parse_relay_id
from onionpath.errors import MalformedError, SettingsError, UsageError
from onionpath.onion.replay import DEFAULT_CAPACITY
from onionpath.service.exit_policy import DEFAULT_RULES, ExitPolicy
from relay.exit.destinations import DestinationLimits
from relay.exit.limits import StreamLimits
from relay.limits import CLIENT, RELAY, PeerLimits, SwitchLimits

DEFAULT_PORT = 7740  # unassigned by IANA, and above what only root may take

_SWITCH = SwitchLimits()
_DESTINATION = DestinationLimits()
_STREAMS = StreamLimits()

Seconds = Annotated[float, Meta(gt=0, le=86_400)]
Count = Annotated[int, Meta(ge=1, le=2**40)]
Rate = Annotated[float, Meta(gt=0, le=1e6)]
MaybeRate = Annotated[float, Meta(ge=0, le=1e6)]


class Section(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One table of a settings file."""


class Endpoint(NamedTuple):
    """A canonical IP literal and a port from 0 to 65535."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return ipaddress.ip_address(self.host).is_loopback

    @property
    def is_unspecified(self) -> bool:
        """Whether it means all interfaces, and so names none."""
        return ipaddress.ip_address(self.host).is_unspecified


def parse_endpoint(text: str, *, key: str = "") -> Endpoint:
    """Read ``192.0.2.1:7740`` or ``[2001:db8::1]:7740``.

    Raises:
        SettingsError: the host is no canonical IP literal, or the port no number from 0 to 65535.
    """
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    host = host[1:-1] if bracketed else host
    try:
        address = ipaddress.ip_address(host)
        good = colon and str(address) == host and bracketed == (address.version == 6) and "%" not in host
    except ValueError:
        good = False
    # Longer ones are no ports, and int() refuses thousands of digits with an error of its own.
    numeric = port.isascii() and port.isdecimal() and len(port) <= 5
    if not good or not numeric or str(int(port)) != port or int(port) > 65_535:
        raise SettingsError(
            f"{text!r} is not an address: expected IP:PORT, such as 192.0.2.1:7740 or [2001:db8::1]:7740",
            key=key,
        )
    return Endpoint(host, int(port))


class RelaySection(Section, frozen=True):
    """Who this relay is and where it is reached."""

    state: str = "state"
    listen: tuple[str, ...] = (f"127.0.0.1:{DEFAULT_PORT}",)
    advertise: tuple[str, ...] = ()
    family: tuple[str, ...] = ()


class NetworkSection(Section, frozen=True):
    """Which network it serves."""

    trust_root: str = "network.json"


class ExitSection(Section, frozen=True):
    """Whether and how it reaches servers outside of the network."""

    enabled: bool = False
    policy: tuple[str, ...] = DEFAULT_RULES
    reach_private: tuple[str, ...] = ()
    connections_per_server: Count = _DESTINATION.concurrent
    new_connections_per_second: Annotated[float, Meta(ge=1, le=1e6)] = _DESTINATION.per_s
    streams: Count = _STREAMS.streams
    streams_per_link: Count = _STREAMS.streams_per_link
    held_bytes: Count = _STREAMS.total
    stream_life_s: Annotated[float, Meta(gt=0, le=30 * 86_400)] = _STREAMS.life_s
    stream_bytes: Count = _STREAMS.bytes_each_way

    def destination_limits(self) -> DestinationLimits:
        """What one server is spared."""
        return DestinationLimits(
            concurrent=self.connections_per_server, per_s=self.new_connections_per_second
        )

    def stream_limits(self, *, files: int) -> StreamLimits:
        """What streams may take.

        Args:
            files: connections for which the system has room.
        """
        streams = min(self.streams, files)
        # One link carries many clients, and still must leave half to the others.
        per_link = min(self.streams_per_link, max(1, streams // 2))
        return replace(
            _STREAMS,
            streams=streams,
            streams_per_link=per_link,
            total=self.held_bytes,
            life_s=self.stream_life_s,
            bytes_each_way=self.stream_bytes,
        )


class LimitsSection(Section, frozen=True):
    """What others may take from us; the reasons stand in relay/limits.py."""

    client_packets_per_second: Rate = CLIENT.packets_per_second
    client_burst: Rate = CLIENT.burst
    client_in_flight: Count = CLIENT.in_flight
    relay_packets_per_second: Rate = RELAY.packets_per_second
    relay_burst: Rate = RELAY.burst
    relay_in_flight: Count = RELAY.in_flight
    openings_per_second: MaybeRate = 0.0
    bad_packets_per_second: Rate = _SWITCH.bad_packets_per_second
    in_flight: Count = _SWITCH.in_flight
    queued_bytes_per_peer: Count = _SWITCH.queued_bytes_per_peer
    queued_bytes: Count = _SWITCH.queued_bytes
    dial_queue: Count = _SWITCH.dial_queue
    dial_bytes: Count = _SWITCH.dial_bytes
    redial_after_s: Seconds = _SWITCH.redial_after_s
    handshake_s: Seconds = 10.0
    connect_s: Seconds = 10.0
    proof_s: Seconds = _SWITCH.proof_timeout_s
    frame_s: Seconds = _SWITCH.frame_timeout_s
    stall_s: Seconds = _SWITCH.stall_timeout_s
    idle_s: Seconds = _SWITCH.idle_timeout_s
    service_s: Seconds = _SWITCH.service_timeout_s
    hop_margin_s: Seconds = _SWITCH.hop_margin_s
    replay_entries: Annotated[int, Meta(ge=1024, le=2**28)] = DEFAULT_CAPACITY

    def switch_limits(self, *, openings_per_second: float = _SWITCH.openings_per_second) -> SwitchLimits:
        """These numbers as the switch takes them.

        Args:
            openings_per_second: the budget where the setting leaves it to the relay.
        """
        return SwitchLimits(
            client=PeerLimits(self.client_packets_per_second, self.client_burst, self.client_in_flight),
            relay=PeerLimits(self.relay_packets_per_second, self.relay_burst, self.relay_in_flight),
            openings_per_second=self.openings_per_second or openings_per_second,
            bad_packets_per_second=self.bad_packets_per_second,
            in_flight=self.in_flight,
            queued_bytes_per_peer=self.queued_bytes_per_peer,
            queued_bytes=self.queued_bytes,
            dial_queue=self.dial_queue,
            dial_bytes=self.dial_bytes,
            redial_after_s=self.redial_after_s,
            service_timeout_s=self.service_s,
            hop_margin_s=self.hop_margin_s,
            frame_timeout_s=self.frame_s,
            stall_timeout_s=self.stall_s,
            proof_timeout_s=self.proof_s,
            idle_timeout_s=self.idle_s,
        )


class LogSection(Section, frozen=True):
    """What it says on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["text", "json"] = "text"


class SimulationSection(Section, frozen=True):
    """For experiments only."""

    record_frames: str | None = None


class AuthoritySection(Section, frozen=True):
    """Who this authority is, and when it signs."""

    state: str = "state"
    listen: tuple[str, ...] = (f"127.0.0.1:{DEFAULT_PORT}",)
    first_document_relays: Annotated[int, Meta(ge=1, le=20_000)] = 3
    private_addresses: bool = False
    allow: tuple[str, ...] = ()
    measure: bool = True


class RelaySettings(Section, frozen=True):
    """Everything that a relay is told; paths are absolute once loaded."""

    relay: RelaySection = RelaySection()
    network: NetworkSection = NetworkSection()
    exit: ExitSection = ExitSection()
    limits: LimitsSection = LimitsSection()
    log: LogSection = LogSection()
    simulation: SimulationSection = SimulationSection()

    @property
    def state(self) -> Path:
        """The state folder."""
        return Path(self.relay.state)

    @property
    def trust_root(self) -> Path:
        """The trust root's file."""
        return Path(self.network.trust_root)

    @property
    def listen(self) -> tuple[Endpoint, ...]:
        """Where it listens."""
        return _endpoints(self.relay.listen, "relay.listen")

    @property
    def published(self) -> tuple[Endpoint, ...]:
        """What its descriptor says; ports that were 0 are known only once it listens."""
        return _endpoints(self.relay.advertise, "relay.advertise") or self.listen

    def check(self) -> None:
        """Refuse values that are impossible together.

        Raises:
            SettingsError: names the key.
        """
        check_listen(self.relay.listen, "relay.listen")
        check_published(self.published, "relay.advertise")
        _check_identities(self.relay.family, "relay.family")
        _check_exit(self.exit)
        _check_limits(self.limits)
        if self.simulation.record_frames is not None and not all(each.is_loopback for each in self.listen):
            raise SettingsError(
                "recording frames is for experiments: expected only loopback addresses in relay.listen",
                key="simulation.record_frames",
            )


class AuthoritySettings(Section, frozen=True):
    """Everything that an authority is told; paths are absolute once loaded."""

    authority: AuthoritySection = AuthoritySection()
    network: NetworkSection = NetworkSection()
    limits: LimitsSection = LimitsSection()
    log: LogSection = LogSection()

    @property
    def state(self) -> Path:
        """The state folder."""
        return Path(self.authority.state)

    @property
    def trust_root(self) -> Path:
        """The trust root's file."""
        return Path(self.network.trust_root)

    @property
    def listen(self) -> tuple[Endpoint, ...]:
        """Where it listens; the trust root says where others reach it."""
        return _endpoints(self.authority.listen, "authority.listen")

    @property
    def allow(self) -> tuple[RelayId, ...]:
        """The only relays that may join; none for anybody."""
        return tuple(RelayId(bytes.fromhex(text)) for text in self.authority.allow)

    def check(self) -> None:
        """Refuse values that are impossible together.

        Raises:
            SettingsError: names the key.
        """
        check_listen(self.authority.listen, "authority.listen")
        _check_identities(self.authority.allow, "authority.allow")
        _check_limits(self.limits)


def _endpoints(texts: Sequence[str], key: str) -> tuple[Endpoint, ...]:
    return tuple(parse_endpoint(text, key=f"{key}[{index}]") for index, text in enumerate(texts))


def check_listen(texts: Sequence[str], key: str) -> None:
    """Refuse an empty or repeating list of addresses, and port 0 where others should find it.

    Raises:
        SettingsError: names ``key``.
    """
    endpoints = _endpoints(texts, key)
    if not endpoints:
        raise SettingsError("expected at least one address", key=key)
    for index, endpoint in enumerate(endpoints):
        if endpoint in endpoints[:index] and endpoint.port:
            raise SettingsError(f"{endpoint} is listed twice", key=f"{key}[{index}]")
        if endpoint.port == 0 and not endpoint.is_loopback:
            raise SettingsError("expected a port from 1 to 65535", key=f"{key}[{index}]")


def check_published(endpoints: Sequence[Endpoint], key: str) -> None:
    """Refuse to publish what nobody can dial.

    Raises:
        SettingsError: names ``key``.
    """
    if any(each.is_unspecified for each in endpoints):
        raise SettingsError("listening on all interfaces: expected the addresses to publish", key=key)
    # A descriptor has at most four.
    if len(endpoints) > 4:
        raise SettingsError(f"expected at most 4 addresses to publish, not {len(endpoints)}", key=key)


def _check_identities(members: Sequence[str], key: str) -> None:
    for index, member in enumerate(members):
        try:
            known = parse_relay_id(bytes.fromhex(member)).hex() == member
        except (ValueError, MalformedError):
            known = False
        if not known or member in members[:index]:
            raise SettingsError(
                f"expected a relay's identity, 64 hex digits, once, not {member!r}",
                key=f"{key}[{index}]",
            )


def _check_exit(section: ExitSection) -> None:
    try:
        ExitPolicy.parse(section.policy)
    except UsageError as error:
        raise SettingsError(str(error), key="exit.policy") from error
    if section.enabled and not section.policy:
        raise SettingsError("expected at least one rule when the exit is enabled", key="exit.policy")
    for index, text in enumerate(section.reach_private):
        try:
            ipaddress.ip_network(text)
        except ValueError as error:
            raise SettingsError(f"expected a network: {error}", key=f"exit.reach_private[{index}]") from error


def _check_limits(limits: LimitsSection) -> None:
    if limits.replay_entries & (limits.replay_entries - 1):
        raise SettingsError(
            f"expected a power of two, not {limits.replay_entries}", key="limits.replay_entries"
        )
    if limits.queued_bytes < limits.queued_bytes_per_peer:
        raise SettingsError("expected at least queued_bytes_per_peer", key="limits.queued_bytes")

"""The sections of settings files, with every default; what each setting is for stands in ``settings_text``."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

from msgspec import Meta, Struct

from onionpath.onion.replay import DEFAULT_CAPACITY
from onionpath.service.exit_policy import DEFAULT_RULES
from relay.exit.destinations import DestinationLimits
from relay.exit.limits import StreamLimits
from relay.limits import CLIENT, RELAY, PeerLimits, SwitchLimits
from relay.store.room import Limits as StoreLimits

DEFAULT_PORT = 7740  # unassigned by IANA, and above what only root may take

DEFAULT_SESSION_PORT = (
    22_021  # the one of Session's own nodes, whose clients may be behind firewalls that know it
)

_SWITCH = SwitchLimits()
_DESTINATION = DestinationLimits()
_STREAMS = StreamLimits()
_STORE = StoreLimits()

Seconds = Annotated[float, Meta(gt=0, le=86_400)]
Count = Annotated[int, Meta(ge=1, le=2**40)]
Port = Annotated[int, Meta(ge=0, le=65_535)]
Rate = Annotated[float, Meta(gt=0, le=1e6)]
MaybeRate = Annotated[float, Meta(ge=0, le=1e6)]


class Section(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One table of a settings file."""


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


class SessionSection(Section, frozen=True):
    """Whether clients of Session may come, which know neither our links nor IPv6."""

    enabled: bool = False
    listen: tuple[str, ...] = (f"127.0.0.1:{DEFAULT_SESSION_PORT}",)
    advertise_port: Port = 0
    seed: bool = False
    openings_per_second: Rate = 500.0


class StorageSection(Section, frozen=True):
    """Whether it stores messages for accounts, together with the other relays of its swarm."""

    enabled: bool = False
    max_bytes: Count = _STORE.total_size
    account_bytes: Count = _STORE.account_size
    account_messages: Count = _STORE.account_messages

    def store_limits(self) -> StoreLimits:
        """What the store takes."""
        return StoreLimits(self.max_bytes, self.account_bytes, self.account_messages)


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

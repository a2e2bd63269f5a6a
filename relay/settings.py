"""The settings of a relay and of an authority: what may stand in their files, and what it means.

What is the same for a whole network (hops, sizes, slots, epochs) is no setting: it stands in the trust root.

One frozen tree per program. A value comes from the first of: flag, ``ONIONPATH_RELAY_SECTION_KEY`` in the
environment, file, default. Nothing unknown, doubled or out of range is passed over in silence, and every
error names the file and the key. ``settings_sections`` has the defaults; ``settings_files`` reads a file,
``settings_text`` writes one and says what each setting is for.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from onionpath.crypto.identity import RelayId, parse_relay_id
from onionpath.errors import MalformedError, SettingsError, UsageError
from onionpath.service.exit_policy import ExitPolicy
from relay.settings_sections import (
    AuthoritySection,
    ExitSection,
    LimitsSection,
    LogSection,
    NetworkSection,
    RelaySection,
    Section,
    SessionSection,
    SimulationSection,
    StorageSection,
)


class Endpoint(NamedTuple):
    """A canonical IP literal and a port from 0 to 65535."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if self.is_ipv6 else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return ipaddress.ip_address(self.host).is_loopback

    @property
    def is_ipv6(self) -> bool:
        """Whether the host is an IPv6 address."""
        return ":" in self.host

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


class RelaySettings(Section, frozen=True):
    """Everything that a relay is told; paths are absolute once loaded."""

    relay: RelaySection = RelaySection()
    network: NetworkSection = NetworkSection()
    exit: ExitSection = ExitSection()
    session: SessionSection = SessionSection()
    storage: StorageSection = StorageSection()
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

    @property
    def session_listen(self) -> tuple[Endpoint, ...]:
        """Where it waits for Session's clients; nowhere unless that is enabled."""
        return _endpoints(self.session.listen, "session.listen") if self.session.enabled else ()

    @property
    def session_host(self) -> str:
        """The address at which Session's clients are told to come: the first IPv4 address that is published."""
        return next(each.host for each in self.published if not each.is_ipv6)

    def check(self) -> None:
        """Refuse values that are impossible together.

        Raises:
            SettingsError: names the key.
        """
        check_listen(self.relay.listen, "relay.listen")
        check_published(self.published, "relay.advertise")
        _check_identities(self.relay.family, "relay.family")
        _check_exit(self.exit)
        _check_session(self)
        _check_storage(self.storage)
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


def _check_session(settings: RelaySettings) -> None:
    check_listen(settings.session.listen, "session.listen")
    if settings.session.seed and not settings.session.enabled:
        raise SettingsError(
            "a seed answers where Session's clients come in: expected session.enabled = true beside it",
            key="session.seed",
        )
    ports = {each.port for each in settings.published if not each.is_ipv6}
    if settings.session.enabled and not ports:
        raise SettingsError(
            "Session's clients know no IPv6: expected an IPv4 address in relay.listen or relay.advertise",
            key="session.enabled",
        )
    if settings.session.advertise_port and settings.session.advertise_port in ports:
        raise SettingsError(
            f"expected another port than the relay's own {settings.session.advertise_port}",
            key="session.advertise_port",
        )
    for index, endpoint in enumerate(settings.session_listen):
        if endpoint.port and endpoint in settings.listen:
            raise SettingsError(f"{endpoint} is in relay.listen too", key=f"session.listen[{index}]")
    if settings.session.enabled and not settings.session.advertise_port:
        _check_session_reachable(settings)


def _check_session_reachable(settings: RelaySettings) -> None:
    """Refuse to publish an address at which nobody waits; a port that is published says that somebody forwards."""
    address = settings.session_host
    if all(each.is_loopback and each.host != address for each in settings.session_listen):
        raise SettingsError(
            f"the relay publishes {address}, and nobody would answer there: expected {address}:PORT or 0.0.0.0:PORT,"
            " or session.advertise_port for a port that is forwarded to here",
            key="session.listen[0]",
        )


def _check_storage(storage: StorageSection) -> None:
    if storage.account_bytes > storage.max_bytes:
        raise SettingsError("expected at most storage.max_bytes", key="storage.account_bytes")


def _check_limits(limits: LimitsSection) -> None:
    if limits.replay_entries & (limits.replay_entries - 1):
        raise SettingsError(
            f"expected a power of two, not {limits.replay_entries}", key="limits.replay_entries"
        )
    if limits.queued_bytes < limits.queued_bytes_per_peer:
        raise SettingsError("expected at least queued_bytes_per_peer", key="limits.queued_bytes")

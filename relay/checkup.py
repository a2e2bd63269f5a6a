"""Everything about a relay that can be checked without serving: what ``check`` prints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from onionpath.disk.private_files import check_private_dir
from onionpath.disk.trust_file import read_trust_root
from onionpath.errors import OnionPathError, SettingsError
from onionpath.service.exit_policy import ExitPolicy
from relay.folder_lock import FolderLock
from relay.keys import KeySchedule, PacketKeyFiles, has_packet_keys, load_relay_keys
from relay.listener import bind
from relay.session.keys import has_session_keys, load_session_keys
from relay.session.urls import SessionUrls
from relay.settings import Endpoint, RelaySettings
from relay.state_folder import REPLAY_NAME


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was checked: what would run, or the error that would end it."""

    name: str
    detail: str
    error: OnionPathError | None = None


def check_relay(settings: RelaySettings) -> list[Finding]:
    """Check all parts, also after one has failed."""
    parts: dict[str, Callable[[RelaySettings], str]] = {
        "trust root": _trust_root,
        "keys": _keys,
        "packet keys": _packet_keys,
        "state": _state,
        "exit": _exit,
        "session": _session,
        "storage": _storage,
    }
    found = [_finding(name, partial(part, settings)) for name, part in parts.items()]
    ports = [(each, "relay.listen") for each in settings.listen]
    ports += [(each, "session.listen") for each in settings.session_listen]
    return found + [_finding(f"listen {each}", partial(_port, each, key)) for each, key in ports]


def _finding(name: str, check: Callable[[], str]) -> Finding:
    try:
        return Finding(name, check())
    except OnionPathError as error:
        return Finding(name, str(error), error)


def _trust_root(settings: RelaySettings) -> str:
    root = read_trust_root(settings.trust_root)
    return f"network {root.name}, {root.threshold} of {len(root.authorities)} authorities must sign"


def _keys(settings: RelaySettings) -> str:
    identity = load_relay_keys(settings.state).identity
    published = ", ".join(str(each) for each in settings.published)
    return f"relay {identity.public.hex()} at {published}"


def _packet_keys(settings: RelaySettings) -> str:
    if not has_packet_keys(settings.state):
        return "made at the first run"
    parameters = read_trust_root(settings.trust_root).parameters
    schedule = KeySchedule(parameters.epoch_s, parameters.slot_s)
    # Reading draws nothing; keys are made by rotation alone.
    keys = PacketKeyFiles(settings.state, schedule, entropy=bytes).keys
    return f"epochs {', '.join(str(epoch) for epoch in sorted(keys.by_epoch))}"


def _state(settings: RelaySettings) -> str:
    check_private_dir(settings.state)
    replay = settings.state / REPLAY_NAME
    if not replay.exists():
        return "no replay memory yet"
    check_private_dir(replay)
    with FolderLock(replay):
        return "private, and in nobody's use"


def _exit(settings: RelaySettings) -> str:
    if not settings.exit.enabled:
        return "off"
    return "on: " + ", ".join(ExitPolicy.parse(settings.exit.policy).rules)


def _session(settings: RelaySettings) -> str:
    if not settings.session.enabled:
        return "off"
    on = f"on: {SessionUrls.of(settings)}"
    if not has_session_keys(settings.state):
        return f"{on}; its keys are made at the first run"
    return f"{on}; key {load_session_keys(settings.state).private.public.encoded.hex()}"


def _storage(settings: RelaySettings) -> str:
    if not settings.storage.enabled:
        return "off"
    on = f"on: up to {settings.storage.max_bytes} bytes"
    return on if settings.session.enabled else f"{on}, for native clients alone, since session is off"


def _port(endpoint: Endpoint, key: str) -> str:
    try:
        bind(endpoint.host, endpoint.port).close()
    except OSError as error:
        raise SettingsError(f"{endpoint} cannot be listened on: {error.strerror}", key=key) from error
    return "free"

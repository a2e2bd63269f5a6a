"""What a relay and an authority stand on before anything runs: their folder, keys, clock and replay memory."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from onionpath.directory.trust import TrustRoot
from onionpath.disk.trust_file import read_trust_root
from onionpath.injected import SteadyClock, UnixTime
from relay.keys import (
    KeySchedule,
    NodeKeys,
    PacketKeyFiles,
    erase_packet_keys,
    has_packet_keys,
    load_relay_keys,
)
from relay.replay_files import ReplayFiles, read_boot_id
from relay.settings import AuthoritySettings, RelaySettings
from relay.settings_sections import LimitsSection
from relay.state_folder import REPLAY_NAME

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Base:
    """What a relay and an authority are both made of before anything runs."""

    state: Path
    limits: LimitsSection
    root: TrustRoot
    keys: NodeKeys
    clock: Callable[[], UnixTime]

    @classmethod
    def load(cls, settings: RelaySettings | AuthoritySettings) -> Base:
        """Read the trust root and the keys.

        Raises:
            SettingsError, KeyFileError: they are missing or cannot be used.
        """
        root = read_trust_root(settings.trust_root)
        keys = load_relay_keys(settings.state)
        clock = SteadyClock(time.time, time.monotonic).now
        return cls(settings.state, settings.limits, root, keys, clock)


def open_replay(base: Base) -> ReplayFiles:
    """The native packets' replay memory; whatever an earlier life may have lost is logged."""
    files = _packet_memory(base)
    if files.is_far_ahead(base.clock()):
        # The clock was once far ahead. The old keys go first: then nothing recorded can come again under new tags.
        log.error("clock_was_ahead", packets_refused_until=files.refused_until, remedy="new packet keys")
        files.close()
        erase_packet_keys(base.state)
        files = _packet_memory(base)
    if files.loss is not None:
        log.warning("replay_memory_lost", loss=files.loss.value, packets_refused_until=files.refused_until)
    return files


def _packet_memory(base: Base) -> ReplayFiles:
    return replay_files(base, REPLAY_NAME, keys_existed=has_packet_keys(base.state))


def replay_files(base: Base, folder: str, *, keys_existed: bool) -> ReplayFiles:
    """A replay memory of its own, with the sizes that the operator wants.

    Args:
        folder: its name, inside of the state folder.
        keys_existed: whether packets could be opened before now, so that an empty memory is a loss.

    Raises:
        SettingsError, KeyFileError: they cannot be used.
    """
    return ReplayFiles(
        base.state / folder,
        now=base.clock(),
        slot_s=base.root.parameters.slot_s,
        keys_existed=keys_existed,
        entropy=os.urandom,
        boot_id=read_boot_id(os.urandom),
        capacity=base.limits.replay_entries,
    )


def open_packet_keys(base: Base) -> PacketKeyFiles:
    """The packet keys of now; open the replay memory first."""
    parameters = base.root.parameters
    schedule = KeySchedule(parameters.epoch_s, parameters.slot_s)
    packet_keys = PacketKeyFiles(base.state, schedule, entropy=os.urandom)
    packet_keys.rotate(base.clock())
    return packet_keys

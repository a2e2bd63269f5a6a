"""Opens the memory of Session's layers from its own folder.

Spec: docs/specs/session-onion.md §9.7; docs/decisions/0012-sessions-door.md says why a loss is answered so.
"""

from __future__ import annotations

import structlog

from onionpath.disk.private_files import erase_file
from onionpath.onion.replay import ReplayMemory
from relay.foundation import Base, replay_files
from relay.replay_files import ReplayFiles
from relay.session.keys import has_session_keys
from relay.session.layer_memory import LayerMemory
from relay.state_folder import SESSION_REPLAY_NAME

log = structlog.get_logger(__name__)


def open_memory_files(base: Base) -> ReplayFiles:
    """The memory's files; open them before the Session keys are made. What an earlier life may have lost is logged.

    Raises:
        SettingsError, KeyFileError: they cannot be used.
    """
    files = _files(base)
    if files.is_far_ahead(base.clock()):
        # The clock was once far ahead. The key stays, so the relay waits as after any loss, from now on.
        files.close()
        for path in sorted((base.state / SESSION_REPLAY_NAME).iterdir()):
            erase_file(path)
        files = _files(base)
    if files.loss is not None:
        log.warning("session_replay_memory_lost", loss=files.loss.value, refused_until=files.refused_until)
    return files


def layer_memory(base: Base, files: ReplayFiles) -> LayerMemory:
    """What is remembered in these files."""
    slot_s = base.root.parameters.slot_s
    memory = ReplayMemory(files, files.tag_key, slot_s=slot_s)
    return LayerMemory(memory, slot_s=slot_s, ours=base.keys.identity.relay_id)


def _files(base: Base) -> ReplayFiles:
    return replay_files(base, SESSION_REPLAY_NAME, keys_existed=has_session_keys(base.state))

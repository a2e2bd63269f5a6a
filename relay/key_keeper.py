"""Keeps a relay's packet keys and its replay window at the present."""

from __future__ import annotations

from collections.abc import Callable

import structlog
import trio

from onionpath.crypto.identity import RelayId
from onionpath.errors import KeyFileError
from onionpath.injected import UnixTime
from onionpath.onion.replay import ReplayMemory
from relay.keys import PacketKeyFiles, Rotation
from relay.switch import Switch

log = structlog.get_logger(__name__)

ROTATION_RETRY_S = 10.0
TELL_EVERY_S = 3_600.0


class KeyKeeper:
    """Rotates packet keys, and tells the switch and the network.

    Args:
        relay_id: ours.
        changed: called when there are new keys to publish.
        clock: Unix time that never goes back.
    """

    def __init__(
        self,
        switch: Switch,
        packet_keys: PacketKeyFiles,
        replay: ReplayMemory,
        *,
        relay_id: RelayId,
        changed: Callable[[], None],
        clock: Callable[[], UnixTime],
    ) -> None:
        self._switch = switch
        self._packet_keys = packet_keys
        self._replay = replay
        self._relay_id = relay_id
        self._changed = changed
        self._clock = clock
        self._tell_again_at = UnixTime(0.0)

    async def run(self) -> None:
        """Rotate until cancelled."""
        while True:
            rotation = self._rotate()
            retry_s = self._packet_keys.keys.schedule.slot_s
            if rotation is None:
                rotation, retry_s = Rotation((), ()), ROTATION_RETRY_S
            self._switch.use_keys(self._packet_keys.keys.accepted(self._relay_id, self._clock()))
            if rotation.create:
                log.info("packet_keys_rotated", made=len(rotation.create), erased=len(rotation.erase))
                self._changed()
            self._replay.advance(self._clock())
            self._tell_if_refusing()
            schedule = self._packet_keys.keys.schedule
            change = schedule.next_change(self._clock())
            # A slot's length at most: the window of the replay memory moves as well.
            await trio.sleep(min(max(0.01, change - self._clock()), retry_s))

    def _tell_if_refusing(self) -> None:
        """Nothing else shows an operator why a relay that seems well carries nothing."""
        now = self._clock()
        until = (self._replay.statistics().floor + 1) * self._packet_keys.keys.schedule.slot_s
        if until > now and now >= self._tell_again_at:
            log.error("packets_refused", seconds=round(until - now), until=until)
            self._tell_again_at = UnixTime(now + TELL_EVERY_S)

    def _rotate(self) -> Rotation | None:
        try:
            return self._packet_keys.rotate(self._clock())
        except KeyFileError as error:
            # A key is made a whole epoch before it is needed, so a full disk has time to be noticed and emptied.
            log.error("packet_keys_not_rotated", reason=str(error))
            return None

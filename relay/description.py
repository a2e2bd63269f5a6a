"""What a relay says of itself in its descriptor."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass

from onionpath.crypto.identity import RelayId
from onionpath.directory.address import Address
from onionpath.directory.descriptor import Descriptor
from onionpath.directory.session_door import SessionDoor
from onionpath.injected import UnixTime
from onionpath.service.exit_policy import ExitPolicy
from onionpath.service.registry import Registry
from onionpath.version import VERSION
from relay.foundation import Base
from relay.keys import PacketKeyFiles
from relay.serving import bound
from relay.settings import RelaySettings


@dataclass(frozen=True, slots=True)
class Description:
    """What a relay says of itself.

    Args:
        door: where it takes Session's onions, if it does.
    """

    settings: RelaySettings
    base: Base
    packet_keys: PacketKeyFiles
    listeners: Sequence[socket.socket]
    registry: Registry
    door: SessionDoor | None = None

    def now(self) -> Descriptor:
        """The relay as it is at this moment: its keys, addresses and services."""
        settings, keys, now = self.settings, self.base.keys, self.base.clock()
        published = settings.published if settings.relay.advertise else bound(self.listeners)
        return Descriptor(
            relay_id=keys.identity.relay_id,
            addresses=tuple(Address(endpoint.host, endpoint.port) for endpoint in published),
            link_key_hash=keys.link.key_hash,
            packet_keys=self.packet_keys.keys.published(now),
            family=tuple(sorted(RelayId(bytes.fromhex(member)) for member in settings.relay.family)),
            services=self._services(),
            exit_policy=ExitPolicy.parse(settings.exit.policy).rules if settings.exit.enabled else (),
            version=f"onionpath {VERSION}",
            published_at=UnixTime(int(now)),
            network_id=self.base.root.network_id,
            session=self.door,
        )

    def _services(self) -> tuple[int, ...]:
        """Those that clients can call."""
        return tuple(
            sorted(
                number for number, service in self.registry.services.items() if not service.limits.relays_only
            )
        )

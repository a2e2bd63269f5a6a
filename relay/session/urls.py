"""What a client of Session is told of a relay: where it comes in, and where it gets the list of nodes."""

from __future__ import annotations

from dataclasses import dataclass

from relay.settings import RelaySettings


@dataclass(frozen=True, slots=True)
class SessionUrls:
    """Both as ``https://IP:PORT…``; ``seed_url`` is None for a relay that isn't one."""

    door: str
    seed_url: str | None

    @classmethod
    def of(cls, settings: RelaySettings, port: int | None = None) -> SessionUrls:
        """Those that the settings of a relay with ``session.enabled`` lead to.

        Args:
            port: the one that is published; without it ``PORT`` stands for one that is only drawn at the start.
        """
        known = port or settings.session.advertise_port or settings.session_listen[0].port
        door = f"https://{settings.session_host}:{known or 'PORT'}"
        return cls(door, f"{door}/json_rpc" if settings.session.seed else None)

    def __str__(self) -> str:
        return self.door if self.seed_url is None else f"{self.door}, seed at {self.seed_url}"

"""A proxy over a client of the real network that the client's tests have, on asyncio and on trio."""

from tests.client.conftest import anyio_backend, closed_port, world

__all__ = ["anyio_backend", "closed_port", "world"]

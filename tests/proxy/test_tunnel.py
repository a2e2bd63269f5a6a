"""How long a tunnel waits for its next byte, and how much it holds of one that nobody takes."""

from __future__ import annotations

import anyio
from anyio.abc import ByteStream

from onionpath.proxy.tunnel import Idleness, tunnel


class Source(ByteStream):
    """Always has more, and never takes anything."""

    def __init__(self) -> None:
        self.given = 0

    async def receive(self, max_bytes: int = 65_536) -> bytes:
        await anyio.lowlevel.checkpoint()
        self.given += max_bytes
        return bytes(max_bytes)

    async def send(self, item: bytes) -> None:
        await anyio.sleep_forever()

    async def send_eof(self) -> None:
        await anyio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        await anyio.lowlevel.checkpoint()


async def test_each_byte_gives_another_while() -> None:
    idleness = Idleness(60.0)
    before = idleness.scope.deadline
    await anyio.sleep(0.001)
    idleness.moved()

    assert before < idleness.scope.deadline


async def test_whoever_takes_nothing_is_read_for_one_chunk_ahead() -> None:
    one, other = Source(), Source()
    await tunnel(one, other, idle_s=0.02)

    assert {65_536} == {one.given, other.given}

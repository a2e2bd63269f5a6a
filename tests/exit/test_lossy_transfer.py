"""Both ends of a stream together, over calls that get lost: every byte arrives, once and in order."""

from __future__ import annotations

import hashlib
from random import Random

import pytest
import trio

from onionpath.service.stream import REPLY_OVERHEAD, ReplyFlags, RequestFlags, StreamRequest
from onionpath.service.stream_polls import Poll, Polls
from onionpath.service.stream_reassembly import Reassembly
from relay.exit.streams import StreamService
from tests.exit.servers import END, LARGE, OPEN, TOKEN, ask, local_exit, server

LOOPBACK = b"127.0.0.1"


class LossyClient:
    """Carries a whole exchange over calls of which each may be lost before or after it takes effect."""

    def __init__(self, service: StreamService, port: int, sent: bytes, choice: Random) -> None:
        self.service, self.port, self.sent, self.choice = service, port, sent, choice
        self.polls = Polls(small_reply=8_032, large_reply=LARGE)
        self.pieces = Reassembly()
        self.acknowledged_up = 0
        self.answered = False
        self.received = hashlib.sha256()
        self.widest = 0

    async def run(self) -> str:
        while not self.pieces.finished:
            async with trio.open_nursery() as nursery:
                for poll in self.polls.due(self.pieces.missing(), now=0.0):
                    nursery.start_soon(self.poll, poll)
            self.widest = max(self.widest, self.polls.width)
            self.received.update(self.pieces.take(2**30))
        return self.received.hexdigest()

    def request(self, poll: Poll) -> StreamRequest:
        data = self.sent[self.acknowledged_up : self.acknowledged_up + self.choice.choice([0, 4_000, 60_000])]
        last = self.acknowledged_up + len(data) == len(self.sent)
        opens = {} if self.answered else {"host": LOOPBACK, "port": self.port}
        return StreamRequest(
            TOKEN,
            (RequestFlags.NONE if self.answered else OPEN) | (END if last else RequestFlags.NONE),
            upstream_offset=self.acknowledged_up,
            data=data,
            read_at=poll.read_at,
            acknowledged=self.pieces.received,
            at_least=poll.at_least,
            at_most=poll.at_most,
            wait_ms=20,
            **opens,
        )

    async def poll(self, poll: Poll) -> None:
        request = self.request(poll)
        if self.choice.random() < 0.1:
            return self.polls.lost(poll)
        reply = await ask(self.service, request, capacity=poll.at_most + REPLY_OVERHEAD)
        if self.choice.random() < 0.1:
            return self.polls.lost(poll)
        self.answered = True
        self.acknowledged_up = max(self.acknowledged_up, reply.upstream_received)
        if ReplyFlags.RESET not in reply.flags:
            self.pieces.add(reply.downstream_offset, reply.data)
        if ReplyFlags.END in reply.flags:
            self.pieces.end_at(reply.end)
        return self.polls.answered(poll, len(reply.data), now=100.0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
async def test_five_megabytes_each_way_survive_a_fifth_of_the_calls_being_lost(seed: int) -> None:
    choice = Random(seed)
    up, down = choice.randbytes(5_000_000), choice.randbytes(5_000_000)
    arrived = hashlib.sha256()

    async def exchange(stream: trio.SocketStream) -> None:
        async def receive() -> None:
            async for chunk in stream:
                arrived.update(chunk)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(receive)
            nursery.start_soon(stream.send_all, down)

    async with server(exchange) as port, local_exit() as service:
        client = LossyClient(service, port, up, choice)
        received = await client.run()
        statistics = service.statistics()

    assert hashlib.sha256(down).hexdigest() == received
    assert hashlib.sha256(up).hexdigest() == arrived.hexdigest()
    assert 1 == statistics.opened
    assert 1 < client.widest

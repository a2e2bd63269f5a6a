"""Storage calls of native clients: the body goes to the swarm, and its reply comes back whole or not at all."""

from __future__ import annotations

from onionpath.injected import UnixTime
from onionpath.onion.session_packets import ReplyForm, SessionReply
from onionpath.onion.session_replies import decode_reply
from onionpath.onion.statuses import Reason
from onionpath.service.calls import Call, Limits, Reply, ServiceId
from relay.storage_service import FRAME_SIZE, StorageService

LIMITS = Limits(has_effects=False)


class Full:
    """A destination that replies as long as it may, and longer if it is told to."""

    def __init__(self, *, beyond: int = 0) -> None:
        self._beyond = beyond

    async def answer(self, request: bytes, *, max_reply: int) -> SessionReply:
        body = b'["' + request + b"." * (max_reply + self._beyond - len(request) - 4) + b'"]'
        return SessionReply(200, body, is_json=True)


async def answer(destination: Full, *, capacity: int = 1_000) -> Reply:
    call = Call(ServiceId.STORAGE, b"asked", bytes(16), capacity, 1, UnixTime(0.0))
    return await StorageService(destination, limits=LIMITS).answer(call)


async def test_the_longest_reply_fits_its_class() -> None:
    reply = await answer(Full())

    assert 1_000 - FRAME_SIZE < len(reply.body) <= 1_000
    read = decode_reply(reply.body, ReplyForm.JSON)
    assert isinstance(read, SessionReply)
    assert (200, True) == (read.status, read.is_json)
    assert read.body.startswith(b'["asked')


async def test_a_reply_that_its_class_cannot_hold_is_refused_and_not_cut() -> None:
    assert Reply.refused(Reason.BAD_CALL) == await answer(Full(beyond=FRAME_SIZE))

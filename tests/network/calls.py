"""What is asked in the memory network, and the two ways in which no answer comes."""

from __future__ import annotations

from onionpath.onion.geometry import SizeClass
from onionpath.onion.packets import OnionCall
from onionpath.service.calls import Call, Limits, Reply, ServiceId


def echo(body: bytes = b"hello", *, large: bool = False, large_reply: bool = False) -> OnionCall:
    """A call to the echo service."""
    return OnionCall(ServiceId.ECHO, body, bytes(16), SizeClass(large), SizeClass(large_reply))


class LengthService:
    """Service 9: the length of what it is asked, only at the last hop and over links from relays."""

    limits = Limits()

    async def answer(self, call: Call) -> Reply:
        return Reply(str(len(call.body)).encode())


class RejectedError(Exception):
    """The first hop answered with REJECT."""


class UnansweredError(Exception):
    """Nothing came, or the link broke."""

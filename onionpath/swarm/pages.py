"""A page: what one member answered to one question for messages, without what is not named by its content.

Spec: docs/specs/storage.md §5.1, §6.3.
"""

from __future__ import annotations

from base64 import b64decode
from dataclasses import dataclass

import msgspec

from onionpath.errors import MalformedError
from onionpath.swarm.hashes import message_hash
from onionpath.swarm.operations import AccountId, Message

_MAX_PAGE_SIZE = 10 * 1024 * 1024  # bytes


@dataclass(frozen=True, slots=True)
class Page:
    """What one member answered to one question.

    Args:
        messages: in its own order; each has the hash that its content makes.
        altered: how many had another; they are shown to nobody.
    """

    messages: tuple[Message, ...]
    has_more: bool
    altered: int


class _Message(msgspec.Struct, frozen=True):
    hash: str
    timestamp: int
    expiration: int
    data: str


class _Retrieved(msgspec.Struct, frozen=True):
    messages: list[_Message]
    more: bool | int = False


def read_page(reply: bytes, account: AccountId, namespace: int) -> Page:
    """Read a member's answer, and drop what doesn't have the hash of its content.

    Raises:
        MalformedError: it is no list of messages.
    """
    if len(reply) > _MAX_PAGE_SIZE:
        raise MalformedError("a page of messages is too long")
    try:
        read = msgspec.json.decode(reply, type=_Retrieved)
        messages = [_message(each, account, namespace) for each in read.messages]
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise MalformedError("a member's answer is no list of messages") from error
    sound = tuple(
        message for message in messages if message_hash(account, namespace, message.data) == message.hash
    )
    return Page(sound, bool(read.more), len(messages) - len(sound))


def _message(given: _Message, account: AccountId, namespace: int) -> Message:
    data = b64decode(given.data, validate=True)
    return Message(account, namespace, given.hash, given.timestamp, given.expiration, data)

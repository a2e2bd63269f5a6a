"""What a member's reply is to whoever asked it: a receipt, a page of messages, or the reason why it is neither.

Spec: docs/specs/storage.md §4.1 to §4.3, §5.4, §6.2.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from onionpath.crypto.identity import RelayId
from onionpath.errors import MalformedError, RefusedError, UnreachableError
from onionpath.onion.session_packets import SessionReply
from onionpath.swarm.operations import AccountId
from onionpath.swarm.pages import Page, read_page
from onionpath.swarm.receipts import Receipt, ReceiptedRequest, read_receipt

# Another member may do what this one can't; of a write, 404 and 503 say who has done it all the same.
_ANOTHER_MAY = frozenset({421, 429, 502, 503, 504})
_HAS_PARTS = frozenset({200, 404, 503})
_MAX_QUOTED = 200  # characters of a reply that stand in an error


def receipt_in(reply: SessionReply, request: ReceiptedRequest, members: Sequence[RelayId]) -> Receipt:
    """What a reply to a write proves.

    Raises:
        UnreachableError: this member can't, or doesn't store for this account any more; another one may.
        RefusedError: this member refuses it, as any other may.
        MalformedError: this is no reply.
    """
    if reply.status in _HAS_PARTS and reply.body.startswith(b"{"):
        return read_receipt(request, reply.body, members)
    if reply.status in _ANOTHER_MAY:
        raise UnreachableError(f"a member of the swarm answered {_words(reply)}")
    raise _refused(reply)


class _Result(msgspec.Struct, frozen=True):
    body: msgspec.Raw
    code: int


class _Chosen(msgspec.Struct, frozen=True):
    result: _Result | None = None


def chosen_in(reply: SessionReply) -> SessionReply:
    """What a member answered to a request that names the document by which its asker goes.

    Raises:
        UnreachableError: it goes by an older one.
        RefusedError, MalformedError: this is no such answer.
    """
    if reply.status != 200:
        raise _refused(reply)
    try:
        result = msgspec.json.decode(reply.body, type=_Chosen).result
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise MalformedError("a member's answer is none to what was asked") from error
    if result is None:
        raise UnreachableError("a member of the swarm does not know the newest document yet")
    return SessionReply(result.code, bytes(result.body), is_json=True)


def page_in(reply: SessionReply, account: AccountId, namespace: int) -> Page:
    """The messages in a reply to a read.

    Raises:
        RefusedError: there are none, but a status that says why.
        MalformedError: this is no reply.
    """
    if reply.status != 200:
        raise _refused(reply)
    return read_page(reply.body, account, namespace)


def _refused(reply: SessionReply) -> RefusedError:
    return RefusedError(f"the swarm answered {_words(reply)}", reason=f"status {reply.status}")


def _words(reply: SessionReply) -> str:
    text = reply.body.decode(errors="replace")[:_MAX_QUOTED] if not reply.is_json else ""
    return f"{reply.status} {text}".rstrip()

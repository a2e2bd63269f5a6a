"""What a member's reply is to whoever asked it: a receipt, a page of messages, or the reason why it is neither.

Spec: docs/specs/storage.md §4.1 to §4.3, §5.4, §6.2.
"""

from __future__ import annotations

from collections.abc import Sequence

from onionpath.crypto.identity import RelayId
from onionpath.errors import RefusedError, UnreachableError
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

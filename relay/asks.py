"""What this relay asks others over links, without an onion: each ask ends exactly once.

    where it is                                    what ends it
    --------------------------------------------------------------------------------------------------
    sent over a link                               its ANSWER, the loss of that link, its deadline
    waits for a link that is being made            that it can't be made, its deadline; when it stands, it is sent
    nowhere yet                                    an unknown relay, one just found unreachable, too much under way
    any                                            whoever asked forgets it, and hears nothing

Spec: docs/specs/link.md §5.5.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from onionpath.crypto.identity import RelayId
from onionpath.errors import UsageError
from onionpath.injected import UnixTime
from onionpath.link.faults import Fault, FaultyPeerError
from onionpath.link.frames import (
    AnswerBody,
    CallBody,
    Frame,
    Kind,
    call_capacity,
    decode_answer,
    encode_call,
)
from onionpath.onion.geometry import Geometry, SizeClass
from onionpath.onion.statuses import Reason, ReplyStatus
from relay.exchanges import Exchanges
from relay.forwarding import Forwarding
from relay.limits import SwitchLimits
from relay.link import Link
from relay.link_table import LinkTable
from relay.step import Step

_REASONS = {int(reason): reason for reason in Reason}


class Ask(NamedTuple):
    """One of them.

    Args:
        number: the asker's own, by which it knows the answer.
        size_class, answer_class: of the CALL, and of the ANSWER that is asked for.
    """

    number: int
    relay: RelayId
    size_class: SizeClass
    answer_class: SizeClass
    deadline: UnixTime


class _Sent(NamedTuple):
    """Its CALL has left over this link."""

    link_id: int
    exchange_id: int


class _Waiting(NamedTuple):
    """Its CALL's body, until there is a link."""

    body: bytes

    def __repr__(self) -> str:
        return f"<_Waiting {len(self.body)} bytes>"


class Asks:
    """See the module's first lines.

    Args:
        forwarding: knows who may be asked, and makes the links.
        exchanges: holds the budget of bytes that wait for links.
        counts: of the switch, by named reason.
    """

    def __init__(
        self,
        geometry: Geometry,
        links: LinkTable,
        forwarding: Forwarding,
        exchanges: Exchanges,
        counts: Counter[str],
        limits: SwitchLimits,
    ) -> None:
        self._geometry = geometry
        self._links = links
        self._forwarding = forwarding
        self._exchanges = exchanges
        self._counts = counts
        self._limits = limits
        self._all: dict[int, tuple[Ask, _Sent | _Waiting]] = {}
        self._by_link: dict[int, dict[int, Ask]] = {}  # link, exchange id
        self._by_relay: dict[RelayId, dict[int, Ask]] = {}  # number

    def __len__(self) -> int:
        return len(self._all)

    def awaits(self, link_id: int) -> bool:
        """Whether anything waits for an answer over this link."""
        return link_id in self._by_link

    # Out.

    def ask(self, step: Step, number: int, relay: RelayId, call: CallBody, deadline: UnixTime) -> None:
        """Send a call, or have it wait until we can.

        Args:
            number: the asker's own, by which the answer is known; not one of an ask that is under way.

        Raises:
            UsageError: no frame is large enough for this call.
        """
        asked = Ask(number, relay, self._class_of(call), call.reply_class, deadline)
        reason = self._refusal(asked, step.now)
        if reason is not None:
            self._end(step, asked, reason)
            return
        self._by_relay.setdefault(relay, {})[number] = asked
        link = self._links.to(relay)
        if link is not None:
            self._send(step, link, asked, encode_call(call))
        else:
            self._wait(step, asked, encode_call(call))

    def _class_of(self, call: CallBody) -> SizeClass:
        for size_class in SizeClass:
            if len(call.body) <= call_capacity(self._geometry, size_class):
                return size_class
        raise UsageError(f"a call of {len(call.body)} bytes fits no frame")

    def _refusal(self, asked: Ask, now: UnixTime) -> Reason | None:
        """Why it can be neither sent nor wait, if so."""
        if not self._forwarding.knows(asked.relay):
            return Reason.NEXT_UNKNOWN
        if len(self._all) >= self._limits.asks:
            return Reason.NEXT_CONGESTED
        if len(self._by_relay.get(asked.relay, ())) >= self._limits.asks_per_peer:
            return Reason.NEXT_CONGESTED
        if self._links.to(asked.relay) is None and self._forwarding.avoids(asked.relay, now):
            return Reason.NEXT_UNREACHABLE
        return None

    def _send(self, step: Step, link: Link, asked: Ask, body: bytes) -> None:
        if link.backlog.size >= self._limits.queued_bytes_per_peer:
            self._drop(asked)
            self._end(step, asked, Reason.NEXT_CONGESTED)
            return
        sent = _Sent(link.link_id, link.fresh_exchange_id())
        self._all[asked.number] = asked, sent
        self._by_link.setdefault(sent.link_id, {})[sent.exchange_id] = asked
        self._counts["asked"] += 1
        step.write(link, Kind.CALL, body=body, size_class=asked.size_class, exchange_id=sent.exchange_id)

    def _wait(self, step: Step, asked: Ask, body: bytes) -> None:
        if not self._exchanges.hold(len(body), at_most=self._limits.dial_bytes):
            self._drop(asked)
            self._end(step, asked, Reason.NEXT_CONGESTED)
            return
        self._all[asked.number] = asked, _Waiting(body)
        self._forwarding.want(step, asked.relay)

    # Back.

    def take_answer(self, step: Step, link: Link, frame: Frame) -> None:
        """An ANSWER came.

        Raises:
            FaultyPeerError: it has not the specified form, or comes from a client, whom nobody ever asks.
        """
        answer = decode_answer(frame.body)
        asked = self._by_link.get(link.link_id, {}).get(frame.exchange_id)
        if asked is not None:
            self._take(asked)
            is_well_sized = frame.size_class is asked.answer_class
            self._end(step, asked, _result(answer) if is_well_sized else Reason.NEXT_MALFORMED)
            return
        self._counts["answer_unexpected"] += 1
        if link.is_client:
            raise FaultyPeerError(Fault.REPLY_FROM_CLIENT)

    def forget(self, number: int) -> None:
        """Whoever asked does not want to know any more; a late answer is one that nobody waits for."""
        found = self._all.get(number)
        if found is not None:
            self._take(found[0])

    # Links come and go, and time passes.

    def reached(self, step: Step, link: Link, relay: RelayId) -> None:
        """A link to this relay is proven: what waited for it goes."""
        for asked, body in self._waiting_for(relay):
            self._exchanges.release(len(body))
            self._send(step, link, asked, body)

    def not_reached(self, step: Step, relay: RelayId) -> None:
        """No link could be made: what waited for it ends."""
        for asked, _ in self._waiting_for(relay):
            self._fail(step, asked, Reason.NEXT_UNREACHABLE)

    def lost(self, step: Step, link_id: int) -> None:
        """A link is gone: what waits for answers over it ends."""
        for asked in list(self._by_link.get(link_id, {}).values()):
            self._fail(step, asked, Reason.NEXT_CLOSED)

    def end_overdue(self, step: Step) -> None:
        """End what has waited for too long."""
        late = [each for each in self._all.values() if each[0].deadline <= step.now]
        for asked, place in late:
            is_sent = isinstance(place, _Sent)
            self._fail(step, asked, Reason.NEXT_TIMED_OUT if is_sent else Reason.NEXT_UNREACHABLE)

    def _waiting_for(self, relay: RelayId) -> list[tuple[Ask, bytes]]:
        found = [self._all[number] for number in self._by_relay.get(relay, ())]
        return [(asked, place.body) for asked, place in found if isinstance(place, _Waiting)]

    # Ends.

    def _fail(self, step: Step, asked: Ask, reason: Reason) -> None:
        self._take(asked)
        self._end(step, asked, reason)

    def _end(self, step: Step, asked: Ask, result: bytes | Reason) -> None:
        """Tell the asker, of an ask that is in no table any more."""
        if isinstance(result, Reason):
            self._counts[f"ask_{result.name.lower()}"] += 1
        step.actions.answers.append((asked.number, result))

    def _take(self, asked: Ask) -> None:
        """Remove an ask from wherever it is, with what it holds there."""
        match self._all[asked.number][1]:
            case _Waiting(body):
                self._exchanges.release(len(body))
            case _Sent(link_id, exchange_id):
                of_link = self._by_link[link_id]
                del of_link[exchange_id]
                if not of_link:
                    del self._by_link[link_id]
        self._drop(asked)

    def _drop(self, asked: Ask) -> None:
        """Remove an ask that holds no bytes and awaits nothing over a link."""
        self._all.pop(asked.number, None)
        of_relay = self._by_relay[asked.relay]
        del of_relay[asked.number]
        if not of_relay:
            del self._by_relay[asked.relay]


def _result(answer: AnswerBody) -> bytes | Reason:
    """What an answer says; one that contradicts itself is of no form that a relay sends.

    Nor is one that speaks of an edge: that it was not reached is nothing that a relay can say of itself.
    """
    reason = _REASONS.get(answer.reason)
    match answer.status, reason:
        case ReplyStatus.ANSWERED, Reason.NONE:
            return answer.body
        case ReplyStatus.REFUSED, Reason() if reason >= Reason.SERVICE_UNKNOWN and not answer.body:
            return reason
        case _:
            return Reason.NEXT_MALFORMED

"""What is read of a namespace: while members give their pages, and then as the caller gets it.

Spec: docs/specs/storage.md §6.3, §6.4.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from onionpath.client.swarm_replies import chosen_in, page_in
from onionpath.crypto.identity import RelayId
from onionpath.errors import OnionPathError, UnreachableError
from onionpath.onion.session_packets import SessionReply
from onionpath.swarm.majorities import enough_to_read
from onionpath.swarm.operations import Message
from onionpath.swarm.owner import Owner
from onionpath.swarm.signing import encode_request, retrieve_request
from onionpath.swarm.view import View, in_order

# Years of a person's messages, and little enough for a telephone; one page of each member may stand above it.
MAX_READING_SIZE = 64 * 1024 * 1024  # bytes
# What a message without content takes in memory, so that very many of those are bounded as well.
_MESSAGE_OVERHEAD = 512  # bytes


@dataclass(frozen=True, slots=True)
class Reading:
    """What a namespace holds that was not known before.

    Args:
        messages: by the sender's time; each once, whoever of the members gave it.
        view: for the next reading.
        answered: the members that were asked and answered.
        failed: those that did not, and why.
        altered: members that gave messages whose content had another hash, and how many; none is in ``messages``.
        unfinished: those of ``answered`` that say that they have more than one reading holds; the next one with this
            view goes on there.
    """

    messages: tuple[Message, ...]
    view: View
    answered: tuple[RelayId, ...]
    failed: Mapping[RelayId, str]
    altered: Mapping[RelayId, int]
    unfinished: frozenset[RelayId] = frozenset()

    @property
    def withheld(self) -> Mapping[RelayId, frozenset[str]]:
        """See ``View.withheld``; whoever has not come to its end withholds nothing."""
        withheld = self.view.withheld()
        return {member: names for member, names in withheld.items() if member not in self.unfinished}


@dataclass(slots=True)
class Gathering:
    """A reading under way.

    Args:
        members: of the swarm.
        view: what is known so far, of these members.
        document: by which these are the members. One that goes by an older one may not have been told yet what others
            have acknowledged, so that its answer does not count. None where nobody numbers the lists of members.
    """

    owner: Owner
    namespace: int
    members: Sequence[RelayId]
    view: View
    document: int | None = None
    messages: list[Message] = field(default_factory=list)
    answered: list[RelayId] = field(default_factory=list)
    failed: dict[RelayId, str] = field(default_factory=dict)
    altered: dict[RelayId, int] = field(default_factory=dict)
    unfinished: set[RelayId] = field(default_factory=set)
    _taken: dict[RelayId, int] = field(default_factory=dict)  # bytes, of messages that were new

    @property
    def needed(self) -> int:
        """How many members must answer."""
        return enough_to_read(len(self.members))

    def next_request(self, member: RelayId, *, now_ms: int) -> bytes:
        """For the page after all that a member has given."""
        after = self.view.cursor(member).last
        request = retrieve_request(self.owner, namespace=self.namespace, after=after, now_ms=now_ms)
        return encode_request(request, document=self.document)

    def take(self, member: RelayId, reply: SessionReply, *, now_ms: int) -> bool:
        """Take note of a member's page; whether it has others after it.

        Raises:
            UnreachableError: it goes by an older document.
            RefusedError, MalformedError: there is no page in the reply.
        """
        if self.document is not None:
            reply = chosen_in(reply)
        page = page_in(reply, self.owner.account, self.namespace)
        new = self.view.new(page, now_ms=now_ms)
        self.messages += new
        size = sum(len(message.data) + _MESSAGE_OVERHEAD for message in new)
        self._taken[member] = self._taken.get(member, 0) + size
        self.view = self.view.after(member, page, now_ms=now_ms)
        if page.altered:
            self.altered[member] = self.altered.get(member, 0) + page.altered
        # A page without messages moves no cursor, so that the next one would be the same.
        return page.has_more and bool(page.messages)

    def has_room_for(self, member: RelayId) -> bool:
        """Whether it may give more: each has a share of its own, lest one that makes up messages leaves none."""
        return self._taken.get(member, 0) < MAX_READING_SIZE // len(self.members)

    def fail(self, member: RelayId, error: OnionPathError) -> None:
        """A member did not give all of its pages."""
        self.failed[member] = str(error)

    def end(self, member: RelayId, *, has_more: bool) -> None:
        """A member has given all of its pages, or all that there is room for."""
        self.answered.append(member)
        self.failed.pop(member, None)
        if has_more:
            self.unfinished.add(member)

    def result(self) -> Reading:
        """What came of it.

        Raises:
            UnreachableError: so few members answered that an acknowledged message may be missing.
        """
        if len(self.answered) < self.needed:
            failures = "; ".join(sorted(set(self.failed.values()))) or "no answer in time"
            raise UnreachableError(
                f"{len(self.answered)} of {len(self.members)} members answered and {self.needed} must: {failures}"
            )
        return Reading(
            in_order(self.messages),
            self.view,
            tuple(self.answered),
            self.failed,
            self.altered,
            frozenset(self.unfinished),
        )

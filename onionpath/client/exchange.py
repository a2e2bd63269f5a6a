"""An exchange over one path that is under way: it may end after whoever asked has given it up."""

from __future__ import annotations

from typing import Generic

from onionpath.client.pace import Bell, Cancel
from onionpath.client.path_format import AnswerT, FirstHop
from onionpath.client.ready_path import ReadyPath
from onionpath.errors import OnionPathError, UnreachableError
from onionpath.onion.geometry import SizeClass
from onionpath.path.ended import Ended


class Exchange(Generic[AnswerT]):
    """One packet over one path.

    Made by ``Paths.begin``; it has ended when it has an answer or an error, and the bell rings then.
    """

    def __init__(self, ready: ReadyPath, bell: Bell, *, sent_at: float) -> None:
        self.ready = ready
        self.sent_at = sent_at
        self.answer: AnswerT | None = None
        self.error: OnionPathError | None = None
        self.cancel: Cancel = lambda: None
        self.connection: FirstHop | None = None
        self._heard = 0
        self._bell = bell

    @property
    def has_ended(self) -> bool:
        """Whether there is an answer or an error."""
        return self.answer is not None or self.error is not None

    @property
    def was_silent(self) -> bool:
        """Whether nothing at all has come from the first hop since the packet left."""
        return self.connection is None or self.connection.heard == self._heard

    def leaves_over(self, connection: FirstHop) -> None:
        """The packet is about to be sent."""
        self.connection, self._heard = connection, connection.heard

    def end(self, result: AnswerT | OnionPathError) -> None:
        """It ends, once."""
        if isinstance(result, OnionPathError):
            self.error = result
        else:
            self.answer = result
        self._bell.ring()

    def ended(self, reply_class: SizeClass, *, now: float, counts_for_guard: bool) -> Ended:
        """What is to be learned from its end; see ``Ended``."""
        took_s, answer = now - self.sent_at, self.answer
        if answer is not None:
            return Ended(
                reply_class,
                took_s - answer.held_s,
                answer.hop,
                answer.lying_edge,
                is_answered=True,
                counts_for_guard=counts_for_guard,
            )
        edge = self.error.edge if isinstance(self.error, UnreachableError) else None
        speaker = edge.speaker if edge is not None and edge.speaker >= 0 else None
        is_ours = edge is None and self.was_silent
        return Ended(reply_class, took_s, speaker, edge, is_ours=is_ours, counts_for_guard=counts_for_guard)

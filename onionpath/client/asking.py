"""One call through the onion: its attempts one after the other, or beside each other, until the first answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic

from onionpath.client.attempts import Attempt, Attempts, GiveUp
from onionpath.client.exchange import Exchange
from onionpath.client.pace import Bell
from onionpath.client.path_format import AnswerT, CallT
from onionpath.client.paths import Paths
from onionpath.client.ready_path import NOTHING_LEFT_OUT, LeftOut, Need, ReadyPath
from onionpath.errors import OnionPathError, UnreachableError
from onionpath.path.timeouts import Waits


@dataclass(slots=True)
class Asking(Generic[CallT, AnswerT]):
    """A call under way; ``ask`` carries it out, once.

    Args:
        rule: how often and how long.
        need, isolation: which paths serve.
    """

    paths: Paths[CallT, AnswerT]
    rule: Attempts
    need: Need
    isolation: str
    call: CallT
    made: int = 0
    ready: ReadyPath | None = None
    failure: OnionPathError | None = None
    _begun: list[Exchange[AnswerT]] = field(default_factory=list)
    _left_out: LeftOut = NOTHING_LEFT_OUT

    async def ask(self) -> AnswerT:
        """The last hop's answer, which may be a refusal.

        Raises:
            UnreachableError, OutcomeUnknownError: see ``Attempts``.
            NoPathError, DirectoryError: there is no path for the first attempt, or none for another.
        """
        try:
            return await self._answer()
        except OnionPathError:
            raise
        except BaseException:
            # Whoever is cancelled leaves nothing under way.
            for exchange in self._begun:
                exchange.cancel()
            raise

    async def _answer(self) -> AnswerT:
        bell = self.paths.pace.bell()
        step: Attempt | GiveUp = self.rule.first(self._waits(), now=self.paths.pace.now())
        while isinstance(step, Attempt):
            if step.pause_s:
                await bell.wait(step.pause_s)
            self._begin(step, bell)
            await self._wait(step, bell)
            # An attempt that was given up may still be the first to answer.
            answered = next((each for each in self._begun if each.answer is not None), None)
            if answered is None or answered.answer is None:
                step = self._next(step)
                continue
            follows = self.rule.after_answer(step, answered.answer, now=self.paths.pace.now())
            if follows is None:
                return answered.answer
            self._begun.remove(answered)
            step = follows
        raise step.error

    def _waits(self) -> Waits:
        return self.paths.waits_for(self.call)

    def _begin(self, step: Attempt, bell: Bell) -> None:
        if step.is_repetition and self.ready is not None:
            self.need = self.need._replace(exit=self.ready.exit)
            self.call = self.paths.repeated(self.call)
        try:
            self.ready = self.paths.ready(self.need, self.isolation, self._left_out)
        except OnionPathError as error:
            raise self.rule.without_path(step, error) from error
        self.made, self.failure = step.number, None
        self._begun.append(self.paths.begin(self.ready, self.call, bell))

    async def _wait(self, step: Attempt, bell: Bell) -> None:
        """Until somebody answers, this attempt fails, or it is time for what follows it."""
        latest, pace = self._begun[-1], self.paths.pace
        wait_s = step.timeout_s if step.hedge_after_s is None else step.hedge_after_s
        ends_at = latest.sent_at + wait_s
        while not latest.has_ended and not any(each.answer for each in self._begun):
            left_s = ends_at - pace.now()
            if left_s <= 0:
                return
            await bell.wait(left_s)

    def _next(self, step: Attempt) -> Attempt | GiveUp:
        latest, now = self._begun[-1], self.paths.pace.now()
        error = latest.error
        if error is None and step.hedge_after_s is not None:
            self._left_out = self._left_out.after(latest.ready, None)
            return self.rule.beside(step, self._waits(), now=now)
        if error is None:
            error = self.paths.give_up(latest)
        self.failure = error
        edge = error.edge if isinstance(error, UnreachableError) else None
        self._left_out = self._left_out.after(latest.ready, edge)
        return self.rule.after(step, error, self._waits(), now=now)

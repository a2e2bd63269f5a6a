"""Ready paths, and packets over them: what calls and streams have in common.

No second attempt is made here, and no deadline is set but the caller's; whoever tries again knows whether he may.
Every exchange teaches the pool how it ended, also one that its caller has given up: it stays open until its hops have
lost their patience, because the late answer clears the guard or names an edge (docs/specs/paths.md §2.4).
The same object works for each format, over sockets and in virtual time: how to carry and how to wait are arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic

from onionpath.client.exchange import Exchange
from onionpath.client.pace import Bell, Pace
from onionpath.client.path_format import AnswerT, CallT, FirstHop, PathFormat
from onionpath.client.path_pool import PathPool
from onionpath.client.ready_path import NOTHING_LEFT_OUT, LeftOut, Need, ReadyPath, has_current_keys
from onionpath.errors import DeadlineError, Edge, OnionPathError, UnreachableError
from onionpath.injected import UnixTime
from onionpath.onion.geometry import SizeClass
from onionpath.onion.packets import Answer, OnionCall
from onionpath.path.relays import RelayList
from onionpath.path.timeouts import Waits
from onionpath.service.calls import ServiceId

# A service has 25 s and each hop before waits 2 s longer (docs/specs/link.md §6.4); nothing is to be heard after this.
PATIENCE_S = 36.0
# Given up by their callers, and still open; a client whose paths are all silent closes the oldest.
MAX_ABANDONED = 128
# A guard that answers no ping in this time is not there; a whole round trip around the world is a tenth of it.
PING_S = 5.0


class Paths(Generic[CallT, AnswerT]):
    """The paths of one client.

    Args:
        path_format: how a call is carried over a path.
        relays: from which paths are drawn now; raises ``MissingDirectoryError`` if there are none.
        report: is told how each exchange ended: None, or what went wrong.
    """

    def __init__(
        self,
        pool: PathPool,
        path_format: PathFormat[CallT, AnswerT],
        *,
        relays: Callable[[], RelayList],
        clock: Callable[[], UnixTime],
        pace: Pace,
        report: Callable[[OnionPathError | None], None],
    ) -> None:
        self._pool, self._format, self._relays = pool, path_format, relays
        self._clock, self.pace = clock, pace
        self._report = report
        self._abandoned: list[Exchange[AnswerT]] = []
        self._pinged: set[FirstHop] = set()

    def ready(self, need: Need, isolation: str, left_out: LeftOut = NOTHING_LEFT_OUT) -> ReadyPath:
        """The path that the next exchange of this need and key takes.

        Raises:
            NoPathError, DirectoryError: there is none.
        """
        return self._pool.ready(self._relays(), need, isolation, now=self._clock(), left_out=left_out)

    def retire(self, ready: ReadyPath) -> None:
        """Let nothing new take this path."""
        self._pool.retire(ready)

    def repeated(self, call: CallT) -> CallT:
        """See ``PathFormat``."""
        return self._format.repeated(call)

    def waits(self, reply_class: SizeClass) -> Waits:
        """How long to wait for a reply of this class now."""
        return self._pool.waits(reply_class)

    def waits_for(self, call: CallT) -> Waits:
        """How long to wait for the reply to this call now."""
        return self.waits(self._format.reply_class(call))

    def is_current(self, ready: ReadyPath) -> bool:
        """Whether each relay of the path still publishes the key that packets would be sealed to."""
        return has_current_keys(self._relays(), ready, now=self._clock())

    async def exchange(self, ready: ReadyPath, call: CallT, *, timeout_s: float) -> AnswerT:
        """One packet over one path and its answer.

        Raises:
            DeadlineError, UnreachableError: with ``.edge`` where the answer, or its absence, accuses one.
        """
        bell = self.pace.bell()
        exchange = self.begin(ready, call, bell)
        ends_at = exchange.sent_at + timeout_s
        try:
            while not exchange.has_ended and (left_s := ends_at - self.pace.now()) > 0:
                await bell.wait(left_s)
        except BaseException:
            exchange.cancel()
            raise
        if exchange.answer is not None:
            return exchange.answer
        if exchange.error is not None:
            raise exchange.error
        raise self.give_up(exchange)

    def begin(self, ready: ReadyPath, call: CallT, bell: Bell) -> Exchange[AnswerT]:
        """Send one packet; the bell rings when the exchange has ended."""
        exchange: Exchange[AnswerT] = Exchange(ready, bell, sent_at=self.pace.now())
        is_first = self._pool.begin(ready)
        exchange.cancel = self.pace.start(lambda: self._run(exchange, call, is_first=is_first))
        return exchange

    def give_up(self, exchange: Exchange[AnswerT]) -> DeadlineError:
        """Nothing new takes its path; the exchange stays open for what may still be learned from it."""
        self.retire(exchange.ready)
        self._abandoned = [each for each in self._abandoned if not each.has_ended]
        self._abandoned.append(exchange)
        while len(self._abandoned) > MAX_ABANDONED:
            self._abandoned.pop(0).cancel()
        if exchange.connection is not None and exchange.was_silent:
            self._check(exchange.connection)
        failure = DeadlineError(f"no answer over this path in {self.pace.now() - exchange.sent_at:.1f} s")
        self._report(failure)
        return failure

    def _check(self, connection: FirstHop) -> None:
        """Ask a guard whether it is there at all: no later hop can answer this, or keep it from being answered."""
        if connection not in self._pinged:
            self._pinged.add(connection)
            self.pace.start(lambda: self._ping(connection))

    async def _ping(self, connection: FirstHop) -> None:
        try:
            await self.pace.within(PING_S, connection.ping())
        except TimeoutError:
            await connection.aclose()
        except UnreachableError:
            pass
        finally:
            self._pinged.discard(connection)

    async def _run(self, exchange: Exchange[AnswerT], call: CallT, *, is_first: bool) -> None:
        result: AnswerT | OnionPathError
        try:
            carried = self._format.carry(exchange.ready, call, exchange.leaves_over)
            result = await self.pace.within(PATIENCE_S, carried)
        except TimeoutError:
            result = DeadlineError(f"no answer over this path in {PATIENCE_S:.0f} s")
        except OnionPathError as error:
            result = error
        except BaseException:
            # Whoever still waits is told; nothing is learned of what we broke off ourselves.
            exchange.end(UnreachableError("the exchange was broken off"))
            raise
        exchange.end(result)
        ended = exchange.ended(
            self._format.reply_class(call),
            now=self.pace.now(),
            counts_for_guard=self._format.names_edges,
        )
        self._pool.learn(exchange.ready, ended, is_first=is_first, now=self._clock())
        if exchange.answer is not None or exchange not in self._abandoned:
            self._report(exchange.error)


NativePaths = Paths[OnionCall, Answer]


class ExitPaths:
    """Paths for one stream: to any exit at first, to the same one ever after."""

    def __init__(self, paths: NativePaths, port: int, isolation: str) -> None:
        self._paths = paths
        self._need = Need(ServiceId.STREAM, port)
        self._isolation = isolation
        self._left_out = NOTHING_LEFT_OUT

    async def path_to_exit(self) -> ReadyPath:
        """A path for the stream's next calls."""
        ready = self._paths.ready(self._need, self._isolation, self._left_out)
        self._need = self._need._replace(exit=ready.exit)
        return ready

    def is_current(self, ready: ReadyPath) -> bool:
        """See ``Paths.is_current``."""
        return self._paths.is_current(ready)

    def retire(self, ready: ReadyPath, edge: Edge | None) -> None:
        """See ``Paths.retire``; the stream's next path does without both ends of the edge."""
        self._left_out = NOTHING_LEFT_OUT.after(ready, edge)
        self._paths.retire(ready)

    async def exchange(self, ready: ReadyPath, call: OnionCall, *, timeout_s: float) -> Answer:
        """See ``Paths.exchange``."""
        return await self._paths.exchange(ready, call, timeout_s=timeout_s)

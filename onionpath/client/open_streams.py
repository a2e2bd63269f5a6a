"""The streams of one client: opened in up to three attempts, each run by a task of its own, closed together."""

from __future__ import annotations

import os
from collections.abc import Callable

import anyio
from anyio.abc import TaskGroup

from onionpath.client.attempts import Attempt, Attempts, GiveUp
from onionpath.client.paths import ExitPaths, NativePaths
from onionpath.client.stream import OnionStream
from onionpath.errors import DeadlineError, OnionPathError, UnreachableError
from onionpath.onion.geometry import Geometry, SizeClass

# Saying goodbye to an exit is a courtesy; it may not hold up a program that ends.
GOODBYE_S = 1.0
# A relay answers calls that arrive together in any order, and a CLOSE that overtook its OPEN would close nothing.
OVERTAKE_S = 0.25


class OpenStreams:
    """See the module's first lines.

    Args:
        changed: is told whenever there is one more or one less.
    """

    def __init__(self, geometry: Geometry, *, changed: Callable[[], None]) -> None:
        self._geometry = geometry
        self._changed = changed
        self._streams: set[OnionStream] = set()
        self._is_closing = False
        self._ended = anyio.Event()

    def __len__(self) -> int:
        return len(self._streams)

    async def open(
        self, host: str, port: int, *, isolation: str, deadline_s: float, paths: NativePaths, tasks: TaskGroup
    ) -> OnionStream:
        """A stream that is open, and that a task of ``tasks`` runs until it ends.

        Args:
            host: in ASCII.

        Raises:
            DeadlineError, UnreachableError, RefusedError: see ``Client.open_stream``.
        """
        # Until a byte of the program is sent, opening at another exit changes nothing but who connects.
        attempts = Attempts(is_repeatable=True, deadline_at=anyio.current_time() + deadline_s)
        waits = paths.waits(SizeClass.SMALL)
        step: Attempt | GiveUp = attempts.first(waits, now=anyio.current_time())
        failure: OnionPathError | None = None
        with anyio.move_on_after(deadline_s):
            while isinstance(step, Attempt):
                stream = OnionStream(
                    ExitPaths(paths, port, isolation),
                    token=os.urandom(16),
                    host=host,
                    port=port,
                    geometry=self._geometry,
                    attempt=step.number,
                )
                try:
                    # Not within the attempt's own time: resolving and connecting may take an exit longer.
                    await self._open(stream, tasks)
                except UnreachableError as error:
                    failure = error
                    step = attempts.after(step, error, waits, now=anyio.current_time())
                else:
                    return stream
            raise step.error
        because = f": {failure}" if failure else ""
        raise DeadlineError(f"no connection to {host}:{port} within {deadline_s:.0f} s{because}") from failure

    async def aclose(self) -> None:
        """Close all, and open none any more; takes a second at most."""
        self._is_closing = True
        for stream in list(self._streams):
            await stream.aclose()
        with anyio.move_on_after(GOODBYE_S):
            while self._streams:
                self._ended = anyio.Event()
                await self._ended.wait()

    async def _open(self, stream: OnionStream, tasks: TaskGroup) -> None:
        try:
            await stream.open()
        except anyio.get_cancelled_exc_class():
            # The exit may have connected by now; it is told to forget it.
            stream.abandon()
            self._adopt(stream, tasks, goodbye_after_s=OVERTAKE_S)
            raise
        self._adopt(stream, tasks)

    def _adopt(self, stream: OnionStream, tasks: TaskGroup, *, goodbye_after_s: float = 0.0) -> None:
        """From now on the stream is ours to run, and to close."""
        if self._is_closing:
            stream.abandon()
            return
        self._streams.add(stream)
        tasks.start_soon(self._run, stream, goodbye_after_s)

    async def _run(self, stream: OnionStream, goodbye_after_s: float) -> None:
        self._changed()
        try:
            await stream.run()
            with anyio.move_on_after(GOODBYE_S):
                await anyio.sleep(goodbye_after_s)
                await stream.say_goodbye()
        finally:
            self._streams.discard(stream)
            self._ended.set()
            self._changed()

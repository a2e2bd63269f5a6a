"""A client in an event loop of its own, in a thread, for programs that have none.

| state | ends when |
|---|---|
| new | ``start``, or ``close`` |
| starting | the client is entered, or fails to be, or ``close`` |
| running | ``close`` |
| failed, closed | never: a client is entered once |
"""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError, Future
from contextlib import suppress

import anyio
from anyio.from_thread import BlockingPortal

from onionpath.client.client import Client
from onionpath.errors import DeadlineError, UsageError

# The client's own goodbyes take two seconds at most; then whatever still holds up the loop is not waited for.
CLOSE_S = 5.0


class ClientThread:
    """Enters the client in a thread, and leaves it there. Its methods may be called from any other thread."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._lock = threading.Lock()
        # A program that ends without closing isn't held up by it.
        self._thread = threading.Thread(target=self._run, name="onionpath", daemon=True)
        self._is_started = self._is_closed = False
        self._loop: Future[BlockingPortal] = Future()
        self._entered: Future[BlockingPortal] = Future()

    def start(self, timeout_s: float) -> BlockingPortal:
        """Start it unless it runs, and give the way into its loop.

        Raises:
            UsageError: it was closed. DeadlineError: it is not ready yet; a later call may find it so.
            OnionPathError: as on entering the client; each later call raises it again.
        """
        with self._lock:
            if self._is_closed:
                raise UsageError("the transport is closed; a client is entered once")
            if not self._is_started:
                self._is_started = True
                self._thread.start()
        try:
            return self._entered.result(timeout_s)
        except TimeoutError as error:
            raise DeadlineError(f"the client was not ready within {timeout_s:g} s") from error

    def close(self) -> None:
        """End whatever is under way, close the client and end the thread; legal more than once.

        Raises:
            DeadlineError: the thread did not end in time; it is left behind.
        """
        with self._lock:
            self._is_closed = True
            if not self._is_started:
                return
        # A loop that hangs holds up whoever asks it, so somebody else does.
        threading.Thread(target=self._ask_to_stop, name="onionpath closing", daemon=True).start()
        self._thread.join(CLOSE_S)
        if self._thread.is_alive():
            raise DeadlineError(f"the client's thread did not end within {CLOSE_S:g} s")

    def _ask_to_stop(self) -> None:
        # The loop may have ended by itself, or by another thread's call.
        with suppress(CancelledError, RuntimeError):
            portal = self._loop.result()
            portal.start_task_soon(self._stop, portal)

    def _run(self) -> None:
        try:
            anyio.run(self._live)
        finally:
            self._loop.cancel()
            if not self._entered.done():
                self._entered.set_exception(
                    UsageError("the transport was closed before the client was ready")
                )

    async def _live(self) -> None:
        async with BlockingPortal() as portal:
            self._stopping = anyio.Event()
            self._loop.set_result(portal)
            try:
                async with self._client:
                    self._entered.set_result(portal)
                    await self._stopping.wait()
            except Exception as error:
                if self._entered.done():
                    raise
                self._entered.set_exception(error)
            await portal.stop(cancel_remaining=True)

    async def _stop(self, portal: BlockingPortal) -> None:
        self._stopping.set()
        # A client that is entered leaves by itself, because a cancelled one could not say goodbye to its exits.
        if not self._entered.done():
            await portal.stop(cancel_remaining=True)

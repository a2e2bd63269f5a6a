"""Fetches from other authorities the descriptors of a document that was agreed on while we were away."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from functools import partial

import structlog
import trio

from onionpath.directory.directory import Directory
from onionpath.directory.trust import TrustRoot
from onionpath.errors import OnionPathError, UnreachableError
from onionpath.injected import UnixTime
from onionpath.link.frames import CallBody
from onionpath.link.neighbour import Neighbour
from onionpath.onion.geometry import SizeClass
from onionpath.onion.statuses import ReplyStatus
from onionpath.service.calls import ServiceId
from onionpath.service.directory_fetch import DirectoryFetch
from relay.authority.publishing import Publishing
from relay.caller import calling

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 1.0
FETCH_TIMEOUT_S = 60.0


async def catch_up_forever(
    publishing: Publishing,
    root: TrustRoot,
    others: Sequence[Neighbour],
    *,
    context: ssl.SSLContext,
    clock: Callable[[], UnixTime],
) -> None:
    """Fetch whenever descriptors are lacking, until cancelled."""
    while True:
        for other in others:
            if publishing.lacking is None:
                break
            await _fetch(publishing, root, other, context, clock)
        await trio.sleep(LOOK_EVERY_S)


async def _fetch(
    publishing: Publishing,
    root: TrustRoot,
    other: Neighbour,
    context: ssl.SSLContext,
    clock: Callable[[], UnixTime],
) -> None:
    try:
        with trio.fail_after(FETCH_TIMEOUT_S):
            publishing.complete(await _fetch_from(other, root, publishing.directory, context, clock))
    except (OnionPathError, trio.TooSlowError) as error:
        log.debug("descriptors_not_fetched", authority=str(other), kind=type(error).__name__)
    except Exception as error:
        # A bug that another authority's bytes can reach must not end this one.
        log.error("descriptors_not_fetched", authority=str(other), kind=type(error).__name__)


async def _fetch_from(
    other: Neighbour,
    root: TrustRoot,
    known: Directory | None,
    context: ssl.SSLContext,
    clock: Callable[[], UnixTime],
) -> Directory:
    fetch = DirectoryFetch(root, known=known, seen=known.seen if known else None)
    async with calling(other, root.parameters.geometry, context) as caller:
        while True:
            answer = await caller.call(CallBody(ServiceId.DIRECTORY, SizeClass.LARGE, fetch.next_call()))
            if answer.status != ReplyStatus.ANSWERED:
                raise UnreachableError("the directory is not served there now")
            take = partial(fetch.take, answer.body, now=clock())
            directory = await trio.to_thread.run_sync(take, abandon_on_cancel=True)
            if directory is not None:
                return directory

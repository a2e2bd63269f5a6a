"""Gives a relay's descriptor to the authorities of its network, again and again."""

from __future__ import annotations

import random
import ssl
from collections.abc import Callable, Mapping
from typing import Protocol

import structlog
import trio

from onionpath.crypto.identity import IdentityKey, RelayId
from onionpath.directory.descriptor import Descriptor, sign_descriptor
from onionpath.directory.directory import Directory
from onionpath.directory.trust import Authority, TrustRoot
from onionpath.errors import OnionPathError, RefusedError, UnreachableError
from onionpath.injected import UnixTime
from onionpath.link.frames import CallBody, call_capacity
from onionpath.link.neighbour import Neighbour
from onionpath.onion.geometry import SizeClass
from onionpath.onion.statuses import Reason, ReplyStatus
from onionpath.service.calls import ServiceId
from onionpath.service.directory_wire import check_published, publish_calls
from relay.caller import calling
from relay.network_schedule import CALL_TIMEOUT_S
from relay.publishing import Failure, Publishing

log = structlog.get_logger(__name__)


class Known(Protocol):
    """What a publisher asks about its network."""

    @property
    def root(self) -> TrustRoot:
        """The newest version of the trust root that we have been led to."""
        ...

    @property
    def directory(self) -> Directory | None:
        """The newest verified directory."""
        ...


class Publisher:
    """One relay's publishing.

    Args:
        known: read anew each time, since a succession changes whom we tell.
        describe: our descriptor as it is now, unsigned.
    """

    def __init__(
        self,
        known: Known,
        identity: IdentityKey,
        *,
        describe: Callable[[], Descriptor],
        client_tls: ssl.SSLContext,
        clock: Callable[[], UnixTime],
        choice: random.Random,
    ) -> None:
        self._known = known
        self._identity = identity
        self._describe = describe
        self._client_tls = client_tls
        self._clock = clock
        self._geometry = known.root.parameters.geometry
        self._publishing = Publishing(choice=choice)
        self._awoken = trio.Event()
        self._is_changed = False  # whether a newer descriptor is wanted

    @property
    def failures(self) -> Mapping[str, int]:
        """How often an authority did not take our descriptor, by named reason."""
        return self._publishing.failures

    @property
    def is_under_way(self) -> bool:
        """Whether too few authorities have our newest descriptor."""
        return self._publishing.is_under_way(self._known.root)

    def soon(self) -> None:
        """The descriptor has changed: our keys, for example."""
        self._is_changed = True
        self._awoken.set()

    def authorities_changed(self) -> None:
        """Whoever is new gets the descriptor that the others have."""
        self._awoken.set()

    def missed_by(self, directory: Directory, *, ours: RelayId) -> None:
        """Publish once more if this document should list us and does not."""
        if self._publishing.is_missed_by(directory, self._known.root, ours=ours, now=self._clock()):
            log.warning("relay_not_listed", number=directory.document.number)
            self.soon()

    async def run(self) -> None:
        """Publish until cancelled."""
        while True:
            await trio.sleep(self._publishing.make_in_s(now=self._clock()))
            # Before we describe ourselves: what changes meanwhile is published next.
            self._is_changed = False
            descriptor = self._describe()
            self._publishing.made(descriptor.published_at)
            await self._offer(sign_descriptor(descriptor, self._identity), descriptor.published_at)

    async def _offer(self, envelope: bytes, published_at: UnixTime) -> None:
        """Give this descriptor to all, until there is reason to make another."""
        while not (self._is_changed or self._is_old()):
            self._awoken = trio.Event()
            due = self._publishing.due(self._known.root, now=self._clock())
            await self._give(due, envelope, published_at)
            with trio.move_on_after(self._pause_s()):
                await self._awoken.wait()

    def _is_old(self) -> bool:
        return self._publishing.is_old(now=self._clock(), has_directory=self._known.directory is not None)

    def _pause_s(self) -> float:
        has_directory = self._known.directory is not None
        return self._publishing.pause_s(self._known.root, now=self._clock(), has_directory=has_directory)

    async def _give(self, due: list[Authority], envelope: bytes, published_at: UnixTime) -> None:
        """All at once, so that one who is silent does not keep us from the others."""
        newer = self._describe() if any(map(self._publishing.needs_newer, due)) else None
        async with trio.open_nursery() as nursery:
            for authority in due:
                if newer is not None and self._publishing.needs_newer(authority):
                    newer_envelope = sign_descriptor(newer, self._identity)
                    nursery.start_soon(self._give_one, authority, newer_envelope, newer.published_at)
                else:
                    nursery.start_soon(self._give_one, authority, envelope, published_at)

    async def _give_one(self, authority: Authority, envelope: bytes, published_at: UnixTime) -> None:
        where = Neighbour.of_authority(authority)
        failed = await self._publish(envelope, where)
        if failed is None:
            self._publishing.took(authority, published_at)
            log.info("descriptor_published", authority=str(where))
            return
        failure, details = failed
        # Told once, however often it is tried: an authority may be down for days.
        if self._publishing.failed(authority, failure, self._known.root, now=self._clock()):
            tell = log.warning if failure in _PASSING else log.error
            tell(_EVENTS[failure], authority=str(where), **details)

    async def _publish(self, envelope: bytes, authority: Neighbour) -> tuple[Failure, dict[str, str]] | None:
        """None if it took the descriptor; otherwise why not, and what to say of it."""
        try:
            with trio.fail_after(CALL_TIMEOUT_S):
                return await self._hand_over(envelope, authority)
        except (UnreachableError, trio.TooSlowError):
            return Failure.UNREACHABLE, {}
        except RefusedError as error:
            # The answer has no room for a reason.
            return Failure.REFUSED, {"reason": error.reason, "hint": "the authority's log says why"}
        except OnionPathError as error:
            return Failure.PROTOCOL, {"kind": type(error).__name__}
        except Exception as error:
            # A bug that an authority's bytes can reach must not end a relay that works.
            return Failure.BUG, {"kind": type(error).__name__}

    async def _hand_over(
        self, envelope: bytes, authority: Neighbour
    ) -> tuple[Failure, dict[str, str]] | None:
        capacity = call_capacity(self._geometry, SizeClass.SMALL)
        async with calling(authority, self._geometry, self._client_tls) as caller:
            for body in publish_calls(envelope, capacity=capacity):
                answer = await caller.call(CallBody(ServiceId.DIRECTORY, SizeClass.SMALL, body))
                if answer.status != ReplyStatus.ANSWERED:
                    # It said nothing of the descriptor: it is busy, or leaves. Our next try may find it well.
                    return Failure.BUSY, {"reason": _named(answer.reason)}
                check_published(answer.body)
        return None


_EVENTS = {
    Failure.UNREACHABLE: "authority_unreachable",
    Failure.BUSY: "authority_busy",
    Failure.REFUSED: "descriptor_refused",
    Failure.PROTOCOL: "authority_broke_protocol",
    Failure.BUG: "publishing_failed",
}
# What ends by itself; for the rest somebody must do something.
_PASSING = {Failure.UNREACHABLE, Failure.BUSY}


def _named(reason: int) -> str:
    try:
        return Reason(reason).name.lower()
    except ValueError:
        return f"unknown ({reason})"

"""Visits other authorities over connections to the addresses and link keys of the trust root: the door of ``visit``.

Each authority is visited by a task of its own, so that one that is slow, silent or hostile delays nobody else.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass

import structlog
import trio

from onionpath.directory.trust import Authority
from onionpath.errors import DirectoryError, MalformedError, OnionPathError, UnreachableError
from onionpath.injected import UnixTime
from onionpath.link.frames import CallBody
from onionpath.link.neighbour import Neighbour
from onionpath.onion.geometry import Geometry, SizeClass
from onionpath.onion.statuses import ReplyStatus
from onionpath.service.calls import ServiceId
from relay.authority.actions import Actions
from relay.authority.agreement import Agreement
from relay.authority.visit import Taken, Visit, asks_for_bulletin
from relay.caller import Caller, calling

log = structlog.get_logger(__name__)

# Fixed by the specification (§6.4).
VISIT_TIMEOUT_S = 60.0
CONNECT_TIMEOUT_S = 10.0
# Whoever broke the protocol, or refused, does so again if it is asked at once.
LEAST_AFTER_FAILURE_S = 0.25
# Neighbours close what carries nothing for longer; a new connection is cheap when visits are rare.
KEEP_OPEN_S = 5.0

NEVER = UnixTime(0)


@dataclass(frozen=True, slots=True)
class Sight:
    """What we know of another authority.

    Args:
        seen_at: end of the last visit; 0 for none.
        fault: why the last try failed, by name; empty if it did not.
    """

    seen_at: UnixTime = NEVER
    fault: str = ""


class Visitor:
    """Visits one other authority again and again.

    Args:
        context: of TLS as a client.
        carry_out: is given what follows from each reply.
    """

    def __init__(
        self,
        other: Authority,
        agreement: Agreement,
        geometry: Geometry,
        *,
        context: ssl.SSLContext,
        clock: Callable[[], UnixTime],
        carry_out: Callable[[Actions], None],
    ) -> None:
        self.other = other
        self.sight = Sight()
        self._neighbour = Neighbour.of_authority(other)
        self._agreement = agreement
        self._geometry = geometry
        self._context = context
        self._clock = clock
        self._carry_out = carry_out
        self._taken: Taken | None = None

    async def run(self) -> None:
        """Visit until cancelled."""
        while True:
            fault = await self._visit_while_it_works()
            self._note(fault)
            least_s = LEAST_AFTER_FAILURE_S if fault else 0.0
            await trio.sleep(max(least_s, self._agreement.calendar.visit_pause_s(self._clock())))

    async def _visit_while_it_works(self) -> str:
        """Visit over one connection, until visits are rare again; the name of what went wrong, or nothing."""
        try:
            with trio.move_on_after(CONNECT_TIMEOUT_S) as patience:
                async with calling(self._neighbour, self._geometry, self._context) as caller:
                    while True:
                        patience.deadline = trio.current_time() + VISIT_TIMEOUT_S
                        await self._visit(caller)
                        self._note("")
                        pause_s = self._agreement.calendar.visit_pause_s(self._clock())
                        if pause_s > KEEP_OPEN_S:
                            return ""
                        await trio.sleep(pause_s)
        except UnreachableError:
            return "unreachable"
        except (MalformedError, DirectoryError) as error:
            # The name of the class is ours; what the other one wrote never reaches the log.
            return f"broke-protocol: {type(error).__name__}"
        except OnionPathError as error:
            return type(error).__name__
        except Exception as error:
            # A bug that one authority's bytes can reach must not end the visits to all others.
            log.error("visit_failed", kind=type(error).__name__)
            return "fault-of-ours"
        return "too-slow"

    async def _visit(self, caller: Caller) -> None:
        visit = Visit(self._agreement, last=self._taken)
        while (question := visit.question) is not None:
            # A bulletin mostly has not changed, and contents are long.
            size_class = SizeClass.SMALL if asks_for_bulletin(question) else SizeClass.LARGE
            answered = await caller.call(CallBody(ServiceId.VOTES, size_class, question))
            if answered.status != ReplyStatus.ANSWERED:
                raise UnreachableError("the authority does not answer visits now")
            self._carry_out(visit.take(bytes(answered.body), self._clock()))
        self._taken = visit.taken

    def _note(self, fault: str) -> None:
        before = self.sight
        seen_at = before.seen_at if fault else self._clock()
        self.sight = Sight(seen_at, fault)
        if fault and fault != before.fault:
            log.warning("authority_not_visited", authority=str(self._neighbour), reason=fault)
        elif not fault and (before.fault or not before.seen_at):
            log.info("authority_visited", authority=str(self._neighbour))

"""The services of one relay, and what every call to one of them must pass first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from onionpath.onion.statuses import Reason, ReplyStatus
from onionpath.service.call_keys import CallKey
from onionpath.service.call_memory import CallMemory
from onionpath.service.calls import Call, Limits, Reply, Service

WithDeadline = Callable[[Callable[[], Awaitable[Reply]], float], Awaitable[Reply | None]]
"""Runs a call for at most that many seconds; None if it was cancelled because they passed."""


@dataclass(frozen=True, slots=True)
class RegistryStatistics:
    """Counts since the start.

    Args:
        answered: calls for each service that the service itself answered or refused.
        refused: calls that the registry refused, by reason.
        failed: exceptions of services by class name; each is a bug.
        running: calls under way, by service.
    """

    answered: Mapping[int, int]
    refused: Mapping[Reason, int]
    failed: Mapping[str, int]
    running: Mapping[int, int]


class Registry:
    """Finds a call's service and answers for it when it can't.

    Args:
        services: by number on the wire.
        with_deadline: cancels a call that takes too long; the pure rooms have no clock. In trio::

            async def with_deadline(answer, timeout_s):
                with trio.move_on_after(timeout_s):
                    return await answer()
                return None
        memory: of calls with effects; without one, their repetitions are refused.
    """

    def __init__(
        self,
        services: Mapping[int, Service],
        with_deadline: WithDeadline,
        *,
        memory: CallMemory | None = None,
    ) -> None:
        self._memory = memory
        self._services = dict(services)
        self._with_deadline = with_deadline
        self._running = dict.fromkeys(self._services, 0)
        self._answered: Counter[int] = Counter()
        self._refused: Counter[Reason] = Counter()
        self._failed: Counter[str] = Counter()

    @property
    def services(self) -> Mapping[int, Service]:
        """All that is answered, by number."""
        return MappingProxyType(self._services)

    def offer(self, number: int, service: Service) -> None:
        """Answer calls of one more service from now on: of one that could only be built once the relay stood."""
        self._services[number] = service
        self._running[number] = 0

    async def answer(self, call: Call, *, from_client: bool, last_depth: bool) -> Reply:
        """Have the call answered; every refusal is a value, only cancellation is raised.

        Args:
            from_client: whether the call came over a link from a client rather than a relay.
            last_depth: whether this relay is the last of the call's path.
        """
        refusal = self._refusal(call, from_client=from_client, last_depth=last_depth)
        if refusal is not Reason.NONE:
            return self._refuse(refusal)
        limits = self._services[call.service].limits
        # What may be called over a link, without an onion, comes without a key by which to know it again.
        if limits.any_depth or limits.relays_only or not limits.has_effects:
            return await self._carried_out(call)
        if self._memory is None:
            is_repeated = CallKey.parse(call.idempotency_key).is_repeated
            return self._refuse(Reason.CALL_UNKNOWN) if is_repeated else await self._carried_out(call)
        known = self._memory.begin(call)
        if known is not None:
            return known
        # Whoever cancels us leaves open how far the service got; that is also what a repetition is told.
        reply = Reply.refused(Reason.CALL_UNKNOWN)
        try:
            reply = await self._carried_out(call)
        finally:
            self._memory.end(call, reply)
        return reply

    async def _carried_out(self, call: Call) -> Reply:
        service = self._services[call.service]
        self._running[call.service] += 1
        try:
            reply = await self._with_deadline(lambda: service.answer(call), service.limits.timeout_s)
        except Exception as error:  # A service's bug must cost its caller an answer, not the relay its life.
            self._failed[type(error).__name__] += 1
            return self._refuse(Reason.SERVICE_FAILED)
        finally:
            self._running[call.service] -= 1
        if reply is None:
            return self._refuse(Reason.SERVICE_TIMED_OUT)
        return self._checked(call, reply)

    def statistics(self) -> RegistryStatistics:
        """What happened so far."""
        return RegistryStatistics(
            dict(self._answered), dict(self._refused), dict(self._failed), dict(self._running)
        )

    def _refusal(self, call: Call, *, from_client: bool, last_depth: bool) -> Reason:
        service = self._services.get(call.service)
        if service is None:
            return Reason.SERVICE_UNKNOWN
        if not _may_call(service.limits, call, from_client=from_client, last_depth=last_depth):
            return Reason.WRONG_DEPTH
        if self._running[call.service] >= service.limits.concurrent:
            return Reason.SERVICE_BUSY
        return Reason.NONE

    def _checked(self, call: Call, reply: Reply) -> Reply:
        if len(reply.body) > call.reply_capacity or (reply.body and reply.status is not ReplyStatus.ANSWERED):
            self._failed["ImpossibleReply"] += 1
            return self._refuse(Reason.SERVICE_FAILED)
        self._answered[call.service] += 1
        return reply

    def _refuse(self, reason: Reason) -> Reply:
        self._refused[reason] += 1
        return Reply.refused(reason)


def _may_call(limits: Limits, call: Call, *, from_client: bool, last_depth: bool) -> bool:
    if limits.relays_only:
        return call.peer is not None
    return limits.any_depth or (last_depth and not from_client)

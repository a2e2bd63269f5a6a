"""What a path is for, and what its positions ask of a relay because of that. Spec: docs/specs/paths.md §1.3, §1.4."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from onionpath.crypto.identity import RelayId
from onionpath.errors import OnionPathError
from onionpath.path.constraints import Constraints
from onionpath.path.relays import ListedRelay
from onionpath.service.exit_policy import ExitPolicy

NO_CONSTRAINTS = Constraints()


@dataclass(frozen=True, slots=True)
class Purpose:
    """What a path is for; what doesn't change from one call to the next.

    Args:
        serves: service that the last hop must offer.
        port: TCP port that the last hop's exit policy must allow.
        required_exit: the only relay that may be last.
        guards: the only relays that may be first.
        middles: the only relays that may be second, where that isn't the last.
        constraints: the application's.
        hops: relays on the path; None for as many as the network says.
    """

    serves: int | None = None
    port: int | None = None
    required_exit: RelayId | None = None
    guards: frozenset[RelayId] | None = None
    middles: frozenset[RelayId] | None = None
    constraints: Constraints = NO_CONSTRAINTS
    hops: int | None = None

    def refusal(self, relay: ListedRelay, position: int, *, hops: int) -> str | None:
        """The name of what this relay lacks for a position from 0, if there is something."""
        if reason := self.constraints.refusal(relay):
            return reason
        if position == hops - 1:
            return self._last_refusal(relay)
        if position == 0:
            return self._first_refusal(relay)
        return self._middle_refusal(relay, position)

    def _last_refusal(self, relay: ListedRelay) -> str | None:
        if self.required_exit is not None and relay.relay_id != self.required_exit:
            return "not-the-required-exit"
        if self.serves is not None and self.serves not in relay.descriptor.services:
            return "service-not-offered"
        if self.port is not None and not _may_allow_port(relay.descriptor.exit_policy, self.port):
            return "port-not-allowed"
        return self.constraints.exit_refusal(relay)

    def _first_refusal(self, relay: ListedRelay) -> str | None:
        if self.guards is not None and relay.relay_id not in self.guards:
            return "not-a-guard"
        wanted = self.constraints.guards
        return "guard-not-wanted" if wanted is not None and relay.relay_id not in wanted else None

    def _middle_refusal(self, relay: ListedRelay, position: int) -> str | None:
        if position == 1 and self.middles is not None and relay.relay_id not in self.middles:
            return "not-a-chosen-middle"
        wanted = self.constraints.middles
        return "middle-not-wanted" if wanted is not None and relay.relay_id not in wanted else None


@lru_cache(maxsize=4096)
def _may_allow_port(rules: tuple[str, ...], port: int) -> bool:
    if not rules:
        return False
    try:
        return ExitPolicy.parse(rules).may_allow_port(port)
    except OnionPathError:
        # Rules that we cannot read are a relay that we cannot use as an exit, and a fine middle.
        return False

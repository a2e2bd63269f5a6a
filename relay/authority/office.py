"""One authority without its doors: the descriptors it takes, what it measured, and the agreement with the others.

Whoever runs it carries out ``Actions`` as ``agreement`` says, and tells what probes found.
Spec: docs/specs/authorities.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from onionpath.crypto.identity import RelayId
from onionpath.directory.descriptor import descriptor_digest
from onionpath.injected import UnixTime
from relay.authority.actions import Actions
from relay.authority.agreement import Agreement
from relay.authority.ballots import Ballot, Choice
from relay.authority.enrolment import Enrolment
from relay.authority.measures import Measure
from relay.authority.roll import Known

BYTES_PER_KIB = 1024

Judge = Callable[[RelayId, UnixTime], Measure]
"""Says what we measured of a relay."""


def unmeasured(relay: RelayId, now: UnixTime) -> Measure:
    """The opinion of an authority that does not measure."""
    return Measure(reachable=True, capacity_kib_s=None)


class Office:
    """See the module's first lines.

    Args:
        first_document_relays: how many relays to have reached before voting while no document is valid.
        judge: what was measured of a relay.
    """

    def __init__(
        self,
        agreement: Agreement,
        enrolment: Enrolment,
        *,
        first_document_relays: int,
        judge: Judge = unmeasured,
    ) -> None:
        self.agreement = agreement
        self.enrolment = enrolment
        self._first = first_document_relays
        self._has_taught = False
        self._judge = judge

    def tick(self, now: UnixTime) -> Actions:
        """Do what it is time for: vote, sign, or take a document as complete."""
        if self.agreement.may_vote(now) and (known := self._listable(now)):
            return self.agreement.vote(make_ballot(known, self._judge, now), known, now)
        actions = self.agreement.tick(now)
        if not self._has_taught:
            # The vote may be of the process before this one; then nobody has told what its ballot names.
            self.agreement.learn(self.enrolment.listable(now))
            self._has_taught = True
        return actions

    def _listable(self, now: UnixTime) -> list[Known]:
        """Whom to vote for; none while that would be too few to begin with."""
        self.enrolment.drop_stale(now)
        reached = self.enrolment.listable(now)
        known = [one for one in reached if self._judge(one.descriptor.relay_id, now).reachable]
        return known if len(known) >= self.agreement.relays_needed(now, self._first) else []


def make_ballot(known: Sequence[Known], judge: Judge, now: UnixTime) -> Ballot:
    """These relays, with what was measured of each."""
    return Ballot(
        {
            one.descriptor.relay_id: Choice(
                descriptor_digest(one.envelope), _bytes_per_s(judge(one.descriptor.relay_id, now))
            )
            for one in known
        }
    )


def _bytes_per_s(measure: Measure) -> int:
    """A ballot's measured capacity: 0 says that nothing is known, so that a slow relay has 1 at least."""
    return 0 if measure.capacity_kib_s is None else max(1, BYTES_PER_KIB * measure.capacity_kib_s)

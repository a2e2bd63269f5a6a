"""What is the same for everybody in a network, and known before the first document.

Links need the sizes of frames to fetch that document, therefore the parameters stand in the trust root, and
each document repeats them. Spec: docs/specs/directory.md §5.2.
"""

from __future__ import annotations

from dataclasses import dataclass

from onionpath.directory.canonical import Count, Form
from onionpath.errors import MalformedError, UsageError
from onionpath.onion.geometry import Geometry
from onionpath.onion.replay import DEFAULT_SLOT_S

# An hour: relays that come and go are known within it, and 2,000 relays' changes are some 100 KB for each reader.
DEFAULT_PERIOD_S = 3_600
# 6 h: four erasures of a relay's key a day, and clients fetch its keys as often.
DEFAULT_EPOCH_S = 21_600


@dataclass(frozen=True, slots=True)
class Parameters:
    """What is the same for everybody in a network.

    Args:
        hops, small, large: see ``Geometry``.
        slot_s: length of a replay slot, 1 to 3,600 s.
        epoch_s: length of a packet key's epoch, 1 to 86,400 s.
        distinct_subnets: whether the relays of a path need different networks; false only on one machine.
        period_s: between documents, whose numbers follow from it, 1 to 86,400 s.

    Raises:
        MalformedError: a value is out of range, or frames of these sizes cannot carry so many layers.
    """

    hops: int = 3
    small: int = 8 * 1024
    large: int = 128 * 1024
    slot_s: int = DEFAULT_SLOT_S
    epoch_s: int = DEFAULT_EPOCH_S
    distinct_subnets: bool = True
    period_s: int = DEFAULT_PERIOD_S

    def __post_init__(self) -> None:
        lengths_fit = (
            1 <= self.slot_s <= 3_600 and 1 <= self.epoch_s <= 86_400 and 1 <= self.period_s <= 86_400
        )
        if not lengths_fit or self.large > 2**24:
            raise MalformedError("a parameter of the network is out of range")
        try:
            self.geometry  # noqa: B018  # building it is the check
        except UsageError as error:
            raise MalformedError(f"the network's parameters are impossible: {error}") from error

    @property
    def geometry(self) -> Geometry:
        """The sizes that follow from the parameters."""
        return Geometry(self.hops, self.small, self.large)


class ParametersForm(Form, frozen=True):
    """The parameters as they are written."""

    hops: Count
    small: Count
    large: Count
    slot_s: Count
    epoch_s: Count
    distinct_subnets: bool
    period_s: Count

    @classmethod
    def of(cls, parameters: Parameters) -> ParametersForm:
        """The written form of a value."""
        return cls(
            parameters.hops,
            parameters.small,
            parameters.large,
            parameters.slot_s,
            parameters.epoch_s,
            parameters.distinct_subnets,
            parameters.period_s,
        )

    def parse(self) -> Parameters:
        """The value; raises ``MalformedError`` if it is out of range."""
        return Parameters(
            self.hops,
            self.small,
            self.large,
            self.slot_s,
            self.epoch_s,
            self.distinct_subnets,
            self.period_s,
        )

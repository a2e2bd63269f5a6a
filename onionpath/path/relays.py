"""What the choice of paths reads of a relay and of a list of relays, whatever packets these take.

A verified directory is such a list (``onionpath.directory``), and so is the list of Session nodes that a client was
given (``onionpath.client.session_list``). Spec: docs/specs/paths.md §1 and §6.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from onionpath.crypto.identity import RelayId
from onionpath.directory.address import Address
from onionpath.injected import UnixTime


class Described(Protocol):
    """A relay as it, or whoever lists it, describes it."""

    @property
    def relay_id(self) -> RelayId: ...

    @property
    def addresses(self) -> tuple[Address, ...]: ...

    @property
    def family(self) -> tuple[RelayId, ...]: ...

    @property
    def services(self) -> tuple[int, ...]: ...

    @property
    def exit_policy(self) -> tuple[str, ...]: ...

    def packet_key(self, now: UnixTime) -> object | None:
        """To which packets are sealed now, None if there is no such key; two keys that are equal are the same."""
        ...


class ListedRelay(Protocol):
    """A relay with the weight by which it is drawn."""

    @property
    def relay_id(self) -> RelayId: ...

    @property
    def descriptor(self) -> Described: ...

    @property
    def weight(self) -> int: ...


class RelayList(Protocol):
    """The relays of one network, and its rules for paths."""

    @property
    def relays(self) -> Mapping[RelayId, ListedRelay]: ...

    @property
    def total_weight(self) -> int:
        """Of all relays of the network, also those that are missing here."""
        ...

    @property
    def hops(self) -> int:
        """On a path whose purpose asks for no other number."""
        ...

    @property
    def distinct_subnets(self) -> bool: ...

    def is_usable(self, now: UnixTime) -> bool:
        """Whether paths may still be drawn from it."""
        ...

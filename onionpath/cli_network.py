"""What ``onionpath network show`` shows: a directory as plain values, and as lines for people."""

from __future__ import annotations

import shutil
import textwrap
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from onionpath.directory.directory import Directory
from onionpath.directory.document import Listing
from onionpath.directory.trust import TrustRoot


def described(directory: Directory, root: TrustRoot) -> dict[str, Any]:
    """All of it in plain values, as JSON has it; a relay without a descriptor has only what the document says.

    Args:
        root: the trust root that came with the program; the directory may have followed successions since.
    """
    document = directory.document
    newest = directory.lineage.root if directory.lineage else root
    return {
        "network": newest.name,
        "network_id": document.network_id.hex(),
        "number": document.number,
        "valid_from": document.valid_from,
        "fresh_until": document.fresh_until,
        "valid_until": document.valid_until,
        "hops": document.parameters.hops,
        "small": document.parameters.small,
        "large": document.parameters.large,
        "root_version": document.root_version,
        "threshold": newest.threshold,
        "authorities": [
            {"id": each.identity.hex(), "address": str(each.address)} for each in newest.authorities
        ],
        "swarms": dict(
            sorted(Counter(_swarm(one) for one in document.relays if one.swarm is not None).items())
        ),
        "relays": [_relay(directory, listing) for listing in document.relays],
    }


def _relay(directory: Directory, listing: Listing) -> dict[str, Any]:
    relay = directory.relays.get(listing.relay_id)
    descriptor = relay.descriptor if relay is not None else None
    return {
        "id": listing.relay_id.hex(),
        "weight": listing.weight,
        "swarm": _swarm(listing),
        "addresses": [str(address) for address in descriptor.addresses] if descriptor else [],
        "services": list(descriptor.services) if descriptor else [],
        "exit_policy": list(descriptor.exit_policy) if descriptor else [],
        "version": descriptor.version if descriptor else "",
    }


def lines(shown: dict[str, Any]) -> Iterator[str]:
    """For people: a line for each relay, and its exit rules below if they don't fit beside it."""
    width = shutil.get_terminal_size((100, 24)).columns
    yield f"network   {shown['network']} ({shown['network_id'][:16]}…)"
    yield f"document  {shown['number']}, valid until {_utc(shown['valid_until'])}"
    yield f"paths     {shown['hops']} hops, frames of {shown['small']} and {shown['large']} bytes"
    signers = f"{shown['threshold']} or more of {len(shown['authorities'])}"
    yield f"signed    by {signers}, trust root {shown['root_version']}"
    for authority in shown["authorities"]:
        yield f"          {authority['id'][:16]}  {authority['address']}"
    if shown["swarms"]:
        sizes = Counter(shown["swarms"].values())
        told = ", ".join(f"{count} of {size}" for size, count in sorted(sizes.items()))
        yield f"swarms    {told} relays"
    yield ""
    yield from _table(shown["relays"], width)


def _table(relays: list[dict[str, Any]], width: int) -> Iterator[str]:
    addresses = [relay["addresses"][0] if relay["addresses"] else "unknown" for relay in relays]
    address_width = max([7, *map(len, addresses)])
    swarm_width = 18 if any(relay["swarm"] for relay in relays) else 0
    swarm = "swarm" if swarm_width else ""
    yield f"{'relay':<18}{'weight':>6}  {swarm:<{swarm_width}}{'address':<{address_width}}  exit rules"
    for relay, address in zip(relays, addresses, strict=True):
        row = f"{relay['id'][:16]:<18}{relay['weight']:>6}  {relay['swarm']:<{swarm_width}}{address:<{address_width}}  "
        rules = ", ".join(relay["exit_policy"]) or "none"
        if len(row + rules) <= width:
            yield row + rules
        else:
            yield row.rstrip()
            yield from textwrap.wrap(rules, width, initial_indent="  ", subsequent_indent="  ")


def _swarm(listing: Listing) -> str:
    return "" if listing.swarm is None else f"{listing.swarm:016x}"


def _utc(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")

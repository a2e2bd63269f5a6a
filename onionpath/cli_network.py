"""What ``onionpath network show`` shows: a directory as plain values, and as lines for people."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from onionpath.directory.directory import Directory


def described(directory: Directory, name: str) -> dict[str, Any]:
    """All of it in plain values, as JSON has it."""
    document = directory.document
    return {
        "network": name,
        "network_id": document.network_id.hex(),
        "number": document.number,
        "valid_from": document.valid_from,
        "fresh_until": document.fresh_until,
        "valid_until": document.valid_until,
        "hops": document.parameters.hops,
        "small": document.parameters.small,
        "large": document.parameters.large,
        "relays": [
            {
                "id": relay.relay_id.hex(),
                "weight": relay.weight,
                "addresses": [str(address) for address in relay.descriptor.addresses],
                "services": list(relay.descriptor.services),
                "exit_policy": list(relay.descriptor.exit_policy),
                "version": relay.descriptor.version,
            }
            for relay in directory.relays.values()
        ],
    }


def lines(shown: dict[str, Any]) -> Iterator[str]:
    """For people: a line for each relay, and its exit rules below if they don't fit beside it."""
    width = shutil.get_terminal_size((100, 24)).columns
    yield f"network   {shown['network']} ({shown['network_id'][:16]}…)"
    yield f"document  {shown['number']}, valid until {_utc(shown['valid_until'])}"
    yield f"paths     {shown['hops']} hops, frames of {shown['small']} and {shown['large']} bytes"
    yield ""
    address_width = max([7, *(len(relay["addresses"][0]) for relay in shown["relays"])])
    yield f"{'relay':<18}{'weight':>6}  {'address':<{address_width}}  exit rules"
    for relay in shown["relays"]:
        row = f"{relay['id'][:16]:<18}{relay['weight']:>6}  {relay['addresses'][0]:<{address_width}}  "
        rules = ", ".join(relay["exit_policy"]) or "none"
        if len(row + rules) <= width:
            yield row + rules
        else:
            yield row.rstrip()
            yield from textwrap.wrap(rules, width, initial_indent="  ", subsequent_indent="  ")


def _utc(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")

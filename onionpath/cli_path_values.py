"""What ``onionpath path`` shows, as plain values, as JSON has them."""

from __future__ import annotations

from typing import Any

from onionpath.client.path_report import PathReport
from onionpath.crypto.identity import RelayId
from onionpath.directory.directory import Directory
from onionpath.errors import MalformedError, UsageError
from onionpath.path.budget import MANY_PATHS, Budget, budget
from onionpath.path.guard_numbers import DAY_S, GUARD_NUMBERS, MIDDLE_NUMBERS
from onionpath.service.hosts import parse_host


def destination(host: str | None, port: int) -> dict[str, Any]:
    """Where to, and what shares its path: nothing but the same host and port.

    Raises:
        UsageError: that is no host.
    """
    if host is None:
        return {"host": None, "port": port, "isolation": None}
    plain = host.removeprefix("[").removesuffix("]").removesuffix(".").lower()
    try:
        name = plain.encode("idna") if not plain.isascii() else plain.encode()
        parse_host(name)
    except (MalformedError, UnicodeError) as error:
        raise UsageError(f"{host!r} is neither a DNS name nor an IP address") from error
    return {"host": name.decode(), "port": port, "isolation": f"origin {name.decode()}:{port}"}


def described(
    report: PathReport, directory: Directory, where: dict[str, Any], *, bad_share: float
) -> dict[str, Any]:
    """For ``path show``."""
    return {
        **_path(report, directory, where),
        "guards": [
            {
                **_relay(each.relay_id, directory),
                "state": each.state.value,
                "since": each.since,
                "is_confirmed": each.is_confirmed,
                "retry_at": each.retry_at,
                "attempts": each.bias.attempts,
                "carried": each.bias.carried,
                "uses": each.bias.uses,
                "completed": each.bias.completed,
            }
            for each in report.guards
        ],
        "middles": [
            {**_relay(each.relay_id, directory), "until": each.until, "is_usable": each.is_usable}
            for each in report.middles
        ],
        "usable_guards": report.restriction.value,
        "budget": _budget(budget(directory, report.exits, bad_share=bad_share)),
    }


def explained(report: PathReport, directory: Directory, where: dict[str, Any]) -> dict[str, Any]:
    """For ``path explain``: positions from 1, in the order of drawing."""
    relays = [each.hex() for each in report.path]
    return {
        **_path(report, directory, where),
        "positions": [
            {
                "position": each.position + 1,
                "chosen": relays[each.position],
                "possible": each.relays - sum(each.reasons.values()),
                "relays": each.relays,
                "refused": dict(sorted(each.reasons.items(), key=lambda item: -item[1])),
            }
            for each in report.positions
        ],
    }


def _path(report: PathReport, directory: Directory, where: dict[str, Any]) -> dict[str, Any]:
    return {
        "document": directory.document.number,
        "relays": len(directory.relays),
        "destination": where,
        "path": [_relay(each, directory) for each in report.path],
        "no_path": None if report.failure is None else str(report.failure),
    }


def _relay(relay_id: RelayId, directory: Directory) -> dict[str, Any]:
    relay = directory.relays.get(relay_id)
    if relay is None:
        return {"id": relay_id.hex(), "address": None, "weight": None}
    return {"id": relay_id.hex(), "address": str(relay.descriptor.addresses[0]), "weight": relay.weight}


def _budget(found: Budget) -> dict[str, Any]:
    return {
        "bad_share": found.bad_share,
        "largest_relay": found.largest_relay,
        "largest_family": found.largest_family,
        "exits": found.exits,
        "exit_share": found.exit_share,
        "bad_exits": found.bad_exits,
        "linked_now": found.linked_now,
        "linked_of_many": found.linked_of_many,
        "many_paths": MANY_PATHS,
        "guards_in_use": GUARD_NUMBERS.in_use,
        "guard_days": GUARD_NUMBERS.lifetime_s / DAY_S,
        "middles": MIDDLE_NUMBERS.count,
        "middle_days": MIDDLE_NUMBERS.mean_s / DAY_S,
        "over_time": [
            {"days": each.days, "guard": each.guard, "middle": each.middle} for each in found.over_time
        ],
    }

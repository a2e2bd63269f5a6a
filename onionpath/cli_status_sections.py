"""What ``onionpath status`` shows to people."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from onionpath.cli_path_sections import Section

_UNITS = ("B", "KB", "MB", "GB", "TB")


def status_sections(shown: Mapping[str, Any]) -> list[Section]:
    """Disk first, then each process."""
    return [_directory(shown), _guards(shown), *map(_process, shown["processes"]), *_no_process(shown)]


def _directory(shown: Mapping[str, Any]) -> Section:
    found = shown["directory"]
    notes = [f"state in {shown['folder']}"]
    if "document" in found:
        notes.append(
            f"directory: document {found['document']} with {found['relays']} relays is {found['state']}; fresh until "
            f"{_time(found['fresh_until'])}, valid until {_time(found['valid_until'])}"
        )
    else:
        why = f": {found['problem']}" if "problem" in found else "; the next command fetches it"
        notes.append(f"directory: {found['state']}{why}")
    if shown["evidence"] is not None:
        notes.append(
            f"authorities contradicted themselves: `onionpath network verify {shown['evidence']}` says how"
        )
    return Section(f"network {shown['network']}", (), (), tuple(notes))


def _guards(shown: Mapping[str, Any]) -> Section:
    rows = tuple(
        (each["id"][:16], _guard_state(each), _day(each["since"]), f"{each['carried']}/{each['attempts']}")
        for each in shown["guards"]
    )
    notes = [] if shown["guards"] else ["none yet; the first command draws them"]
    if shown["guards_problem"] is not None:
        notes = [shown["guards_problem"]]
    return Section(
        "guards on disk, in order", ("relay", "state", "since", "carried/attempts"), rows, tuple(notes)
    )


def _guard_state(guard: Mapping[str, Any]) -> str:
    if guard["is_disabled"]:
        return "disabled"
    if not guard["is_listed"]:
        return "unlisted"
    return "confirmed" if guard["is_confirmed"] else "never used"


def _process(process: Mapping[str, Any]) -> Section:
    success = process["last_success_at"]
    notes = [
        f"last success {'never' if success is None else _time(success)}; {process['paths']} paths, "
        f"{process['streams']} streams; document {process['document']} with {process['relays']} relays",
        f"sent {_bytes(process['sent'])}, received {_bytes(process['received'])} over {process['opened']} connections",
    ]
    if process["last_failure"] is not None:
        notes.append(f"last failure: {process['last_failure']}")
    if process["state_problem"] is not None:
        notes.append(f"warning: {process['state_problem']}")
    rows = tuple(
        (each["id"][:16], each["state"], "" if each["retry_at"] is None else _time(each["retry_at"]))
        for each in process["guards"]
        if each["state"] in ("in use", "primary", "down")
    )
    title = f"proxy at {process['address']}, process {process['pid']}: {process['state']}"
    return Section(title, ("guard", "state", "retry"), rows, tuple(notes))


def _no_process(shown: Mapping[str, Any]) -> list[Section]:
    return [] if shown["processes"] else [Section("no proxy runs with this state", (), ())]


def _bytes(count: int) -> str:
    amount, unit = float(count), 0
    while amount >= 999.5 and unit + 1 < len(_UNITS):
        amount, unit = amount / 1000, unit + 1
    return f"{amount:.3g} {_UNITS[unit]}"


def _day(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d")


def _time(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")

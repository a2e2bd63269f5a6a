"""What the state folder says of one network's clients: their directory, guards and evidence. Nothing is changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from onionpath.directory.directory import authenticate_directory
from onionpath.directory.document import Document
from onionpath.directory.trust import TrustRoot
from onionpath.disk.evidence_files import EvidenceFiles
from onionpath.errors import OnionPathError
from onionpath.injected import UnixTime
from onionpath.path.path_memory import PathMemory
from onionpath.path.path_memory_lines import (
    Damaged,
    Newer,
    OtherNetwork,
    Unreadable,
    Whole,
    decode_memory,
)

DIRECTORY_NAME, GUARDS_NAME = "directory", "guards"


def of_disk(folder: Path, root: TrustRoot, *, now: UnixTime) -> dict[str, Any]:
    """In plain values; all times are Unix times."""
    memory, problem = read_guards(folder, root)
    evidence = EvidenceFiles(folder).files()
    return {
        "directory": _directory(folder / DIRECTORY_NAME, root, now),
        "guards": [
            {
                "id": each.relay_id.hex(),
                "since": each.confirmed_at or each.added_at,
                "is_confirmed": each.confirmed_at is not None,
                "is_disabled": each.is_disabled,
                "is_listed": each.unlisted_since is None,
                "attempts": each.bias.attempts,
                "carried": each.bias.carried,
            }
            for each in memory.guards
        ],
        "guards_problem": problem,
        "evidence": str(evidence[-1]) if evidence else None,
    }


def read_guards(folder: Path, root: TrustRoot) -> tuple[PathMemory, str | None]:
    """The guards on disk, and what is wrong with their file; a client would mend it, which is not our business."""
    try:
        content = (folder / GUARDS_NAME).read_bytes()
    except FileNotFoundError:
        return PathMemory(), None
    except OSError as error:
        return PathMemory(), f"the file of guards cannot be read: {error.strerror}"
    match decode_memory(content, root.network_id):
        case Whole(memory):
            return memory, None
        case Damaged(memory, lost):
            return memory, f"{lost} lines of the file of guards are damaged; the next client mends it"
        case Unreadable():
            return PathMemory(), "the file of guards is damaged as a whole; the next client draws new guards"
        case Newer(version):
            return PathMemory(), f"the file of guards is of a newer onionpath (version {version}); upgrade"
        case OtherNetwork():
            return PathMemory(), "the file of guards belongs to another network"


def _directory(file: Path, root: TrustRoot, now: UnixTime) -> dict[str, Any]:
    try:
        directory = authenticate_directory(file.read_bytes(), root)
    except FileNotFoundError:
        return {"state": "missing"}
    except OSError as error:
        return {"state": "unreadable", "problem": error.strerror}
    except OnionPathError as error:
        return {"state": "damaged", "problem": str(error)}
    document = directory.document
    return {
        "state": _age(document, now),
        "document": document.number,
        "relays": len(directory.relays),
        "valid_from": document.valid_from,
        "fresh_until": document.fresh_until,
        "valid_until": document.valid_until,
    }


def _age(document: Document, now: UnixTime) -> str:
    if not document.is_usable(now):
        return "from the future" if now < document.valid_from else "expired"
    return "fresh" if document.is_fresh(now) else "stale"

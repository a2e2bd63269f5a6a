"""What ``onionpath network`` reads from files: directories, documents, evidence and successions.

Nothing is shown of a file before its signatures verified against the trust root.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from onionpath.directory.directory import SNAPSHOT_MAGIC, Directory, authenticate_directory
from onionpath.directory.document import UnverifiedDocument
from onionpath.directory.evidence import MAGIC as EVIDENCE_MAGIC
from onionpath.directory.evidence import decode_evidence, verify_evidence
from onionpath.directory.succession import MAX_SUCCESSION_SIZE, verify_succession
from onionpath.directory.succession import PAYLOAD_TYPE as SUCCESSION_TYPE
from onionpath.directory.trust import TrustRoot
from onionpath.directory.vote import VOTE_TYPE
from onionpath.errors import UsageError
from onionpath.injected import UnixTime

MAX_FILE_SIZE = 512 * 1024 * 1024  # bytes: the directory of 20,000 relays with their longest descriptors


def read_file(file: Path) -> bytes:
    """A file's content.

    Raises:
        UsageError: it cannot be read, or is too long to be of a network.
    """
    try:
        with file.open("rb") as opened:
            content = opened.read(MAX_FILE_SIZE + 1)
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from error
    if len(content) > MAX_FILE_SIZE:
        raise UsageError(f"{file} is too long to be of a network")
    return content


def read_directory(content: bytes, root: TrustRoot) -> Directory:
    """A directory from its snapshot, or from a bare document without descriptors; it may have expired.

    Raises:
        MalformedError, DirectoryError: nobody whom the trust root names has signed this.
    """
    if content.startswith(SNAPSHOT_MAGIC):
        return authenticate_directory(content, root)
    document = UnverifiedDocument(content).authenticate(root)
    return Directory(document, {}, {}, len(document.relays))


def verified(content: bytes, root: TrustRoot, *, now: UnixTime) -> dict[str, Any]:
    """What a file proves, in plain values.

    Raises:
        MalformedError, DirectoryError: it proves nothing, or is of another time; the error says why.
    """
    return _kind(content)(content, root, now)


def sentences(proven: dict[str, Any]) -> list[str]:
    """The same for people."""
    match proven["kind"]:
        case "equivocation":
            twice = "votes on document" if proven["of"] == "votes" else "documents of the number"
            return [
                f"proven: these authorities signed two {twice} {proven['number']}",
                *(f"  {each}" for each in proven["guilty"]),
            ]
        case "succession":
            return [
                f"proven: version {proven['version']} of the trust root follows version {proven['version'] - 1};"
                f" {proven['threshold']} of {len(proven['authorities'])} authorities must sign",
                *(f"  new   {each}" for each in proven["new"]),
                *(f"  gone  {each}" for each in proven["gone"]),
            ]
        case _:
            until = datetime.fromtimestamp(proven["valid_until"], UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
            return [
                f"proven: document {proven['number']} of the network {proven['network']} is signed by its authorities,"
                f" lists {proven['relays']} relays, and may be used until {until}"
            ]


def _kind(content: bytes) -> Callable[[bytes, TrustRoot, UnixTime], dict[str, Any]]:
    if content.startswith(EVIDENCE_MAGIC):
        return _evidence
    # Only to choose what to verify it as; each of them refuses the other's type. The snapshot of a directory may hold
    # successions too.
    if content.startswith(SNAPSHOT_MAGIC) or SUCCESSION_TYPE.encode() not in content[:MAX_SUCCESSION_SIZE]:
        return _document
    return _succession


def _document(content: bytes, root: TrustRoot, now: UnixTime) -> dict[str, Any]:
    directory = read_directory(content, root)
    newest = directory.lineage.root if directory.lineage else root
    document = UnverifiedDocument(directory.document.envelope).verify(newest, now=now, seen=None)
    return {
        "kind": "document",
        "network": root.name,
        "number": document.number,
        "digest": document.digest.hex(),
        "root_version": document.root_version,
        "valid_until": document.valid_until,
        "relays": len(document.relays),
    }


def _evidence(content: bytes, root: TrustRoot, now: UnixTime) -> dict[str, Any]:
    proof = verify_evidence(decode_evidence(content), root)
    return {
        "kind": "equivocation",
        "of": "votes" if proof.payload_type == VOTE_TYPE else "documents",
        "number": proof.number,
        "digests": [each.hex() for each in proof.digests],
        "guilty": [each.hex() for each in proof.guilty],
    }


def _succession(content: bytes, root: TrustRoot, now: UnixTime) -> dict[str, Any]:
    after = verify_succession(content, root)
    return {
        "kind": "succession",
        "version": after.version,
        "threshold": after.threshold,
        "authorities": [each.identity.hex() for each in after.authorities],
        "new": sorted(each.hex() for each in after.signers - root.signers),
        "gone": sorted(each.hex() for each in root.signers - after.signers),
    }

"""What an authority keeps in its state folder; every call blocks until it is durable."""

from __future__ import annotations

from pathlib import Path

import msgspec

from onionpath.crypto.tags import digest
from onionpath.directory.canonical import Form, decode_canonical, encode_canonical, without_white_space
from onionpath.directory.document import MAX_DOCUMENT_SIZE
from onionpath.disk.private_files import make_private_dir, read_private, replace_private
from relay.authority.equivocation import Equivocation
from relay.state_folder import DIARY_NAME, DIRECTORY_NAME, EVIDENCE_NAME

MAX_DIARY_SIZE = 64 * 1024 * 1024  # bytes: a ballot and two documents of at most 6 MiB, and a vote
MAX_SNAPSHOT_SIZE = 512 * 1024 * 1024  # bytes: 20,000 relays with descriptors of 16 KiB, and the document
# Liars make evidence at will; a few pairs show all that there is to show.
MAX_EVIDENCE_FILES = 64
MAX_EVIDENCE_SIZE = 3 * MAX_DOCUMENT_SIZE  # bytes: two envelopes in base64


class AuthorityFiles:
    """The files of one authority, whose folder is locked by its process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def diary_file(self) -> Path:
        """For messages."""
        return self._folder / DIARY_NAME

    def diary(self) -> bytes | None:
        """As it was kept last.

        Raises:
            KeyFileError: it cannot be read.
        """
        file = self.diary_file
        return read_private(file, max_size=MAX_DIARY_SIZE) if file.exists() else None

    def keep_diary(self, state: bytes) -> None:
        """Raises KeyFileError where the disk refuses."""
        replace_private(self.diary_file, state)

    def directory(self) -> bytes | None:
        """The last snapshot, unverified.

        Raises:
            KeyFileError: it cannot be read.
        """
        file = self._folder / DIRECTORY_NAME
        return read_private(file, max_size=MAX_SNAPSHOT_SIZE) if file.exists() else None

    def keep_directory(self, snapshot: bytes) -> None:
        """Raises KeyFileError where the disk refuses."""
        replace_private(self._folder / DIRECTORY_NAME, snapshot)

    def evidence(self) -> list[str]:
        """The names of the files of evidence."""
        return sorted(file.name for file in (self._folder / EVIDENCE_NAME).glob("*.json"))

    def keep_evidence(self, pair: Equivocation) -> None:
        """Raises KeyFileError where the disk refuses; what is kept already, or beyond the bound, is dropped."""
        folder = self._folder / EVIDENCE_NAME
        file = folder / f"{digest(pair.first + pair.second)[:8].hex()}.json"
        if file.exists() or len(self.evidence()) >= MAX_EVIDENCE_FILES:
            return
        make_private_dir(folder)
        replace_private(file, encode_evidence(pair))


def encode_evidence(pair: Equivocation) -> bytes:
    """A file for people to hand on: what was signed twice, and both envelopes in base64."""
    form = _EvidenceForm(pair.payload_type, pair.first, pair.second)
    return msgspec.json.format(encode_canonical(form), indent=2) + b"\n"


def decode_evidence(data: bytes) -> Equivocation:
    """Read such a file; ``verify_evidence`` says what it proves.

    Raises:
        MalformedError: wrong form.
    """
    compact = without_white_space(data, what="the evidence", max_size=MAX_EVIDENCE_SIZE)
    form = decode_canonical(_EvidenceForm, compact, what="the evidence", max_size=MAX_EVIDENCE_SIZE)
    return Equivocation(form.payload_type, form.first, form.second)


class _EvidenceForm(Form, frozen=True):
    payload_type: str
    first: bytes
    second: bytes

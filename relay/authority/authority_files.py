"""What an authority keeps in its state folder; every call blocks until it is durable."""

from __future__ import annotations

from pathlib import Path

from onionpath.directory.evidence import Evidence
from onionpath.disk.evidence_files import EvidenceFiles
from onionpath.disk.private_files import read_private, replace_private
from relay.state_folder import DIARY_NAME, DIRECTORY_NAME

MAX_DIARY_SIZE = 64 * 1024 * 1024  # bytes: a ballot and two documents of at most 6 MiB, and a vote
MAX_SNAPSHOT_SIZE = 512 * 1024 * 1024  # bytes: 20,000 relays with descriptors of 16 KiB, and the document


class AuthorityFiles:
    """The files of one authority, whose folder is locked by its process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._evidence = EvidenceFiles(folder)

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
        return [file.name for file in self._evidence.files()]

    def keep_evidence(self, evidence: Evidence, number: int) -> None:
        """Raises KeyFileError where the disk refuses; see ``EvidenceFiles.keep``."""
        self._evidence.keep(evidence, number=number)

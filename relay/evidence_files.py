"""Evidence against authorities on disk: a file for each number of which they signed two documents.

Spec: docs/specs/directory.md §12.2.
"""

from __future__ import annotations

import re
from pathlib import Path

from onionpath.directory.evidence import encode_evidence
from onionpath.disk.private_files import replace_private

EVIDENCE_PREFIX = "evidence-"
# Of at most 12 MiB each. One file proves all that is to be proved; a few more show that it goes on.
MAX_EVIDENCE_FILES = 4
_NAME = re.compile(re.escape(EVIDENCE_PREFIX) + "([1-9][0-9]{0,15})")


class EvidenceFiles:
    """The evidence in one folder; blocks on the disk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def numbers(self) -> list[int]:
        """Of which numbers there is evidence."""
        found = [_NAME.fullmatch(file.name) for file in self._folder.glob(f"{EVIDENCE_PREFIX}*")]
        return sorted(int(match[1]) for match in found if match)

    def keep(self, number: int, pair: tuple[bytes, bytes]) -> Path | None:
        """Write a pair; None if there is evidence of this number, or enough of others.

        Raises:
            KeyFileError: it cannot be written.
        """
        numbers = self.numbers()
        if number in numbers or len(numbers) >= MAX_EVIDENCE_FILES:
            return None
        file = self._folder / f"{EVIDENCE_PREFIX}{number}"
        replace_private(file, encode_evidence(pair))
        return file

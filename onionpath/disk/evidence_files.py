"""Evidence against authorities on disk: a folder with a file for each pair that they should not have signed.

Spec: docs/specs/directory.md §12.2.
"""

from __future__ import annotations

import re
from pathlib import Path

from onionpath.directory.evidence import Evidence
from onionpath.disk.private_files import make_private_dir, replace_private

EVIDENCE_NAME = "evidence"
# Liars make evidence at will, of at most 12 MiB a file. A few pairs show all that there is to show.
MAX_EVIDENCE_FILES = 16
_NAME = re.compile("([1-9][0-9]{0,15})-[0-9a-f]{16}")


class EvidenceFiles:
    """The evidence in a state folder; whoever writes holds its lock.

    Args:
        state: the state folder; the evidence is in ``evidence`` there.
    """

    def __init__(self, state: Path) -> None:
        self.folder = state / EVIDENCE_NAME

    def files(self) -> list[Path]:
        """All of them, in the order of their numbers."""
        return [self.folder / name for _, name in self._found()]

    def numbers(self) -> list[int]:
        """Of which documents, or votes on them, there is evidence."""
        return [number for number, _ in self._found()]

    def keep(self, evidence: Evidence, *, number: int) -> Path | None:
        """Write it; None if it is there already, or there is enough.

        Args:
            number: of the documents, or of the document that the votes are on.

        Raises:
            KeyFileError: it cannot be written.
        """
        file = self.folder / f"{number}-{evidence.digest[:8].hex()}"
        if file.exists() or len(self._found()) >= MAX_EVIDENCE_FILES:
            return None
        make_private_dir(self.folder)
        replace_private(file, evidence.encode())
        return file

    def _found(self) -> list[tuple[int, str]]:
        found = [_NAME.fullmatch(file.name) for file in self.folder.glob("*")]
        return sorted((int(match[1]), match[0]) for match in found if match)

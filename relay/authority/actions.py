"""What an agreement tells its driver to do; ``agreement`` says how each is done."""

from __future__ import annotations

from dataclasses import dataclass, field

from onionpath.directory.document import Document
from onionpath.directory.evidence import Evidence


@dataclass(frozen=True, slots=True)
class Actions:
    """What is to be done; see ``agreement``."""

    state: bytes | None = field(default=None, repr=False)
    document: Document | None = None
    evidence: tuple[Evidence, ...] = ()
    wanted: tuple[bytes, ...] = ()


NOTHING = Actions()

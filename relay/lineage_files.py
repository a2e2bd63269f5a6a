"""The versions of a network's trust root on disk: its file, and the successions that lie beside it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from onionpath.directory.succession import Lineage
from onionpath.directory.trust import TrustRoot
from onionpath.disk.trust_file import read_trust_root
from onionpath.errors import OnionPathError, SettingsError


class Roots(NamedTuple):
    """The newest version, and the ones before it, the newest first."""

    lineage: Lineage
    earlier: tuple[TrustRoot, ...]

    @property
    def newest(self) -> TrustRoot:
        """The version that counts."""
        return self.lineage.root


def read_roots(file: Path) -> Roots:
    """Follow the successions beside a trust root's file.

    Raises:
        SettingsError: a file is missing, isn't one, or does not follow.
    """
    lineage = Lineage(read_trust_root(file))
    earlier: list[TrustRoot] = []
    while (step := succession_file(file, lineage.root.version + 1)).exists():
        earlier.insert(0, lineage.root)
        try:
            lineage = lineage.follow([step.read_bytes()])
        except OSError as error:
            raise SettingsError(f"{step}: cannot be read: {error.strerror}", file=str(step)) from error
        except OnionPathError as error:
            raise SettingsError(f"{step}: {error}", file=str(step)) from error
    return Roots(lineage, tuple(earlier))


def succession_file(root_file: Path, version: int) -> Path:
    """Where the succession to a version lies, beside ``network.json``: ``network.succession-2``."""
    return root_file.with_name(f"{root_file.stem}.succession-{version}")

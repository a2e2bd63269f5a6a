"""The file that says which authorities to believe; nothing in it is secret."""

from __future__ import annotations

from pathlib import Path

from onionpath.directory.trust import MAX_ROOT_SIZE, TrustRoot
from onionpath.errors import OnionPathError, SettingsError


def read_trust_root(file: Path) -> TrustRoot:
    """Read and check a network's trust root.

    Raises:
        SettingsError: it cannot be read, or is no trust root.
    """
    try:
        with file.open("rb") as opened:
            return TrustRoot.decode(opened.read(MAX_ROOT_SIZE + 1))
    except OSError as error:
        raise SettingsError(
            f"cannot read the trust root {file}: {error.strerror}; whoever runs the network gives it out",
            file=str(file),
        ) from error
    except OnionPathError as error:
        raise SettingsError(f"{file} is no trust root: {error}", file=str(file)) from error

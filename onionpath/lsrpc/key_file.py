"""The file with a server's key: 32 raw bytes that only their owner can read.

Whoever has it reads every request that was ever recorded, so it is made once and never shown; what clients are given
is ``public_key_text``. Spec: docs/specs/session-server.md §5.
"""

from __future__ import annotations

from pathlib import Path

from onionpath.crypto.session_channels import SessionPrivateKey
from onionpath.disk.private_files import create_private, read_private
from onionpath.errors import KeyFileError, MalformedError
from onionpath.injected import Entropy


def create_key(file: Path, *, entropy: Entropy) -> SessionPrivateKey:
    """Make a key, and a new file of mode 0600 with it.

    Raises:
        KeyFileError: the file exists already, or cannot be written.
    """
    key = SessionPrivateKey.generate(entropy)
    create_private(file, key.reveal())
    return key


def read_key(file: Path) -> SessionPrivateKey:
    """The key of a file that ``create_key``, or a server of the original, has made.

    Raises:
        KeyFileError: missing, not 32 bytes, or others can reach it.
    """
    secret = read_private(file)
    try:
        return SessionPrivateKey(secret)
    except MalformedError as error:
        raise KeyFileError(f"{file}: {error}", file=str(file)) from error


def public_key_text(key: SessionPrivateKey) -> str:
    """What clients are given: 64 hex digits, no secret."""
    return key.public.encoded.hex()

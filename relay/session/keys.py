"""The keys with which a relay serves Session's clients, apart from all others: none of them opens a native packet.

```text
state/session.key                   X25519: layers are sealed to it, and it never changes
state/session.pem session-tls.key   the HTTPS door's certificate and its key; the descriptor pins them
```

The format has one key for each relay and no rotation, so whoever takes the file can open every layer for this relay
that was recorded before (docs/specs/session-onion.md §10).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from onionpath.crypto.certificates import LinkCertificate
from onionpath.crypto.session_channels import SessionPrivateKey
from onionpath.directory.session_door import SessionDoor
from onionpath.disk.private_files import create_private, make_private_dir, read_private
from onionpath.injected import Entropy
from relay.keys import decode_seed, encode_seed, ensure_certificate, load_certificate
from relay.state_folder import SESSION_CERTIFICATE_NAME, SESSION_KEY_NAME, SESSION_TLS_KEY_NAME

_HEADER = "onionpath session key, keep it secret"


@dataclass(frozen=True, slots=True)
class SessionKeys:
    """What a relay needs to serve Session's clients."""

    private: SessionPrivateKey
    certificate: LinkCertificate

    def door(self, port: int) -> SessionDoor:
        """What the descriptor says of them, and of the port at which clients find the door."""
        return SessionDoor(self.private.public, port, self.certificate.key_hash)


def ensure_session_keys(state: Path, entropy: Entropy) -> SessionKeys:
    """Make whichever key is missing, and load all: called at each start of a relay that serves Session's clients.

    Raises:
        KeyFileError: the folder or a file is damaged or open to others.
    """
    make_private_dir(state)
    if not has_session_keys(state):
        seed = SessionPrivateKey.generate(entropy).reveal()
        create_private(state / SESSION_KEY_NAME, encode_seed(_HEADER, seed))
    ensure_certificate(state / SESSION_CERTIFICATE_NAME, state / SESSION_TLS_KEY_NAME)
    return load_session_keys(state)


def has_session_keys(state: Path) -> bool:
    """Whether this relay has ever served Session's clients."""
    return os.path.lexists(state / SESSION_KEY_NAME)


def load_session_keys(state: Path) -> SessionKeys:
    """The keys as they lie there.

    Raises:
        KeyFileError: one is missing, damaged, open to others, or the certificate is another key's.
    """
    path = state / SESSION_KEY_NAME
    private = SessionPrivateKey(decode_seed(_HEADER, read_private(path), file=path))
    certificate = load_certificate(
        state / SESSION_CERTIFICATE_NAME, state / SESSION_TLS_KEY_NAME, remedy="start the relay again"
    )
    return SessionKeys(private, certificate)

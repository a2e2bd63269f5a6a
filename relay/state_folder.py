"""What lies in a state folder, by name; only its owner can reach any of it.

| name | what | written by |
|---|---|---|
| ``lock`` | held while a process uses the folder; empty | ``files.FolderLock`` |
| ``identity.key`` | the Ed25519 seed | ``keys`` |
| ``link.pem``, ``link.key`` | the links' certificate and its key | ``keys`` |
| ``packet-keys/`` | a relay's X-Wing seeds, by epoch | ``keys`` |
| ``replay/`` | a relay's replay memory, with a lock of its own | ``replay_files`` |
| ``directory`` | a relay's last verified directory | ``network_keeper`` |
| ``signer`` | what an authority has signed last; an old copy of it must never be restored | ``daemon`` |
"""

from __future__ import annotations

LOCK_NAME = "lock"
IDENTITY_NAME = "identity.key"
CERTIFICATE_NAME = "link.pem"
LINK_KEY_NAME = "link.key"
PACKET_KEYS_NAME = "packet-keys"
REPLAY_NAME = "replay"
DIRECTORY_NAME = "directory"
SIGNER_NAME = "signer"

"""What lies in a state folder, by name; only its owner can reach any of it.

| name | what | written by |
|---|---|---|
| ``lock`` | held while a process uses the folder; empty | ``folder_lock`` |
| ``identity.key`` | the Ed25519 seed | ``keys`` |
| ``link.pem``, ``link.key`` | the links' certificate and its key | ``keys`` |
| ``session.key`` | the X25519 key to which Session's layers are sealed | ``session/keys`` |
| ``session.pem``, ``session-tls.key`` | the certificate for Session's clients, and its key | ``session/keys`` |
| ``packet-keys/`` | a relay's X-Wing seeds, by epoch | ``keys`` |
| ``replay/`` | a relay's replay memory, with a lock of its own | ``replay_files`` |
| ``session-replay/`` | its memory of Session's layers, likewise | ``session/memory_files`` |
| ``directory`` | the last verified directory | ``network_keeper``, ``authority_files`` |
| ``diary`` | an authority's votes and signatures; an old copy of it must never be restored | ``authority_files`` |
| ``evidence/`` | what authorities signed twice; nothing in it is secret | ``network_keeper``, ``authority_files`` |
| ``status`` | the socket at which an authority tells how it is | ``status_door`` |
"""

from __future__ import annotations

LOCK_NAME = "lock"
IDENTITY_NAME = "identity.key"
CERTIFICATE_NAME = "link.pem"
LINK_KEY_NAME = "link.key"
SESSION_KEY_NAME = "session.key"
SESSION_CERTIFICATE_NAME = "session.pem"
SESSION_TLS_KEY_NAME = "session-tls.key"
PACKET_KEYS_NAME = "packet-keys"
REPLAY_NAME = "replay"
SESSION_REPLAY_NAME = "session-replay"
DIRECTORY_NAME = "directory"
DIARY_NAME = "diary"
STATUS_NAME = "status"

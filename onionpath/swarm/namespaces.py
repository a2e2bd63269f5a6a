"""What the number of a namespace says about who may store and retrieve there. Spec: docs/specs/storage.md §1.3."""

from __future__ import annotations

LOWEST, HIGHEST = -(2**15), 2**15 - 1

# Fixed by the format: groups of an old kind are read by whoever knows their account.
_OLD_GROUPS = -10


def signed_namespace(namespace: int | None) -> str:
    """A namespace as signatures and hashes have it: nothing for 0, ``all`` for None."""
    if namespace is None:
        return "all"
    return str(namespace) if namespace else ""


def is_public_inbox(namespace: int) -> bool:
    """Whether anybody may store there."""
    return namespace % 10 == 0


def is_public_outbox(namespace: int) -> bool:
    """Whether anybody may retrieve there; it holds one message, the owner's latest."""
    return namespace < 0 and -namespace % 20 == 1


def is_for_revoked(namespace: int) -> bool:
    """Whether revoked subaccounts may still retrieve there."""
    return namespace < 0 and -namespace % 100 == 11


def is_open_to_all(namespace: int) -> bool:
    """Whether anybody may retrieve there."""
    return namespace == _OLD_GROUPS or is_public_outbox(namespace)

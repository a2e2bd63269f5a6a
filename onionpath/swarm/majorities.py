"""How many of a swarm's members decide: any two majorities share a member, and so does whoever reads with each of them.

Spec: docs/specs/storage.md §6.1.
"""

from __future__ import annotations


def majority(members: int) -> int:
    """W: how many of a swarm's members make what they have on disk durable."""
    return members // 2 + 1


def enough_to_read(members: int) -> int:
    """R: so many of a swarm's members that one of them has whatever a majority has."""
    return members - majority(members) + 1

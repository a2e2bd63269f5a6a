"""Choosing the relays of a path: which may stand together, which of those the dice pick, and what is learned of them.

Enter through ``choose``, ``timeouts``, ``blame`` and ``guards``; all of them are values, and functions of the time.
Keeping them, and doing what they say, is left to ``onionpath.client``. Spec: docs/specs/paths.md and guards.md.
"""

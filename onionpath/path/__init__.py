"""Choosing the relays of a path: which may stand together, and which of those the dice pick.

Enter through ``choose``; ``constraints`` says what may stand together. What a client remembers of guards and
of failures stands in ``onionpath.client``. Spec: docs/specs/directory.md §7.
"""

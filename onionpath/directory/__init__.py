"""The signed list of relays: its forms, their signatures, and what must hold before anybody uses it.

Enter through ``trust`` (whom we believe), ``document`` (verification) and ``directory`` (a document together
with its descriptors). Fetching stands in ``onionpath.service``, choosing relays in ``onionpath.path``.
Spec: docs/specs/directory.md.
"""

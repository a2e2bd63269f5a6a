"""Serves Session's clients: their onion requests and storage calls over HTTPS, with a port and keys of its own.

Enter through ``door`` (the listener), or through ``onions`` for what is done with a request, without any socket.
What a layer means is decided in ``onionpath.onion``, what a storage call means in ``onionpath.swarm``.
Spec: docs/specs/session-onion.md and docs/specs/session-network.md.
"""

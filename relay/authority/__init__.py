"""Signing a network's documents: collects descriptors, decides when to sign, never signs two of one number.

Enter through ``signing``; ``weights`` says how much of the traffic each relay gets, ``public`` which
addresses may be listed. Storing the state and serving the document is the daemon's.
Spec: docs/specs/directory.md §9.
"""

"""Signing a network's documents: collects descriptors, decides when to sign, never signs two of one number.

Enter through ``signing`` where one authority signs alone, through ``agreement`` and ``visit`` where several agree;
``weights`` says how much of the traffic each relay gets, ``public`` which addresses may be listed. Storing the
state and serving the document is the daemon's.
Spec: docs/specs/directory.md §9 and docs/specs/authorities.md.
"""

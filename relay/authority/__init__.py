"""Agrees with other authorities on a network's documents: collects descriptors, measures relays, votes, signs once.

Enter through ``making`` for a process, or through ``office`` for an authority without its doors; ``agreement``
has the rules. The switch that carries its calls is the daemon's.
Spec: docs/specs/authorities.md, docs/specs/measuring.md and docs/specs/directory.md §9.
"""

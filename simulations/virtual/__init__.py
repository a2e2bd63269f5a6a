"""A whole network in virtual time: the relays' own switches, services and keys under one seeded event heap.

Enter through ``network.virtual_network``; ``scenario`` runs load and churn for hours, ``python -m simulations virtual``
from a shell. Sockets, TLS and processes are left to ``simulations.local``; docs/guides/virtual-network.md says what
else differs from the world.
"""

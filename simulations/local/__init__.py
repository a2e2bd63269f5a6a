"""A whole network of real processes on loopback: an authority, relays, and a website for exits to reach.

Enter through ``network.LocalNetwork``; ``processes`` forks what it starts, ``demo`` and ``report`` show what each
relay could know of one request. What relays and clients do is left to ``relay`` and ``onionpath``.
"""

"""The disk, as clients and relays share it: files that only their owner reaches, and what both keep in some of them.

Enter through ``private_files``. Every call blocks, and returns when what it wrote is durable: programs with an event
loop call it in a thread. Which files there are, and who locks them, is left to ``onionpath.client`` and ``relay``.
"""

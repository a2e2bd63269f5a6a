"""HTTP libraries over onion streams: httpx and httpx2, on asyncio, on trio and without an event loop.

Enter through ``onionpath.OnionTransport`` and ``SyncOnionTransport``, or their twins in ``onionpath.httpx2``. Speaking
HTTP is left to httpcore and httpcore2, whose network we are, and everything below the streams to ``client``.
"""

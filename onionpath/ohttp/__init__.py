"""Oblivious HTTP: requests that only the app behind a gateway can read, whoever carries them.

Enter through ``gateway.ObliviousGateway`` (for any ASGI app) and ``transport.ObliviousTransport`` (for httpx); it needs
the extra ``onionpath[ohttp]``. Who carries the sealed request, an exit or a relay of RFC 9458, is left to the inner
transport.
"""

"""The client: keeps a directory, paths and connections to first hops, and carries calls and byte streams.

Enter through ``client.Client``. It runs on asyncio and on trio, through anyio. Packets, directories and choices are
decided in the pure rooms, and programs that speak HTTP find their way in through ``onionpath.transports``.
"""

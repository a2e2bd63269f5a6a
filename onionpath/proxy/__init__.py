"""A proxy on this machine for programs that know nothing of onions: SOCKS 5 and HTTP on one port.

Enter through ``server.ProxyServer``; what a byte of a handshake means is decided in ``socks`` and ``http``, without a
socket. Paths and streams are left to ``client``, and names to the exit: nothing here looks one up or dials.
"""

"""A relay: it peels packets, hands them on, and at the last hop serves them; and a small network's authority.

Enter through ``cli`` (the program) or ``daemon`` (the parts, built by their constructors). What a packet
means is decided in ``switch`` and in the pure rooms of ``onionpath``; here are the sockets, files, settings
and logs.
"""

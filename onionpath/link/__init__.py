"""Links: frames of two sizes over TLS 1.3, and the proof by which one relay knows another.

Enter through ``frames`` (the codec), ``proof`` (who a relay is) and ``tls`` (a TLS session without a socket). The
sockets are left to ``client`` and to the relay; nothing here waits.
"""

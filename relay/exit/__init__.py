"""The exit: TCP connections to servers outside, for whoever calls the stream service over a path.

Enter through ``streams`` (the service); it reads hosts with ``hosts`` and connects through ``dial``, which
judges addresses with ``addresses``. What the bytes mean is left to client and server, which speak TLS
end to end.
"""

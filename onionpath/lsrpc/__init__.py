"""Session's clients ask a Python service: requests that come out of an onion, for any ASGI app.

Enter through ``gateway.SessionGateway``, with a key from ``key_file``. Who carries the sealed request is left to the
exits, and the HTTP around it to the server that serves the gateway.
"""

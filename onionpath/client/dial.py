"""How a TCP connection to a first hop is made: directly, or through the proxy that the program names; never both.

Relays' addresses are numbers, so that nothing is looked up here or at the proxy.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import anyio
from anyio.abc import SocketStream

from onionpath.errors import UnreachableError, UsageError

Dial = Callable[[str, int], Awaitable[SocketStream]]
"""Connects to an address and port; raises ``OSError`` when nobody listens there."""

SCHEMES = ("socks5", "http")
# With these the proxy says of the relay what a direct connection would have said: SOCKS 5 (RFC 1928 §6) that network,
# host or port did not answer, HTTP that the gateway got nowhere.
_OF_DESTINATION = frozenset({3, 4, 5, 6, 502, 503, 504})


async def dial_directly(host: str, port: int) -> SocketStream:
    """Without a proxy."""
    return await anyio.connect_tcp(host, port)


class ProxyDial:
    """Connects through one SOCKS 5 or HTTP proxy.

    Args:
        url: ``socks5://user:password@host:port`` or ``http://…``; user and password may be left out.

    Raises:
        UsageError: it is no such address.
    """

    def __init__(self, url: str) -> None:
        self._url, self._name = url, _proxy_name(url)

    async def __call__(self, host: str, port: int) -> SocketStream:
        """See ``Dial``.

        Raises:
            UnreachableError: the proxy is down, refuses us, breaks off or talks nonsense; that accuses no relay.
        """
        from python_socks import ProxyConnectionError, ProxyError
        from python_socks.async_.anyio import Proxy

        proxy = Proxy.from_url(self._url, rdns=True)
        try:
            return await proxy.connect(host, port)
        except ProxyConnectionError as error:
            raise UnreachableError(f"the proxy {self._name} could not be reached", sent=False) from error
        except ProxyError as error:
            if error.error_code in _OF_DESTINATION:
                raise ConnectionError(f"the proxy {self._name} could not connect") from error
            raise UnreachableError(f"the proxy {self._name} refused: {error}", sent=False) from error
        except Exception as error:
            # A proxy that breaks off or talks nonsense, and whoever can speak in its place, makes the library raise
            # what its parser and its stream raise, in part under private names. None of it is said of the relay.
            raise UnreachableError(
                f"the proxy {self._name} broke off or talks nonsense", sent=False
            ) from error


def _proxy_name(url: str) -> str:
    """Host and port, for messages."""
    try:
        parts = urlsplit(url)
        if parts.scheme in SCHEMES and parts.hostname and parts.port:
            return f"{parts.hostname}:{parts.port}"
    except ValueError:
        pass
    # The text may hold a password, so it isn't repeated.
    raise UsageError("a proxy is given as socks5://user:password@host:port or http://host:port")

"""The server's side of HTTP's ways through a proxy: CONNECT, and requests with a whole URL; no socket.

Of a connection only the first request is served, so that nothing meant for one website reaches another. Whatever
was asked by CONNECT is bytes from then on; what was asked by URL is one request and one response (``errand``).
"""

from __future__ import annotations

import base64
import binascii

import h11

from onionpath.proxy.errand import split_url
from onionpath.proxy.failures import Failure, SocksCode
from onionpath.proxy.handshake import Access, Heard, Wanted

MAX_HEAD_SIZE = 64 * 1024  # bytes: room for any cookie that browsers send
HTTP_PORT = 80
_REALM = b'Basic realm="onionpath"'
_HINTS = {
    400: "this is a proxy: give it to your program as http://HOST:PORT or socks5h://HOST:PORT",
    407: "give the proxy's user name and password in its URL",
}


NO_REQUEST = Failure(SocksCode.FAILED, 400, "no HTTP request")


class HttpHandshake:
    """One handshake; see ``handshake.Handshake``. ``by_url`` is the request if it is to be carried on as HTTP."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self.connection = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_SIZE)
        self.by_url: h11.Request | None = None

    def hear(self, data: bytes) -> Heard:
        """See ``Handshake.hear``."""
        try:
            self.connection.receive_data(data)
            event = self.connection.next_event()
        except h11.RemoteProtocolError as error:
            return Heard(outcome=NO_REQUEST._replace(status=error.error_status_hint))
        if not isinstance(event, h11.Request):
            return Heard()
        return Heard(outcome=self._judge(event))

    def _judge(self, request: h11.Request) -> Wanted | Failure:
        user, password = _credentials(request)
        if not self._access.admits(password):
            return Failure(SocksCode.NOT_ALLOWED, 407, "this proxy wants a user name and a password")
        if not _has_sound_framing(request):
            return NO_REQUEST
        isolation = self._access.isolation(user, password)
        if request.method == b"CONNECT":
            destination = _authority(request.target, None)
        else:
            destination = _authority(_of_url(request.target), HTTP_PORT)
            self.by_url = request
        if destination is None:
            return Failure(SocksCode.FAILED, 400, "no host and port that a proxy could connect to")
        return Wanted(*destination, isolation)

    def connected(self) -> tuple[bytes, bytes]:
        """See ``Handshake.connected``; only for CONNECT."""
        self.connection.next_event()  # the end of a request that has no body
        reply = self.connection.send(h11.Response(status_code=200, headers=[], reason=b"Connected"))
        return reply or b"", self.connection.trailing_data[0]

    def failed(self, failure: Failure) -> bytes:
        """See ``Handshake.failed``."""
        words = f"onionpath: {failure.words}\n"
        if failure.status in _HINTS:
            words += f"{_HINTS[failure.status]}\n"
        body = words.encode()
        headers = [
            (b"Content-Type", b"text/plain; charset=utf-8"),
            (b"Content-Length", str(len(body)).encode()),
            (b"Connection", b"close"),
        ]
        if failure.status == 407:
            headers.append((b"Proxy-Authenticate", _REALM))
        response = h11.Response(status_code=failure.status, headers=headers, reason=b"")
        parts = (response, h11.Data(data=body), h11.EndOfMessage())
        try:
            return b"".join(self.connection.send(part) or b"" for part in parts)
        except h11.LocalProtocolError:
            return b""  # a response has begun already


def _credentials(request: h11.Request) -> tuple[str, str]:
    """The user name and password of Basic authentication; empty if there is none."""
    for name, value in request.headers:
        if name == b"proxy-authorization" and value[:6].lower() == b"basic ":
            try:
                text = base64.b64decode(value[6:].strip(), validate=True).decode("latin-1")
            except binascii.Error:
                return "", ""
            user, _, password = text.partition(":")
            return user, password
    return "", ""


def _has_sound_framing(request: h11.Request) -> bool:
    """Whether everybody who reads the request sees its end at the same place (RFC 9112 §6.3); CONNECT has no body."""
    lengths = [value for name, value in request.headers if name == b"content-length"]
    is_chunked = any(name == b"transfer-encoding" for name, _ in request.headers)
    if request.method == b"CONNECT":
        return not is_chunked and all(int(length) == 0 for length in lengths)
    return not (is_chunked and lengths)


def _of_url(target: bytes) -> bytes:
    """The part of an http URL that names host and port; empty for anything else."""
    if target[:7].lower() != b"http://":
        return b""
    authority, _ = split_url(target)
    # A user name there is for the website; programs send it in a header, and we don't guess.
    return b"" if b"@" in authority else authority


def _authority(authority: bytes, default_port: int | None) -> tuple[str, int] | None:
    """Host and port of ``host:port`` or ``[v6]:port``."""
    text = authority.decode("latin-1")
    host, colon, digits = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, digits = text, "" if default_port is None else str(default_port)
    elif not digits and default_port is not None:
        digits = str(default_port)
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        return None
    is_port = digits.isascii() and digits.isdecimal() and len(digits) <= 5 and 0 < int(digits) < 65_536
    is_host = bool(host) and host.isascii() and host.isprintable()
    return (host, int(digits)) if is_host and is_port else None

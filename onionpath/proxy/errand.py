"""One HTTP request to a website and its response, for programs that give a proxy whole URLs; no socket.

Both are parsed and written anew, so that what comes after the request reaches nobody, and a response that was cut off
looks cut off to the program.
"""

from __future__ import annotations

from collections.abc import Iterable

import h11

from onionpath.errors import WebsiteError

# They concern one connection only (RFC 9110 §7.6.1), or us.
_OF_ONE_CONNECTION = {
    b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"proxy-connection", b"te",
    b"trailer", b"upgrade",
}  # fmt: skip
# What a connection header may not declare to concern one connection only: without them a body has no end, or no host.
_OF_THE_MESSAGE = {b"content-length", b"transfer-encoding", b"host"}
_CLOSE = (b"Connection", b"close")
Headers = list[tuple[bytes, bytes]]


class Errand:
    """One of them.

    Args:
        program: the connection to the program, which has given ``request``.
    """

    def __init__(self, program: h11.Connection, request: h11.Request) -> None:
        self._program = program
        self._website = h11.Connection(h11.CLIENT)
        self._head = _rewritten(request)
        self._is_request_over = False
        self.is_over = False  # whether the response is complete

    def begin(self) -> bytes:
        """What the website is sent first.

        Raises:
            h11.ProtocolError: what the program sent is no HTTP.
        """
        return (self._website.send(self._head) or b"") + self._request_body()

    def from_program(self, data: bytes) -> bytes:
        """What the program sent, as the website is sent it.

        Raises:
            h11.ProtocolError: it is no HTTP.
        """
        if self._is_request_over:
            return b""
        self._program.receive_data(data)
        return self._request_body()

    def _request_body(self) -> bytes:
        sent = b""
        while not self._is_request_over:
            event = self._program.next_event()
            if not isinstance(event, h11.Data | h11.EndOfMessage):
                break
            self._is_request_over = isinstance(event, h11.EndOfMessage)
            sent += self._website.send(event) or b""
        return sent

    def from_website(self, data: bytes) -> bytes:
        """What the website sent, as the program is sent it; no data means that it has ended.

        Raises:
            WebsiteError: it is no HTTP, or ended too early.
        """
        sent = b""
        try:
            self._website.receive_data(data)
            while not self.is_over:
                event = self._website.next_event()
                if event in (h11.NEED_DATA, h11.PAUSED) or isinstance(event, h11.ConnectionClosed):
                    break
                sent += self._pass_back(event)
        except h11.ProtocolError as error:
            raise WebsiteError(f"the website broke off: {error}") from error
        return sent

    def _pass_back(self, event: object) -> bytes:
        match event:
            case h11.InformationalResponse(status_code=101):
                raise WebsiteError("the website changes the protocol, which was not asked for")
            case h11.InformationalResponse() | h11.Data():
                return self._program.send(event) or b""
            case h11.Response(status_code=status, headers=headers, reason=reason):
                kept = [*_kept(headers), _CLOSE]
                return (
                    self._program.send(h11.Response(status_code=status, headers=kept, reason=reason)) or b""
                )
            case h11.EndOfMessage():
                self.is_over = True
                return self._program.send(h11.EndOfMessage()) or b""
            case _:
                return b""


def _rewritten(request: h11.Request) -> h11.Request:
    """The request as a website wants it: without the URL's host, and without what was said to us."""
    authority, target = split_url(request.target)
    headers = [(name, value) for name, value in _kept(request.headers) if name != b"host"]
    return h11.Request(
        method=request.method,
        target=target,
        headers=[(b"Host", authority), *headers, _CLOSE],
    )


def split_url(url: bytes) -> tuple[bytes, bytes]:
    """Host and perhaps port of an ``http://`` URL, and what its website is asked for; the fragment is nobody's."""
    rest = url[len(b"http://") :].partition(b"#")[0]
    authority = rest.partition(b"/")[0].partition(b"?")[0]
    target = rest[len(authority) :]
    return authority, target if target.startswith(b"/") else b"/" + target


def _kept(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    named = {
        each.strip().lower() for name, value in headers if name == b"connection" for each in value.split(b",")
    }
    dropped = _OF_ONE_CONNECTION | (named - _OF_THE_MESSAGE)
    return [(name, value) for name, value in headers if name not in dropped]

"""What programs say to the proxy of this machine, as functions for ``targets``, and inputs for the corpus."""

from __future__ import annotations

import h11

from onionpath.errors import MalformedError
from onionpath.proxy.errand import Errand
from onionpath.proxy.handshake import Access, Handshake, Heard, Wanted
from onionpath.proxy.http import HttpHandshake
from onionpath.proxy.socks import SocksHandshake

OPEN, GUARDED = Access(), Access("secret")


def socks(data: bytes) -> None:
    """A greeting, perhaps a password, and a request; how they are cut must not matter."""
    for access in (GUARDED, OPEN):
        handshake, bytewise = SocksHandshake(access), SocksHandshake(access)
        heard = _all_heard(handshake, [data])
        if heard != _all_heard(bytewise, [data[at : at + 1] for at in range(len(data))]):
            raise AssertionError("it matters how a SOCKS handshake is cut")
    _check_wanted(handshake, heard)
    handshake.connected()


def http(data: bytes) -> None:
    """The head of a request, and as much of its body as came with it."""
    _all_heard(HttpHandshake(GUARDED), [data])
    handshake = HttpHandshake(OPEN)
    _check_wanted(handshake, _all_heard(handshake, [data]))
    if handshake.by_url is None:
        handshake.connected()
        return
    try:
        sent = Errand(handshake.connection, handshake.by_url).begin()
    except h11.ProtocolError as error:
        raise MalformedError("the body is no HTTP") from error
    _check_one_request(sent)


def _all_heard(handshake: Handshake, parts: list[bytes]) -> Heard:
    """All that a program is sent, and the outcome, after which nothing more is heard."""
    send = b""
    for part in filter(None, parts):
        heard = handshake.hear(part)
        send += heard.send
        if heard.outcome is not None:
            return Heard(send, heard.outcome)
    return Heard(send)


def _check_wanted(handshake: Handshake, heard: Heard) -> None:
    if isinstance(heard.outcome, Wanted):
        return
    if heard.outcome is not None:
        handshake.failed(heard.outcome)
    raise MalformedError("no connection is asked for")


def _check_one_request(sent: bytes) -> None:
    """A website that reads it finds one host, one length, and no second request."""
    website = h11.Connection(h11.SERVER)
    website.receive_data(sent)
    request = website.next_event()
    headers = list(request.headers) if isinstance(request, h11.Request) else []
    names = [name for name, _ in headers]
    if names.count(b"host") != 1 or {b"content-length", b"transfer-encoding"} <= set(names):
        raise AssertionError("the website is sent no whole head, or two hosts or two lengths")
    while isinstance(website.next_event(), h11.Data | h11.EndOfMessage):
        pass
    if website.their_state is h11.DONE and website.trailing_data[0]:
        raise AssertionError("the website is sent more than one request")


def inputs() -> dict[str, dict[str, bytes]]:
    """For the corpus."""
    name = b"\x05\x01\x00\x03\x0bexample.org\x01\xbb"
    host = b" HTTP/1.1\r\nHost: example.org\r\n"
    post = b"POST http://example.org/a?b#c" + host
    return {
        "proxy-socks": {
            "good-name": b"\x05\x01\x00" + name + b"early",
            "good-v4": b"\x05\x02\x00\x01\x05\x01\x00\x01\xc0\x00\x02\x01\x00\x50",
            "good-v6": b"\x05\x01\x00\x05\x01\x00\x04\x20\x01\x0d\xb8" + bytes(11) + b"\x01\x00\x50",
            "good-password": b"\x05\x01\x02\x01\x01a\x06secret" + name,
            "bad-cut": b"\x05\x01\x00" + name[:-1],
            "bad-command": b"\x05\x01\x00\x05\x03" + name[2:],
            "bad-port-zero": b"\x05\x01\x00" + name[:-2] + bytes(2),
            "bad-name-not-ascii": b"\x05\x01\x00" + name.replace(b"x", b"\xff"),
        },
        "proxy-http": {
            "good-connect": b"CONNECT example.org:443" + host + b"\r\nearly",
            "good-url": b"GET http://[2001:db8::1]:8080?a=b" + host + b"\r\n",
            "good-fragment": b"GET http://example.org#/a" + host + b"\r\n",
            "good-body": post + b"Content-Length: 5\r\n\r\nhello",
            "good-chunks": post + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            "good-length-named": post + b"Connection: content-length, host\r\nContent-Length: 5\r\n\r\nhello",
            "good-password": b"GET http://a/" + host + b"Proxy-Authorization: Basic YTpzZWNyZXQ=\r\n\r\n",
            "bad-chunk": post + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n",
            "bad-two-lengths": post + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "bad-connect-with-body": b"CONNECT a:443" + host + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n",
            "bad-target": b"GET /" + host + b"\r\n",
            "bad-cut": post,
        },
    }

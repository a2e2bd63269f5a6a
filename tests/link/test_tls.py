"""TLS sessions without sockets: what they insist on, and how they end."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from onionpath.crypto.certificates import LinkCertificate, make_link_certificate
from onionpath.errors import PeerError, WrongPeerError
from onionpath.link.tls import TlsSession, client_context, server_context


@pytest.fixture(scope="module")
def certificate() -> LinkCertificate:
    return make_link_certificate()


@pytest.fixture(scope="module")
def server(certificate: LinkCertificate, tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    folder: Path = tmp_path_factory.mktemp("link")
    (folder / "link.pem").write_bytes(certificate.certificate_pem)
    (folder / "link.key").write_bytes(certificate.key_pem)
    return server_context(folder / "link.pem", folder / "link.key")


def sessions(server: ssl.SSLContext, client: ssl.SSLContext | None = None) -> tuple[TlsSession, TlsSession]:
    return TlsSession(client or client_context(), server_side=False), TlsSession(server, server_side=True)


def carry(one: TlsSession, two: TlsSession) -> None:
    for sender, receiver in ((one, two), (two, one)):
        if data := sender.take():
            receiver.feed(data)


def meet(one: TlsSession, two: TlsSession) -> None:
    done = [False, False]
    for _ in range(8):
        done = [done[0] or one.shake_hands(), done[1] or two.shake_hands()]
        carry(one, two)
    assert [True, True] == done


def test_two_sessions_meet_and_carry_frames(server: ssl.SSLContext, certificate: LinkCertificate) -> None:
    client, relay = sessions(server)
    meet(client, relay)
    client.check_peer(certificate.key_hash)
    client.write(b"frame" * 5000)
    carry(client, relay)
    buffer = bytearray(40_000)

    assert 25_000 == relay.read_into(memoryview(buffer))
    assert b"frame" * 5000 == buffer[:25_000]
    assert 0 == relay.read_into(memoryview(buffer))


def test_another_key_than_the_descriptors_is_somebody_else(server: ssl.SSLContext) -> None:
    client, relay = sessions(server)
    meet(client, relay)

    with pytest.raises(WrongPeerError):
        client.check_peer(make_link_certificate().key_hash)


def test_a_client_has_no_certificate_to_check(server: ssl.SSLContext, certificate: LinkCertificate) -> None:
    client, relay = sessions(server)
    meet(client, relay)

    with pytest.raises(WrongPeerError):
        relay.check_peer(certificate.key_hash)


@pytest.mark.parametrize("protocols", [[], ["http/1.1"], ["onionpath/2"]], ids=str)
def test_another_protocol_is_refused(server: ssl.SSLContext, protocols: list[str]) -> None:
    other = client_context()
    if protocols:
        other.set_alpn_protocols(protocols)
    else:
        other = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        other.check_hostname, other.verify_mode = False, ssl.CERT_NONE
    client, relay = sessions(server, other)

    with pytest.raises(PeerError):
        meet(client, relay)


def test_tls_1_2_is_refused(server: ssl.SSLContext) -> None:
    old = client_context()
    old.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    client, relay = sessions(server, old)

    with pytest.raises(PeerError):
        meet(client, relay)


def test_no_tickets_tie_two_connections_together(server: ssl.SSLContext) -> None:
    assert 0 == server.num_tickets


@pytest.mark.parametrize("junk", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00\x05hello", bytes(1000)])
def test_whoever_speaks_something_else_is_refused(server: ssl.SSLContext, junk: bytes) -> None:
    relay = TlsSession(server, server_side=True)
    relay.feed(junk)

    with pytest.raises(PeerError):
        relay.shake_hands()


def test_a_hang_up_in_the_handshake_is_an_error(server: ssl.SSLContext) -> None:
    relay = TlsSession(server, server_side=True)
    relay.feed(b"")

    with pytest.raises(PeerError):
        relay.shake_hands()


def test_a_hang_up_afterwards_is_the_end(server: ssl.SSLContext) -> None:
    client, relay = sessions(server)
    meet(client, relay)
    relay.feed(b"")

    with pytest.raises(EOFError):
        relay.read_into(memoryview(bytearray(10)))


def test_damaged_ciphertext_is_an_error_after_what_came_whole(server: ssl.SSLContext) -> None:
    client, relay = sessions(server)
    meet(client, relay)
    client.write(b"whole")
    whole = client.take()
    client.write(b"damaged")
    damaged = bytearray(client.take())
    damaged[-1] ^= 1
    relay.feed(whole)
    relay.feed(bytes(damaged))
    buffer = memoryview(bytearray(100))

    assert 5 == relay.read_into(buffer)
    with pytest.raises(PeerError):
        relay.read_into(buffer)

"""A TLS 1.3 session without a socket: ciphertext in, plaintext out, and the reverse.

Driving ``ssl.MemoryBIO`` ourselves lets a relay read many frames and write many frames per system call; measured
against a stream object per write it saves three to five times the work.

Spec: docs/specs/link.md §1.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import cast

from onionpath.crypto.certificates import certificate_key_hash
from onionpath.errors import MalformedError, PeerError, WrongPeerError

ALPN = "onionpath/1"


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """The answering side: our link certificate, TLS 1.3, no session tickets."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols([ALPN])
    # A ticket would let whoever sees two connections know that one client made both.
    context.num_tickets = 0
    return context


def client_context() -> ssl.SSLContext:
    """The calling side: names and authorities mean nothing here, ``TlsSession.check_peer`` pins the key."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    # Not the absence of verification: the certificate's key must equal the hash in a signed descriptor.
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols([ALPN])
    return context


class TlsSession:
    """One side of one TLS connection.

    ``feed`` ciphertext that came, ``shake_hands`` until it is true, then ``read_into`` and ``write``; after each of
    them, what ``take`` gives goes to the socket.
    """

    def __init__(self, context: ssl.SSLContext, *, server_side: bool) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._session = context.wrap_bio(self._incoming, self._outgoing, server_side=server_side)
        self._end: ssl.SSLError | None = None

    def feed(self, ciphertext: bytes | memoryview) -> None:
        """Hand over bytes from the socket; no bytes mean that the peer has closed."""
        if len(ciphertext):
            self._incoming.write(ciphertext)
        else:
            self._incoming.write_eof()

    def take(self) -> bytes:
        """Ciphertext for the socket, all there is."""
        return self._outgoing.read()

    def shake_hands(self) -> bool:
        """Go on with the handshake; true once it is complete.

        Raises:
            PeerError: the other side doesn't speak TLS 1.3 with our ALPN, or hung up.
        """
        try:
            self._session.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLError as error:
            raise PeerError(f"the TLS handshake failed: {error.reason or type(error).__name__}") from error
        if self._session.selected_alpn_protocol() != ALPN:
            raise PeerError(f"the peer does not speak {ALPN}")
        return True

    def check_peer(self, key_hash: bytes) -> None:
        """Insist on the peer whose certificate has this key.

        Raises:
            WrongPeerError: it is somebody else.
        """
        der = self._session.getpeercert(binary_form=True)
        try:
            matches = der is not None and certificate_key_hash(der) == key_hash
        except MalformedError:
            matches = False
        if not matches:
            raise WrongPeerError("the peer's link key is not the one in its descriptor")

    def read_into(self, buffer: memoryview) -> int:
        """Fill the buffer with plaintext; gives how much, 0 when more ciphertext is needed.

        Raises:
            EOFError: the peer has closed its side.
            PeerError: the ciphertext is damaged.
        """
        filled = 0
        try:
            while filled < len(buffer):
                # With a buffer, ``read`` gives a count; its stub knows only the other form.
                count = cast(int, self._session.read(len(buffer) - filled, buffer[filled:]))
                if not count:
                    break
                filled += count
        except ssl.SSLWantReadError:
            return filled
        except ssl.SSLError as error:
            # OpenSSL tells of damage once and calls it the end from then on, so it is kept for the next read.
            self._end = self._end or error
            if filled:
                return filled
            if isinstance(self._end, ssl.SSLZeroReturnError | ssl.SSLEOFError):
                raise EOFError from None  # noqa: TRY004  # an end, not a wrong type
            raise PeerError(f"the TLS stream is damaged: {self._end.reason}") from self._end
        if not filled:
            raise EOFError
        return filled

    def write(self, plaintext: bytes) -> None:
        """Encrypt; collect the result with ``take``.

        Raises:
            PeerError: the session has ended, by damage or by the peer.
        """
        try:
            self._session.write(plaintext)
        except ssl.SSLError as error:
            raise PeerError("the TLS session has ended") from error

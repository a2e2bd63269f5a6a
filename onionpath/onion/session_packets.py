"""What goes into a Session onion and what comes out of it: frozen values, and the right to seal one reply.

Spec: docs/specs/session-onion.md §4 to §7.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple

from onionpath.crypto.identity import RelayId
from onionpath.crypto.session_channels import Cipher, LayerSecret, SessionPrivateKey, SessionPublicKey
from onionpath.errors import UsageError
from onionpath.onion.session_lsrpc import LsrpcServer
from onionpath.onion.session_v4 import V4Request

MAX_LAYERS = 5


@dataclass(frozen=True, slots=True)
class SessionHop:
    """One relay's part of a path, as the client sees it, with the cipher of its layer."""

    relay_id: RelayId
    key: SessionPublicKey
    cipher: Cipher = Cipher.XCHACHA20


@dataclass(frozen=True, slots=True)
class SessionHopKey:
    """A relay's own Session key, with the name under which others forward to it."""

    relay_id: RelayId
    private: SessionPrivateKey


@dataclass(frozen=True, slots=True)
class SessionCall:
    """What the last hop is asked itself: a storage request.

    Args:
        body: UTF-8 text; for storage the JSON of method and params.
        wants_base64: the reply comes as text, as all clients ask; otherwise as bytes, a quarter shorter.
    """

    body: bytes = field(repr=False)
    wants_base64: bool = True


@dataclass(frozen=True, slots=True)
class ServerCall:
    """What the last hop posts to a server, which alone can read it.

    Args:
        server: where it takes requests; the exit learns it.
        key: the server's own; the request is sealed to it.
        request: what the server reads.
    """

    server: LsrpcServer
    key: SessionPublicKey
    request: V4Request
    cipher: Cipher = Cipher.XCHACHA20


class SessionPacket(NamedTuple):
    """A request as it stands on one link.

    Only ``layer`` is authenticated. ``depth`` is ``hop_no`` on the wire, 0 at the first relay.
    """

    ephemeral: SessionPublicKey
    cipher: Cipher
    layer: bytes
    depth: int = 0


class ReplyForm(Enum):
    """How the plaintext of a reply is written."""

    TEXT = "text"  # {"body": "...", "status": 200}, the body as a string
    JSON = "json"  # likewise, with a body that is JSON standing as it is
    V4 = "v4"  # a server's bencoded list


class SessionReplyKey:
    """The right to seal one reply. It is consumed by use, although a replayed request would give it again."""

    __slots__ = ("_layer", "form", "wants_base64")

    def __init__(self, layer: LayerSecret, form: ReplyForm, *, wants_base64: bool) -> None:
        self._layer: LayerSecret | None = layer
        self.form = form
        self.wants_base64 = wants_base64

    def use(self) -> LayerSecret:
        """Hand over the layer's secret, once.

        Raises:
            UsageError: it was used before.
        """
        layer, self._layer = self._layer, None
        if layer is None:
            raise UsageError("this reply key has already sealed its reply")
        return layer

    def __repr__(self) -> str:
        return f"<SessionReplyKey {self._layer or 'spent'}>"

    def __reduce__(self) -> Any:
        raise TypeError("SessionReplyKey is secret and is not pickled")


class ForwardToRelay(NamedTuple):
    """The packet goes on to the next relay, whose reply comes back as it is: on the way back nothing is sealed."""

    next_relay: RelayId
    packet: SessionPacket
    seed: bytes

    def __repr__(self) -> str:
        return "<ForwardToRelay>"


class ForwardToServer(NamedTuple):
    """This relay posts ``posted`` to a server, and passes status and body of its response back as they are.

    ``posted`` is the whole opened layer, so that the server reads how it was addressed: the format wants it.
    """

    server: LsrpcServer
    posted: bytes
    seed: bytes

    def __repr__(self) -> str:
        return "<ForwardToServer>"


class SessionServe(NamedTuple):
    """This relay is asked to answer itself."""

    body: bytes
    seed: bytes
    reply_key: SessionReplyKey

    def __repr__(self) -> str:
        return f"<SessionServe {self.reply_key!r}>"


SessionPeeled = ForwardToRelay | ForwardToServer | SessionServe


@dataclass(frozen=True, slots=True)
class SessionReply:
    """What the last hop answers.

    Args:
        status: 100 to 599; outside of the seal it is 200 whatever stands here.
        body: UTF-8 text.
        is_json: the text is JSON of ours, and stands in the reply as it is if the client has asked for that.
    """

    status: int
    body: bytes = field(repr=False)
    is_json: bool = False


@dataclass(frozen=True, slots=True)
class SessionOpener:
    """The only object that can open the reply to one wrapped packet."""

    secret: LayerSecret
    form: ReplyForm
    is_base64: bool


@dataclass(frozen=True, slots=True)
class SessionWrapped:
    """A packet for the first hop, with what opens its reply."""

    packet: SessionPacket
    opener: SessionOpener

"""Binary HTTP: a request or response as one string of bytes.

Both forms are read, known length and indeterminate length; known length is written. What is above the limits is
refused before it is copied. Source: RFC 9292; docs/specs/ohttp.md §3.
"""

from __future__ import annotations

from onionpath.errors import MalformedError
from onionpath.ohttp.cursor import Cursor, encode_integer, encode_prefixed
from onionpath.ohttp.fields import check_control, check_value, parse_name
from onionpath.ohttp.messages import Fields, HttpRequest, HttpResponse, Limits

# A chunk of one byte costs two bytes of message and a microsecond of ours; this keeps the worst message near 20 ms.
MAX_CHUNKS = 16 * 1024

KNOWN_REQUEST, KNOWN_RESPONSE, INDETERMINATE_REQUEST, INDETERMINATE_RESPONSE = range(4)


def encode_request(request: HttpRequest) -> bytes:
    """The known-length form, without padding; names must be in lower case."""
    control = (request.method, request.scheme, request.authority, request.path)
    head = b"".join(map(encode_prefixed, control))
    return encode_integer(KNOWN_REQUEST) + head + _encode_rest(request.fields, request.body)


def encode_response(response: HttpResponse) -> bytes:
    """The known-length form, without padding; names must be in lower case."""
    head = encode_integer(KNOWN_RESPONSE) + encode_integer(response.status)
    return head + _encode_rest(response.fields, response.body)


def _encode_rest(fields: Fields, body: bytes) -> bytes:
    # There are never trailers, and their empty section is left out (RFC 9292 §3.8).
    return encode_prefixed(_encode_fields(fields)) + encode_prefixed(body)


def _encode_fields(fields: Fields) -> bytes:
    return b"".join(encode_prefixed(name) + encode_prefixed(value) for name, value in fields)


def check_message(message: HttpRequest | HttpResponse, limits: Limits) -> None:
    """Refuse to write what a reader with these limits would refuse to read.

    Raises:
        MalformedError: a name, a value or a size is not allowed.
    """
    for name, value in message.fields:
        if parse_name(name) != name:
            raise MalformedError("a field's name is not in lower case")
        check_value(value)
    control = 16
    if isinstance(message, HttpRequest):
        check_control(message)
        control += len(message.method + message.scheme + message.authority + message.path)
    elif not 200 <= message.status <= 599:
        raise MalformedError("a final response's status is not in 200 to 599")
    if (
        len(message.fields) > limits.fields
        or len(_encode_fields(message.fields)) + control > limits.head_bytes
    ):
        raise MalformedError("a message's head is above its limit")
    if len(message.body) > limits.body_bytes:
        raise MalformedError("a message's body is above its limit")


def decode_request(data: bytes, limits: Limits) -> HttpRequest:
    """Read a request of either form; trailers are checked and dropped.

    Raises:
        MalformedError: it is not well formed, or above a limit.
    """
    reader = _Reader(data, limits, forms=(KNOWN_REQUEST, INDETERMINATE_REQUEST))
    method, scheme, authority, path = reader.control(), reader.control(), reader.control(), reader.control()
    request = HttpRequest(method, scheme, authority, path, reader.section(), reader.body())
    reader.finish()
    check_control(request)
    return request


def decode_response(data: bytes, limits: Limits) -> HttpResponse:
    """Read a response of either form; informational responses and trailers are checked and dropped.

    Raises:
        MalformedError: it is not well formed, or above a limit.
    """
    reader = _Reader(data, limits, forms=(KNOWN_RESPONSE, INDETERMINATE_RESPONSE))
    status = reader.status()
    while status < 200:
        reader.section()
        status = reader.status()
    response = HttpResponse(status, reader.section(), reader.body())
    reader.finish()
    return response


class _Reader:
    """Reads a message part by part, and counts what its head has used of the limits."""

    def __init__(self, data: bytes, limits: Limits, *, forms: tuple[int, int]) -> None:
        self._cursor = Cursor(data)
        self._limits = limits
        self._fields = 0
        self._head_bytes = 0
        form = self._cursor.integer()
        if form not in forms:
            raise MalformedError("a binary HTTP message begins with another form than it should")
        self._is_known = form == forms[0]

    def control(self) -> bytes:
        """One part of a request's control data."""
        size = self._cursor.integer()
        self._count_head(size)
        return bytes(self._cursor.take(size))

    def status(self) -> int:
        """A status from 100 to 599; 101 would change a protocol that is not there."""
        status = self._cursor.integer()
        # An informational response without fields takes no head bytes otherwise, and there could be a million.
        self._count_head(4)
        if not 100 <= status <= 599 or status == 101:
            raise MalformedError("a response's status is not allowed")
        return status

    def section(self) -> Fields:
        """A section of header or trailer fields."""
        fields: list[tuple[bytes, bytes]] = []
        if self._is_known:
            size = self._cursor.integer_or_end()
            self._count_head(size)
            lines = Cursor(self._cursor.take(size))
            while not lines.is_at_end:
                fields.append(self._line(lines, lines.integer()))
            return tuple(fields)
        if self._cursor.is_at_end:
            return ()
        while name_size := self._cursor.integer():
            before = self._cursor.at
            fields.append(self._line(self._cursor, name_size))
            self._count_head(self._cursor.at - before)
        return tuple(fields)

    def _line(self, cursor: Cursor, name_size: int) -> tuple[bytes, bytes]:
        self._fields += 1
        if self._fields > self._limits.fields:
            raise MalformedError("a message has too many fields")
        if name_size > self._limits.head_bytes:
            raise MalformedError("a message's head is above its limit")
        name = parse_name(bytes(cursor.take(name_size)))
        value_size = cursor.integer()
        if value_size > self._limits.head_bytes:
            raise MalformedError("a message's head is above its limit")
        value = bytes(cursor.take(value_size))
        check_value(value)
        return name, value

    def _count_head(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > self._limits.head_bytes:
            raise MalformedError("a message's head is above its limit")

    def body(self) -> bytes:
        """The content, whole."""
        if self._is_known or self._cursor.is_at_end:
            return self._chunk(self._cursor.integer_or_end(), held=0)
        chunks: list[bytes] = []
        held = 0
        while size := self._cursor.integer():
            if len(chunks) == MAX_CHUNKS:
                raise MalformedError("a message's body has too many chunks")
            chunks.append(self._chunk(size, held=held))
            held += size
        return b"".join(chunks)

    def _chunk(self, size: int, *, held: int) -> bytes:
        if held + size > self._limits.body_bytes:
            raise MalformedError("a message's body is above its limit")
        return bytes(self._cursor.take(size))

    def finish(self) -> None:
        """Trailers, and padding of zeros to the end."""
        self.section()
        padding = self._cursor.rest()
        if padding != bytes(len(padding)):
            raise MalformedError("a message's padding is not zero")

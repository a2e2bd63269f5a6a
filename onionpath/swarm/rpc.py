"""Reads the text of a storage request, all of it before anything of it is judged.

Spec: docs/specs/storage.md §2.1, §2.4, §2.5, §4.1.
"""

from __future__ import annotations

from collections.abc import Mapping

from onionpath.errors import MalformedError
from onionpath.onion.session_fields import decode_fields
from onionpath.swarm.fields import MAX_INTEGER, BadRequestError, Fields, echoed, refuse_request
from onionpath.swarm.methods import METHODS
from onionpath.swarm.requests import (
    Asked,
    BatchRequest,
    Bound,
    Condition,
    IfElseRequest,
    Leaf,
    NetworkRequest,
    Request,
)

MAX_REQUEST_SIZE = 4 * 1024 * 1024  # bytes; twenty of the largest messages in base64 are 2 MB
MAX_PARTS = 20

# Twenty requests with a list each open 64, and an ifelse between two such batches twice as many.
_MAX_BRACKETS = 512
# Twenty requests have ten keys each.
_MAX_COLONS = 5_000
_MAX_IFELSE_DEPTH = 8

_NETWORK_METHODS = frozenset({"info", "get_swarm", "get_snodes_for_pubkey", "oxend_request"})
_META_METHODS = frozenset({"batch", "sequence", "ifelse"})

# What a condition may be about, with how many numbers.
_STATE_SIZES = {"hf": 2, "v": 3, "height": 1}


def read_request(text: bytes) -> Request:
    """Read a request.

    Raises:
        BadRequestError: it cannot be read; the error's text is the reply's body, and 400 its status.
    """
    try:
        envelope = decode_fields(
            text, max_size=MAX_REQUEST_SIZE, max_brackets=_MAX_BRACKETS, max_colons=_MAX_COLONS
        )
    except MalformedError as error:
        raise BadRequestError("invalid json") from error
    method, params = envelope.get("method"), envelope.get("params")
    if not isinstance(method, str):
        raise BadRequestError("invalid json: no `method` field")
    if not isinstance(params, dict):
        raise BadRequestError("invalid json: no `params` field")
    return _read(method, params, depth=0)


def read_leaf(method: str, params: Mapping[str, object]) -> Leaf:
    """Read a request that holds no others.

    Raises:
        BadRequestError: it cannot be read.
    """
    if method in _NETWORK_METHODS:
        return NetworkRequest(method, params)
    if (read := METHODS.get(method)) is None:
        raise BadRequestError(f"no method {echoed(method)}")
    fields = Fields(params)
    return Asked(read(fields), fields.taken)


def _read(method: str, params: Mapping[str, object], *, depth: int) -> Request:
    match method:
        case "batch" | "sequence":
            return BatchRequest(_parts(params), method == "sequence")
        case "ifelse":
            return _if_else(params, depth=depth + 1)
    return read_leaf(method, params)


def _parts(params: Mapping[str, object]) -> tuple[Leaf, ...]:
    return tuple(map(_part, _requests(params)))


def _requests(params: Mapping[str, object]) -> list[object]:
    requests = params.get("requests")
    if not isinstance(requests, list) or not requests:
        raise refuse_request('Invalid batch request: no valid "requests" field')
    if len(requests) > MAX_PARTS:
        raise refuse_request("Invalid batch request: subrequest limit exceeded")
    return requests


def _part(request: object) -> Leaf:
    method, params = _method_and_params(request, "Invalid batch request: subrequests")
    if method in _META_METHODS:
        if method != "ifelse":
            _requests(params)
        raise refuse_request("Invalid batch subrequest: subrequests may not contain meta-requests")
    _check_method(method)
    return read_leaf(method, params)


def _if_else(params: Mapping[str, object], *, depth: int) -> IfElseRequest:
    if depth > _MAX_IFELSE_DEPTH:
        raise refuse_request("Invalid ifelse request: too many within each other")
    condition = _condition(params.get("if"))
    then, otherwise = _branch(params, "then", depth=depth), _branch(params, "else", depth=depth)
    if then is None and otherwise is None:
        raise refuse_request('Invalid ifelse request: at least one of "then"/"else" required')
    return IfElseRequest(condition, then, otherwise)


def _branch(params: Mapping[str, object], name: str, *, depth: int) -> Request | None:
    if params.get(name) is None:
        return None
    method, given = _method_and_params(params[name], f"Invalid ifelse request: {name}")
    _check_method(method)
    return _read(method, given, depth=depth)


def _check_method(method: str) -> None:
    """An unknown method within another request makes the whole invalid."""
    if method not in METHODS and method not in _NETWORK_METHODS and method not in _META_METHODS:
        raise refuse_request(f'Invalid subrequest: invalid method "{echoed(method)}"')


def _method_and_params(request: object, what: str) -> tuple[str, dict[str, object]]:
    if isinstance(request, dict):
        method, params = request.get("method"), request.get("params")
        if isinstance(method, str) and isinstance(params, dict):
            return method, params
    raise refuse_request(f"{what} must have method/params keys")


def _condition(given: object) -> Condition:
    if not isinstance(given, dict):
        raise refuse_request('Invalid ifelse request: no valid "if" field')
    at_least = _bounds(given, "at_least")
    before = _bounds(given, "before")
    if not at_least and not before:
        raise refuse_request('Invalid ifelse request: must specify at least one "if" condition')
    return Condition(at_least, before)


def _bounds(given: Mapping[str, object], suffix: str) -> dict[str, Bound]:
    bounds = {name: _bound(given, f"{name}_{suffix}", size) for name, size in _STATE_SIZES.items()}
    return {name: bound for name, bound in bounds.items() if bound is not None}


def _bound(given: Mapping[str, object], name: str, size: int) -> Bound | None:
    value = given.get(name)
    numbers = value if isinstance(value, list) else [value]
    if value is None or not numbers:
        return None
    read = tuple(Fields({name: number}).integer(name, -MAX_INTEGER, MAX_INTEGER) or 0 for number in numbers)
    return (*read, *(0,) * size)[:size]

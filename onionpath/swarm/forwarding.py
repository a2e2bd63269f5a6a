"""How a member passes a change on to the others of its swarm, and how they read and judge it again.

Spec: docs/specs/storage.md §5.5.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from onionpath.errors import MalformedError
from onionpath.onion.session_bencode import decode_dict, encode_dict
from onionpath.onion.session_fields import decode_fields
from onionpath.swarm.fields import MAX_INTEGER
from onionpath.swarm.judging import FROM_MEMBER
from onionpath.swarm.operations import Version
from onionpath.swarm.planning import plan_write
from onionpath.swarm.plans import Done, Write
from onionpath.swarm.requests import Asked, ReadRequest
from onionpath.swarm.rpc import MAX_REQUEST_SIZE, read_leaf

_MAX_BRACKETS = 8


@dataclass(frozen=True, slots=True)
class Forwarded:
    """A change as it goes to the other members.

    Args:
        params: the fields that the first member has read, unchecked.
        judged_at_ms: its clock.
        version: under which all members make the change.
    """

    method: str
    params: Mapping[str, object] = field(repr=False)
    judged_at_ms: int
    version: Version


def forward(write: Write, version: Version) -> bytes:
    """What the other members are sent."""
    params = json.dumps(write.params, separators=(",", ":"), sort_keys=True).encode()
    return encode_dict(
        {b"m": write.request.method.encode(), b"p": params, b"t": write.judged_at_ms, b"v": version}
    )


def decode_forwarded(data: bytes) -> Forwarded:
    """Read what a member has passed on.

    Raises:
        MalformedError: no member sends this.
    """
    fields = decode_dict(data, at_most=4)
    match fields:
        case {
            b"m": bytes() as method,
            b"p": bytes() as params,
            b"t": int() as judged_at_ms,
            b"v": int() as version,
        }:
            read = decode_fields(params, max_size=MAX_REQUEST_SIZE, max_brackets=_MAX_BRACKETS)
        case _:
            raise MalformedError("a change that was passed on lacks a field")
    if not (0 <= judged_at_ms <= MAX_INTEGER and 0 <= version <= MAX_INTEGER and method.isascii()):
        raise MalformedError("a change that was passed on has a time or a version that is none")
    return Forwarded(method.decode(), read, judged_at_ms, Version(version))


def plan_forwarded(forwarded: Forwarded, *, now_ms: int) -> Write | Done:
    """What a member does about a change that another one was asked for: the same, if it judges likewise.

    Whether it stores for the account, and whether the other's clock and version are near enough, it looks at itself.

    Args:
        now_ms: the time to judge by.

    Raises:
        MalformedError: the fields are no request, or ask for no change.
    """
    asked = read_leaf(forwarded.method, forwarded.params)
    if not isinstance(asked, Asked) or isinstance(asked.request, ReadRequest):
        raise MalformedError("a question was passed on")
    plan = plan_write(asked.request, asked.params, now_ms=now_ms, tolerance=FROM_MEMBER)
    # All members count the longest expiry from one clock.
    return replace(plan, judged_at_ms=forwarded.judged_at_ms) if isinstance(plan, Write) else plan

"""What a gateway answers when it does not pass a request on.

Outside of the seal, before it was opened, whoever carries the request reads the answer, so it says one and the same
of every request that does not open. Inside, only the client reads it.
Source: RFC 9458 §5.2, §5.3 and §6.5.2; RFC 9457; docs/specs/ohttp.md §5.
"""

from __future__ import annotations

import msgspec

from onionpath.injected import UnixTime
from onionpath.ohttp.dates import encode_date
from onionpath.ohttp.messages import HttpResponse

PROBLEM_TYPE = "application/problem+json"
KEY_PROBLEM = "https://iana.org/assignments/http-problem-types#ohttp-key"
DATE_PROBLEM = "https://iana.org/assignments/http-problem-types#date"

DOES_NOT_OPEN = msgspec.json.encode({"type": KEY_PROBLEM, "title": "the request does not open with our keys"})


def inner_problem(status: int, title: str, *, kind: str = "about:blank") -> HttpResponse:
    """A problem for the client alone."""
    body = msgspec.json.encode({"type": kind, "title": title, "status": status})
    return HttpResponse(status, _fields(body), body)


def date_problem(now: UnixTime) -> HttpResponse:
    """The request's Date is missing or too far from ours, which stands in the answer."""
    problem = inner_problem(400, "the Date is missing or outside of the window", kind=DATE_PROBLEM)
    return HttpResponse(400, (*problem.fields, (b"date", encode_date(now))), problem.body)


def _fields(body: bytes) -> tuple[tuple[bytes, bytes], ...]:
    return (
        (b"content-type", PROBLEM_TYPE.encode("ascii")),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
    )

"""The Date field, in the one form that is written today.

Source: RFC 9110 §5.6.7 (IMF-fixdate).
"""

from __future__ import annotations

from email.utils import formatdate, parsedate_to_datetime

from onionpath.errors import MalformedError
from onionpath.injected import UnixTime


def encode_date(when: UnixTime) -> bytes:
    """Unix time in whole seconds, such as ``Sun, 06 Nov 1994 08:49:37 GMT``."""
    return formatdate(int(when), usegmt=True).encode("ascii")


def decode_date(value: bytes) -> UnixTime:
    """Read what ``encode_date`` writes.

    Raises:
        MalformedError: it is anything else, the two obsolete forms included.
    """
    try:
        when = UnixTime(parsedate_to_datetime(value.decode("ascii")).timestamp())
        is_ours = encode_date(when) == value
    except (ValueError, TypeError, IndexError, OverflowError) as error:
        raise MalformedError("a Date is not well formed") from error
    if not is_ours:
        # The library reads more than RFC 9110 allows: wrong weekdays, other zones, comments.
        raise MalformedError("a Date is not well formed")
    return when

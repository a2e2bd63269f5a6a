"""Programs are told the truth about why they have no connection, as far as their protocol has words for it."""

from __future__ import annotations

import pytest

from onionpath.errors import (
    DeadlineError,
    NoPathError,
    OnionPathError,
    RefusedError,
    StaleDirectoryError,
    UnreachableError,
    UsageError,
)
from onionpath.onion.statuses import Reason
from onionpath.proxy.failures import SocksCode, failure_of


def refused(reason: Reason) -> RefusedError:
    return RefusedError("no", reason=reason.name.lower())


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        (refused(Reason.PORT_REFUSED), SocksCode.NOT_ALLOWED, 403),
        (refused(Reason.ADDRESS_FORBIDDEN), SocksCode.NOT_ALLOWED, 403),
        (refused(Reason.NAME_NOT_FOUND), SocksCode.HOST_UNREACHABLE, 502),
        (refused(Reason.NAME_TIMED_OUT), SocksCode.HOST_UNREACHABLE, 504),
        (refused(Reason.CONNECTION_REFUSED), SocksCode.CONNECTION_REFUSED, 502),
        (refused(Reason.CONNECTION_TIMED_OUT), SocksCode.TTL_EXPIRED, 504),
        (refused(Reason.STREAM_LIMIT), SocksCode.FAILED, 502),
        (NoPathError("", reasons={"port-not-allowed": 3}), SocksCode.NOT_ALLOWED, 403),
        (NoPathError("", reasons={"port-not-allowed": 3, "avoided": 1}), SocksCode.NETWORK_UNREACHABLE, 503),
        (NoPathError(""), SocksCode.NETWORK_UNREACHABLE, 503),
        (UnreachableError(""), SocksCode.NETWORK_UNREACHABLE, 503),
        (StaleDirectoryError(""), SocksCode.NETWORK_UNREACHABLE, 503),
        (DeadlineError(""), SocksCode.TTL_EXPIRED, 504),
        (UsageError(""), SocksCode.FAILED, 400),
        (OnionPathError(""), SocksCode.FAILED, 502),
    ],
)
def test_each_failure_has_its_code_and_status(error: OnionPathError, code: SocksCode, status: int) -> None:
    failure = failure_of(error)

    assert (code, status) == (failure.code, failure.status)

"""Logs: facts on standard error, nothing of anybody's traffic and nothing of a key."""

from __future__ import annotations

import io
import json

import pytest
import structlog

from relay.logs import configure_logs, describe_error

SECRET = "a1b2c3-very-secret"


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


@pytest.fixture(autouse=True)
def _restored() -> object:
    yield
    structlog.reset_defaults()


def test_json_lines_are_facts_with_fields(stream: io.StringIO) -> None:
    configure_logs("info", "json", stream=stream)
    structlog.get_logger().info("directory_refreshed", version=412)
    structlog.get_logger().debug("unheard")

    (line,) = stream.getvalue().splitlines()
    fact = json.loads(line)
    assert ("directory_refreshed", "info", 412) == (fact["event"], fact["level"], fact["version"])


@pytest.mark.parametrize("form", ["json", "text"])
@pytest.mark.parametrize("field", ["client", "destination", "path", "host", "address", "url", "token"])
def test_fields_that_name_somebody_are_withheld(stream: io.StringIO, form: str, field: str) -> None:
    configure_logs("debug", form, stream=stream)
    structlog.get_logger().debug("link_closed", **{field: "198.51.100.7"})

    assert "198.51.100.7" not in stream.getvalue()
    assert field in stream.getvalue()
    assert "withheld" in stream.getvalue()


@pytest.mark.parametrize("form", ["json", "text"])
def test_an_exception_is_told_without_its_text_or_locals(stream: io.StringIO, form: str) -> None:
    configure_logs("info", form, stream=stream)
    key = SECRET
    try:
        describe_error(int(key))  # type: ignore[arg-type]
    except ValueError:
        structlog.get_logger().exception("sweep_failed")

    assert SECRET not in stream.getvalue()
    assert "ValueError" in stream.getvalue()
    assert 1 == len(stream.getvalue().splitlines())


def test_an_exception_is_placed_in_our_code() -> None:
    with pytest.raises(KeyError) as caught:
        configure_logs("loud", "text")

    assert describe_error(ExceptionGroup("", [caught.value])).startswith("KeyError at relay/logs.py:")


def test_a_value_cannot_start_a_line_of_its_own(stream: io.StringIO) -> None:
    configure_logs("info", "text", stream=stream)
    structlog.get_logger().info("settings_read", name="x\n2026-01-01 error forged")

    assert 1 == len(stream.getvalue().splitlines())

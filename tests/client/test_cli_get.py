"""``onionpath get``: what may be sent, and what is shown besides the body."""

from __future__ import annotations

import json
import os
import re
import socketserver
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from onionpath.cli import _explain as explain
from onionpath.cli_request import parse_request
from onionpath.cli_trace import trace_of
from onionpath.errors import UsageError, WebsiteError
from tests.client.worlds import Run, World
from tests.directory.networks import network

URL = "http://a.example/"
PROGRAM = [sys.executable, "-m", "onionpath"]
ROOT = Path(__file__).parents[2]


class _Echoing(socketserver.StreamRequestHandler):
    """Answers with the request, its body included."""

    def handle(self) -> None:
        request = b""
        while line := self.rfile.readline().rstrip():
            request += line + b"\n"
        length = re.search(rb"(?i)content-length: (\d+)", request)
        request += b"\n" + self.rfile.read(int(length[1]) if length else 0)
        head = (
            f"HTTP/1.1 200 OK\r\nX-Echo: yes\r\nContent-Length: {len(request)}\r\nConnection: close\r\n\r\n"
        )
        self.wfile.write(head.encode() + request)


@pytest.fixture(scope="module")
def echo() -> Iterator[str]:
    """The address of a website that shows what it was asked."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Echoing) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


def test_headers_method_and_body_arrive_as_they_were_given(run: Run, world: World, echo: str) -> None:
    options = ["-H", "X-Word: a b", "-H", "User-Agent: mine", "-X", "PUT", "-d", "body"]
    code, out, _ = run("get", echo, "--network", world.file, *options)
    head, _, body = out.partition("\n\n")

    assert (0, "body") == (code, body)
    assert "PUT / HTTP/1.1" == head.splitlines()[0]
    assert {"x-word: a b", "user-agent: mine"} <= {line.lower() for line in head.splitlines()}
    assert 1 == head.lower().count("user-agent")


def test_a_body_of_a_file_is_posted(run: Run, world: World, echo: str, tmp_path: Path) -> None:
    (tmp_path / "body").write_text("of the file")
    _, out, _ = run("get", echo, "--network", world.file, "--data", f"@{tmp_path / 'body'}")

    assert out.startswith("POST / HTTP/1.1\n")
    assert out.endswith("\n\nof the file")


def test_the_head_is_shown_before_the_body(run: Run, world: World, echo: str, tmp_path: Path) -> None:
    file = tmp_path / "answer"
    code, _, _ = run("get", echo, "--network", world.file, "--include", "-o", file)

    assert 0 == code
    assert file.read_bytes().startswith(b"HTTP/1.1 200 OK\r\nX-Echo: yes\r\n")
    assert b"\r\n\r\nGET / HTTP/1.1" in file.read_bytes()


def test_a_trace_names_the_relays_and_leaves_the_body_alone(run: Run, world: World) -> None:
    url = f"http://127.0.0.1:{world.http_port}/"
    code, out, err = run("get", url, "--network", world.file, "--trace")
    first, *hops = err.splitlines()

    assert (0, "hello", 3) == (code, out, len(hops))
    assert re.fullmatch(r"answered in \d+ ms; the connection took 1 attempt", first)
    assert ["guard", "middle", "exit"] == [line.split()[1] for line in hops]
    for line in hops:
        assert re.search(r"127\.\d+\.\d+\.\d+:\d+, held it \d+ ms, -?\d+ ms of that itself$", line)


def test_json_has_the_trace(run: Run, world: World) -> None:
    url = f"http://127.0.0.1:{world.http_port}/"
    shown = json.loads(run("get", url, "--network", world.file, "--json")[1])

    assert shown["path"] == [hop["relay"] for hop in shown["hops"]]
    assert 1 == shown["attempts"]
    assert shown["hops"][0]["hold_ms"] >= shown["hops"][2]["hold_ms"]


def test_a_deadline_of_the_settings_counts(run: Run, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    assert 2 == run("get", URL, "--network", world.file, "--deadline", "x")[0]

    monkeypatch.setenv("ONIONPATH_DEADLINE_S", "x")
    assert 3 == run("get", URL, "--network", world.file)[0]


def test_the_head_is_in_json_already(run: Run, world: World) -> None:
    assert 2 == run("get", URL, "--network", world.file, "--json", "--include")[0]


@pytest.mark.parametrize(
    "header",
    [
        "no-colon",
        ": value",
        "na me: value",
        "name : value",
        "name: line\nother: line",
        "name: caf\u00e9",
        "Host: b.example",
        "content-length: 5",
        "Transfer-Encoding: chunked",
    ],
)
def test_a_header_that_would_say_something_else_is_refused(header: str) -> None:
    with pytest.raises(UsageError, match="--header"):
        parse_request(URL, [header])


def test_a_refused_header_does_not_show_its_value() -> None:
    with pytest.raises(UsageError) as caught:
        parse_request(URL, ["Authorization : secret"])

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("method", ["", "A B", "CONNECT", "GET\r\n"])
def test_what_is_no_method_is_refused(method: str) -> None:
    if not method:
        assert "GET" == parse_request(URL, [], method=method).method
        return
    with pytest.raises(UsageError, match="no method"):
        parse_request(URL, [], method=method)


def test_a_body_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        parse_request(URL, [], data=f"@{tmp_path / 'none'}")


async def test_nothing_is_asked_for_compressed_unless_somebody_wants_it() -> None:
    transport = httpx.MockTransport(lambda request: httpx.Response(200))
    async with httpx.AsyncClient(transport=transport) as http:
        plain = parse_request(URL, []).build(http)
        packed = parse_request(URL, ["accept-encoding: gzip"]).build(http)

    assert ["identity"] == plain.headers.get_list("accept-encoding")
    assert ["gzip"] == packed.headers.get_list("accept-encoding")


def test_each_hop_is_told_with_its_own_time() -> None:
    directory = network().directory()
    relays = [relay.hex() for relay in list(directory.relays)[:2]] + ["00" * 32]
    trace = trace_of({"path": relays, "attempts": 2, "hold_ms": [30, 20, 5]}, directory, took_ms=40)

    assert [10, 15, 5] == [hop.own_ms for hop in trace.hops]
    assert [True, True, False] == [hop.address is not None for hop in trace.hops]
    assert "took 2 attempts" in next(trace.lines())


@pytest.mark.parametrize("hold_ms", [[], [1]])
def test_times_of_another_path_are_not_told(hold_ms: list[int]) -> None:
    directory = network().directory()
    relays = [relay.hex() for relay in list(directory.relays)[:3]]
    trace = trace_of({"path": relays, "attempts": 1, "hold_ms": hold_ms}, directory, took_ms=40)

    assert {None} == {hop.hold_ms for hop in trace.hops} | {hop.own_ms for hop in trace.hops}
    assert "held" not in "".join(trace.lines())


@pytest.mark.slow
def test_a_bar_is_drawn_on_a_terminal_and_the_file_is_whole(world: World, echo: str, tmp_path: Path) -> None:
    ours, theirs = os.openpty()
    file = tmp_path / "answer"
    command = [*PROGRAM, "get", echo, "--network", str(world.file), "--state", str(tmp_path), "-o", str(file)]
    environment = {**os.environ, "TERM": "xterm"}
    shown = b""
    with subprocess.Popen(command, cwd=ROOT, stderr=theirs, env=environment) as process:
        os.close(theirs)
        # At the end of a terminal, Linux has an error.
        with suppress(OSError):
            while part := os.read(ours, 65_536):
                shown += part
    os.close(ours)

    assert 0 == process.returncode
    assert b"\x1b[" in shown
    assert b"127.0.0.1" in shown
    assert file.read_bytes().startswith(b"GET / HTTP/1.1")


def test_a_website_whose_certificate_nobody_vouches_for_has_the_option_that_helps() -> None:
    cause = ssl.SSLCertVerificationError(1, "unknown CA")
    cause.verify_message = "self-signed certificate in certificate chain"
    error = httpx.ConnectError("TLS")
    error.__cause__ = cause

    explained = explain(error)

    assert isinstance(explained, WebsiteError)
    assert "self-signed certificate in certificate chain; if its CA is your own, give that with --ca" in str(
        explained
    )

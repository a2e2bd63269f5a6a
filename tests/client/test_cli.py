"""``onionpath``: one line that says what to do, the documented exit code, and machine-readable output."""

from __future__ import annotations

import base64
import json
import os
import signal
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from onionpath.directory.address import Address
from onionpath.directory.trust import Authority, TrustRoot
from onionpath.version import VERSION
from tests.client.worlds import Run, World

ROOT = Path(__file__).parents[2]
PROGRAM = [sys.executable, "-m", "onionpath"]
LATIN, BINARY, LONG = b"caf\xe9", b"\x89PNG\0\0", 100_000


def _answer(status: str, body: bytes, *, missing: int = 0) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body) + missing}\r\nConnection: close\r\n\r\n"
    return head.encode() + body


ANSWERS = {
    b"/text": _answer("200 OK", b"text"),
    b"/latin": _answer("200 OK", LATIN),
    b"/binary": _answer("200 OK", BINARY),
    b"/gone": _answer("410 Gone", b"it was here"),
    b"/broken": _answer("200 OK", b"half", missing=4),
    b"/long": _answer("200 OK", b"x" * LONG),
}


class _Answering(socketserver.StreamRequestHandler):
    """Answers one request with what stands in the table, or with the request itself; ``/hang`` with half a body."""

    def handle(self) -> None:
        request = b""
        while line := self.rfile.readline().rstrip():
            request += line + b"\n"
        path = request.split()[1]
        if path == b"/hang":
            self.wfile.write(_answer("200 OK", b"half", missing=4))
            self.rfile.read()
        self.wfile.write(ANSWERS.get(path) or _answer("200 OK", request))


@pytest.fixture(scope="module")
def website() -> Iterator[str]:
    """A website's address, without a slash at the end."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Answering) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_help_answers_without_importing_what_only_commands_need() -> None:
    """Otherwise every ``--help`` and every completion would cost half a second."""
    code = (
        "import sys; from onionpath import cli\n"
        "try: cli.main(['--help'])\n"
        "except SystemExit as ended: assert not ended.code\n"
        "print(sorted({'httpx', 'httpcore', 'trio', 'anyio', 'cryptography', 'nacl', 'msgspec'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "Send requests so that nobody learns" in done.stdout
    assert "[]" == done.stdout.splitlines()[-1]


def test_the_version_is_told(run: Run) -> None:
    assert (0, f"onionpath {VERSION}\n", "") == run("--version")


def test_without_a_command_the_help_is_shown_as_an_error(run: Run) -> None:
    code, out, err = run()

    assert (2, "") == (code, out)
    assert "Usage:" in err


@pytest.mark.parametrize("command", [["get", "http://a.example/"], ["network", "show"]])
def test_without_a_network_it_says_how_to_get_one(run: Run, command: list[str]) -> None:
    code, out, err = run(*command)

    assert (2, "") == (code, out)
    assert "ONIONPATH_NETWORK" in err
    assert 1 == len(err.splitlines())


def test_an_address_that_is_none_is_refused_before_anything_happens(run: Run, world: World) -> None:
    code, _, err = run("get", "example.org", "--network", world.file)

    assert 2 == code
    assert "https://" in err


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ftp://a.example/", "https://"),
        ("http:///", "neither a DNS name nor an IP address"),
        ("http://127.1/", "neither a DNS name nor an IP address"),
        ("http://a_b.example/", "neither a DNS name nor an IP address"),
        ("http://[0::1]/", "neither a DNS name nor an IP address"),
        ("http://a.example:0/", "a port is 1 to 65535"),
        ("http://a.example:65536/", "a port is 1 to 65535"),
        ("http://a.example:x/", "port"),
        ("http://me:secret@a.example/", "a name or password stands before the host"),
        ("http://@a.example/", "a name or password stands before the host"),
    ],
)
def test_what_is_no_website_is_refused_before_anybody_is_asked(
    run: Run, tmp_path: Path, url: str, why: str
) -> None:
    """The network's file is not even opened; and what should stay secret is not repeated."""
    code, out, err = run("get", url, "--network", tmp_path / "no-such-file")

    assert (2, "") == (code, out)
    assert "not the address of a website: " in err
    assert why in err
    assert "secret" not in err


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("HTTPS://A.Example.", "https://a.example"),
        ("http://\u00e4.example:8080/a?b#c", "http://xn--4ca.example:8080/a?b#c"),
        ("http://[::1]:80/", "http://[::1]/"),
    ],
)
def test_one_website_has_one_spelling(text: str, url: str) -> None:
    from onionpath.cli_url import parse_url

    assert httpx.URL(url) == parse_url(text)


def test_a_network_file_that_is_missing_or_wrong_is_named(run: Run, tmp_path: Path) -> None:
    missing, wrong = tmp_path / "missing.json", tmp_path / "wrong.json"
    wrong.write_text("{}")

    for file in (missing, wrong):
        code, _, err = run("network", "show", "--network", file)
        assert 3 == code
        assert str(file) in err
        assert 1 == len(err.splitlines())


def test_a_network_whose_authority_is_down_is_unreachable(
    run: Run, world: World, tmp_path: Path, closed_port: int
) -> None:
    (signer,) = world.root.authorities
    moved = Authority(signer.identity, Address("127.0.0.1", closed_port), signer.link_key_hash)
    file = tmp_path / "network.json"
    file.write_bytes(TrustRoot(world.root.network_id, "test", (moved,), 1, world.root.parameters).encode())

    code, out, err = run("network", "show", "--network", file)

    assert (4, "") == (code, out)
    assert (
        f"error: the authority at 127.0.0.1:{closed_port} could not be reached; is the network running?\n"
        == err
    )


def test_a_website_is_fetched(run: Run, world: World) -> None:
    url = f"http://127.0.0.1:{world.http_port}/"

    assert (0, "hello", "") == run("get", url, "--network", world.file)


def test_the_network_can_be_named_in_the_environment(
    run: Run, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONIONPATH_NETWORK", str(world.file))

    assert (0, "hello") == run("get", f"http://127.0.0.1:{world.http_port}/")[:2]


def test_a_website_in_json_has_its_path_and_a_digest(run: Run, world: World) -> None:
    url = f"http://127.0.0.1:{world.http_port}/"
    code, out, _ = run("get", url, "--network", world.file, "--json")

    shown = json.loads(out)
    assert 0 == code
    assert (url, 200, "hello", 5) == (shown["url"], shown["status"], shown["body"], shown["bytes"])
    assert "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824" == shown["sha256"]
    assert 3 == len(set(shown["path"]))


def test_a_body_goes_into_a_file(run: Run, world: World, tmp_path: Path) -> None:
    file = tmp_path / "body"
    code, out, _ = run("get", f"http://127.0.0.1:{world.http_port}/", "--network", world.file, "-o", file)

    assert (0, "", b"hello") == (code, out, file.read_bytes())


def test_a_body_is_asked_for_as_it_is(run: Run, world: World, website: str) -> None:
    """Compressed, it could not be shown."""
    _, out, _ = run("get", f"{website}/request", "--network", world.file)

    assert "accept-encoding: identity" in out.lower()


def test_a_body_that_breaks_off_leaves_no_file(run: Run, world: World, website: str, tmp_path: Path) -> None:
    file = tmp_path / "body"
    file.write_text("mine")

    code, _, _ = run("get", f"{website}/broken", "--network", world.file, "-o", file)

    assert 9 == code
    assert "mine" == file.read_text()
    assert ["body"] == os.listdir(tmp_path)


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_the_body_of_an_error_is_not_taken_for_the_file(
    run: Run, world: World, website: str, tmp_path: Path, options: list[str]
) -> None:
    file = tmp_path / "body"

    code, _, err = run("get", f"{website}/gone", "--network", world.file, "-o", file, *options)

    assert 9 == code
    assert f"error: the website answered 410 Gone; {file} was not written\n" == err
    assert [] == os.listdir(tmp_path)


def test_a_file_on_a_full_disk_has_its_line(run: Run, world: World, website: str) -> None:
    code, _, err = run("get", f"{website}/long", "--network", world.file, "-o", "/dev/full")

    assert (1, "error: cannot write /dev/full: No space left on device\n") == (code, err)


@pytest.mark.slow
@pytest.mark.parametrize("options", [["/text"], ["/long"], ["/text", "--json"]])
def test_a_full_or_closed_standard_output_has_its_line(
    world: World, website: str, options: list[str]
) -> None:
    path, *rest = options
    command = [*PROGRAM, "get", f"{website}{path}", "--network", str(world.file), *rest]
    with open("/dev/full", "wb") as full:
        done = subprocess.run(command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, timeout=20)
    assert (1, "error: cannot write standard output: No space left on device\n") == (
        done.returncode,
        done.stderr,
    )

    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(command, cwd=ROOT, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=20)
    os.close(writing)
    assert (1, "error: cannot write standard output: Broken pipe\n") == (done.returncode, done.stderr)


def test_a_body_that_is_no_text_is_in_json_as_base64(run: Run, world: World, website: str) -> None:
    shown = json.loads(run("get", f"{website}/latin", "--network", world.file, "--json")[1])

    assert LATIN == base64.b64decode(shown["body_base64"])
    assert "body" not in shown


@pytest.mark.slow
def test_a_binary_body_does_not_spoil_a_terminal(world: World, website: str) -> None:
    ours, theirs = os.openpty()
    command = [*PROGRAM, "get", f"{website}/binary", "--network", str(world.file)]
    done = subprocess.run(command, cwd=ROOT, stdout=theirs, stderr=subprocess.PIPE, text=True, timeout=20)
    os.set_blocking(ours, False)
    with pytest.raises(BlockingIOError):
        os.read(ours, 100)
    os.close(ours)
    os.close(theirs)

    assert (2, 1) == (done.returncode, len(done.stderr.splitlines()))
    assert "-o FILE" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_a_fetch_and_clears_away_what_was_begun(
    world: World, website: str, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    command = [*PROGRAM, "get", f"{website}/hang", "--network", str(world.file), "-o", str(tmp_path / "body")]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE) as process:
        while not os.listdir(tmp_path):
            assert process.poll() is None
        process.send_signal(number)
        said = process.communicate(timeout=20)[1]

    assert (code, b"") == (process.returncode, said.strip())
    assert [] == os.listdir(tmp_path)


def test_ctrl_c_while_the_program_is_loaded_leaves_no_trace() -> None:
    program = (
        "import os, runpy, signal, sys\n"
        "class Interrupting:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'click': signal.raise_signal(signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupting())\n"
        "runpy.run_module('onionpath', run_name='__main__')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)

    assert (130, "", "") == (done.returncode, done.stdout, done.stderr)


def test_a_refused_connection_has_its_exit_code(run: Run, world: World, closed_port: int) -> None:
    code, out, err = run("get", f"http://127.0.0.1:{closed_port}/", "--network", world.file)

    assert (8, "") == (code, out)
    assert "refuses connections" in err


def test_a_website_with_a_wrong_certificate_has_its_exit_code(run: Run, world: World) -> None:
    code, _, err = run("get", f"https://127.0.0.1:{world.shout_port}/", "--network", world.file)

    assert 9 == code
    assert 1 == len(err.splitlines())


def test_the_network_is_shown_for_people_and_for_programs(
    run: Run, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    code, out, _ = run("network", "show", "--network", world.file)
    assert 0 == code
    assert 4 == sum(relay.relay_id.hex()[:16] in out for relay in world.network.relays)

    assert 60 >= max(map(len, out.splitlines()))

    code, out, _ = run("network", "show", "--network", world.file, "--json")
    shown = json.loads(out)
    assert (0, 3, 8192) == (code, shown["hops"], shown["small"])
    assert {relay.relay_id.hex() for relay in world.network.relays} == {
        each["id"] for each in shown["relays"]
    }

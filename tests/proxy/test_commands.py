"""``onionpath proxy`` on its command line, and how programs are run."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from onionpath import cli
from onionpath.cli_proxy import _first_failures, _is_loopback, _tell_failure
from onionpath.proxy.command import NOT_EXECUTABLE, environment, run_command
from onionpath.proxy.failures import Failure, SocksCode
from onionpath.proxy.handshake import Wanted

REFUSED = Failure(SocksCode.CONNECTION_REFUSED, 502, "hop 3: a.example refuses connections on port 7")


def proxy(network: Path, listen: str, capfd: pytest.CaptureFixture[str]) -> tuple[object, str]:
    """Exit code and standard error."""
    with pytest.raises(SystemExit) as caught:
        cli.main(["proxy", "--network", str(network), "--listen", listen])
    return caught.value.code, capfd.readouterr().err


@pytest.mark.parametrize("listen", ["9250", "localhost:9250", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536"])
def test_where_to_listen_is_an_address_and_a_port(
    listen: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    code, said = proxy(tmp_path, listen, capfd)

    assert 2 == code
    assert said.startswith("error: ")


def test_a_port_that_is_taken_is_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        code, said = proxy(tmp_path, where, capfd)

    assert 2 == code
    assert where in said


def test_only_loopback_goes_without_a_warning() -> None:
    hosts = {
        "127.0.0.1": True,
        "127.9.9.9": True,
        "::1": True,
        "0.0.0.0": False,  # noqa: S104  # nobody listens there
        "::": False,
        "192.0.2.1": False,
    }

    assert hosts == {host: _is_loopback(host) for host in hosts}


def test_a_run_tells_its_person_why_a_program_got_no_connection(capfd: pytest.CaptureFixture[str]) -> None:
    _tell_failure(Wanted("a.example", 7, None), REFUSED)

    assert f"warning: no connection to a.example:7: {REFUSED.words}\n" == capfd.readouterr().err


def test_what_a_program_took_for_a_host_draws_nothing_on_the_terminal(
    capfd: pytest.CaptureFixture[str],
) -> None:
    _tell_failure(Wanted("a\x1b[2J\n", 7, None), REFUSED)

    assert capfd.readouterr().err.startswith("warning: no connection to a?[2J?:7: hop 3")


def test_a_proxy_tells_each_kind_of_failure_once_and_no_destination(
    capfd: pytest.CaptureFixture[str],
) -> None:
    failed = _first_failures()
    for host in ("a.example", "b.example"):
        failed(Wanted(host, 7, None), REFUSED)

    assert (
        "warning: a program asked for a website that refuses connections; this is said once\n"
        == capfd.readouterr().err
    )


def test_a_program_is_told_of_nothing_but_the_proxy() -> None:
    before = {"PATH": "/bin", "http_proxy": "http://other", "No_Proxy": "*", "NO_PROXY": "localhost"}
    after = environment(before, port=7, password="secret")
    urls = {value for name, value in after.items() if name != "PATH"}

    assert {"http://onionpath:secret@127.0.0.1:7"} == urls
    assert "NO_PROXY" not in {name.upper() for name in after}


async def test_what_may_not_be_run_has_the_shells_code(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("no program")

    assert NOT_EXECUTABLE == await run_command([str(file)], {})


async def test_a_program_ends_with_its_code() -> None:
    assert 3 == await run_command([sys.executable, "-c", "raise SystemExit(3)"], {})

"""The program: what it writes, what it says when something is wrong, and its exit codes."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from onionpath.directory.parameters import Parameters
from onionpath.directory.trust import TrustRoot
from onionpath.errors import (
    DeadlineError,
    DirectoryError,
    KeyFileError,
    RefusedError,
    SettingsError,
    WebsiteError,
)
from onionpath.exit_codes import EXIT_CODES, INTERRUPTED, OTHER, TERMINATED, code_of
from relay import cli
from relay.cli_options import announcer
from relay.keys import load_relay_keys
from relay.listener import listening
from relay.serving import Ready
from relay.session.keys import ensure_session_keys
from relay.settings import AuthoritySettings, Endpoint, RelaySettings
from relay.settings_files import load_settings

ROOT = Path(__file__).parents[2]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """The program in this process: exit code, standard output, standard error."""

    def run(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            cli.main([str(each) for each in arguments])
        said = capsys.readouterr()
        assert isinstance(caught.value.code, int)
        return caught.value.code, said.out, said.err

    return run


@pytest.fixture
def network(tmp_path: Path, run: Run) -> Path:
    folder = tmp_path / "authority"
    assert 0 == run("authority", "init", folder, "--listen", "127.0.0.1:9100", "--private-addresses")[0]
    return folder


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@pytest.fixture
def relay(tmp_path: Path, network: Path, run: Run) -> Path:
    """A relay's settings file."""
    listen = f"127.0.0.1:{free_port()}"
    code, _, err = run(
        "init", tmp_path / "relay", "--listen", listen, "--trust-root", network / "network.json"
    )
    assert (0, "") == (code, err)
    return tmp_path / "relay" / "relay.toml"


def test_founding_a_network_gives_a_trust_root_with_the_authoritys_keys(network: Path) -> None:
    settings = load_settings(network / "authority.toml", AuthoritySettings, environment={})
    root = TrustRoot.decode((network / "network.json").read_bytes())
    keys = load_relay_keys(settings.state)

    assert (keys.identity.public, keys.link.key_hash) == (
        root.authorities[0].identity,
        root.authorities[0].link_key_hash,
    )
    assert (1, "127.0.0.1:9100") == (root.threshold, str(root.authorities[0].address))
    assert (3600, 3, False) == (
        root.parameters.period_s,
        root.parameters.hops,
        root.parameters.distinct_subnets,
    )


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--hops", "5", "--small", "4096"), 2, "cannot carry 5 layers"),
        (("--epoch", "1s"), 3, "shorter than a hundredth of a slot"),
        (("--slot", "2h"), 2, "out of range"),
        (("--period", "60"), 2, "expected a number and s, m, h or d"),
        (("--period", "0s"), 2, "expected a number and s, m, h or d"),
    ],
)
def test_a_network_with_impossible_parameters_is_not_founded(
    tmp_path: Path, run: Run, options: tuple[str, ...], code: int, said: str
) -> None:
    found, _, err = run("authority", "init", tmp_path / "a", "--listen", "127.0.0.1:9100", *options)

    assert (code, False) == (found, (tmp_path / "a").exists())
    assert said in err


def test_the_parameters_of_a_network_stand_in_its_trust_root(tmp_path: Path, run: Run) -> None:
    options = "--listen 127.0.0.1:9100 --hops 2 --slot 10s --epoch 1m --small 4096 --large 65536".split()
    assert 0 == run("authority", "init", tmp_path / "a", *options)[0]

    root = TrustRoot.decode((tmp_path / "a" / "network.json").read_bytes())
    assert Parameters(2, 4096, 65_536, 10, 60, True) == root.parameters


def test_a_network_is_founded_once(network: Path, run: Run) -> None:
    before = (network / "network.json").read_bytes()

    code, _, err = run("authority", "init", network, "--listen", "127.0.0.1:9100")

    assert (3, before) == (code, (network / "network.json").read_bytes())
    assert "founded once" in err


def test_init_writes_what_check_accepts(relay: Path, run: Run) -> None:
    code, out, err = run("check", relay)

    assert (0, "") == (code, err)
    assert load_relay_keys(relay.parent / "state").identity.public.hex() in out
    assert "WRONG" not in out


def test_init_changes_no_settings_that_exist(relay: Path, run: Run) -> None:
    before = relay.read_bytes()

    assert 0 == run("init", relay.parent)[0]
    code, _, err = run("init", relay.parent, "--exit")

    assert (3, before) == (code, relay.read_bytes())
    assert "exists already; edit exit.enabled there" in err


def test_init_with_an_impossible_setting_writes_nothing(tmp_path: Path, run: Run) -> None:
    assert 3 == run("init", tmp_path / "relay", "--listen", "0.0.0.0:77")[0]
    assert [] == list((tmp_path / "relay").iterdir())


def test_check_tells_a_program_the_same(relay: Path, run: Run) -> None:
    report = json.loads(run("check", relay, "--json")[1])

    assert report["ok"]
    names = {check["name"].split()[0] for check in report["checks"]}
    assert {"trust", "keys", "packet", "state", "exit", "session", "storage", "listen"} == names


def test_check_names_the_key_for_sessions_clients_once_there_is_one(relay: Path, run: Run) -> None:
    options = ("--set", "session.enabled=true", "--set", "session.listen=127.0.0.1:0")

    assert "; its keys are made at the first run" in run("check", relay, *options)[1]
    key = ensure_session_keys(relay.parent / "state", os.urandom).private.public
    assert f"; key {key.encoded.hex()}" in run("check", relay, *options)[1]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("session.listen=127.0.0.1:22021",), "session: on: https://127.0.0.1:22021;"),
        (("session.listen=127.0.0.1:0",), "session: on: https://127.0.0.1:PORT;"),
        (("session.advertise_port=443",), "session: on: https://127.0.0.1:443;"),
        (("session.seed=true",), ":22021, seed at https://127.0.0.1:22021/json_rpc;"),
    ],
    ids=["listening", "drawn port", "forwarded port", "seed"],
)
def test_check_names_what_sessions_clients_are_given(
    relay: Path, run: Run, options: tuple[str, ...], said: str
) -> None:
    given = [word for each in ("session.enabled=true", *options) for word in ("--set", each)]

    assert said in run("check", relay, *given)[1]


def test_check_says_that_storage_without_session_is_for_native_clients_alone(relay: Path, run: Run) -> None:
    native = run("check", relay, "--set", "storage.enabled=true")
    both = run(
        "check", relay, "--set", "storage.enabled=true", "--set", "session.enabled=true",
        "--set", "session.listen=127.0.0.1:0",
    )  # fmt: skip

    assert 0 == native[0] == both[0]
    assert (
        "storage: on: up to 3500000000 bytes, for native clients alone, since session is off\n" in native[1]
    )
    assert "storage: on: up to 3500000000 bytes\n" in both[1]


def _widen(relay: Path) -> None:
    (relay.parent / "state" / "identity.key").chmod(0o644)


def _lose_root(relay: Path) -> None:
    (relay.parent / "network.json").unlink()


def _spoil_root(relay: Path) -> None:
    (relay.parent / "network.json").write_text("{}")


def _misspell(relay: Path) -> None:
    relay.write_text(relay.read_text() + "\n[lgo]\n")


def _lose_link_key(relay: Path) -> None:
    (relay.parent / "state" / "link.key").unlink()


@pytest.mark.parametrize(
    ("spoil", "code", "said"),
    [
        (_widen, 6, "chmod 600"),
        (_lose_root, 3, "trust_root|trust root"),
        (_spoil_root, 3, ""),
        (_misspell, 3, "lgo"),
        (_lose_link_key, 6, "link.key: does not exist; remove link.pem and run `onionpath-relay init`"),
    ],
    ids=["key mode", "no root", "bad root", "misspelt", "no link key"],
)
def test_check_ends_with_the_code_and_one_line(
    relay: Path, run: Run, spoil: Callable[[Path], None], code: int, said: str
) -> None:
    spoil(relay)

    found, _, err = run("check", relay)

    assert code == found
    assert 1 == len(err.splitlines())
    assert err.startswith("error: ")
    assert re.search(said, err)


def test_check_finds_a_port_that_is_taken_and_checks_the_rest(relay: Path, run: Run) -> None:
    endpoint = load_settings(relay, RelaySettings, environment={}).listen[0]
    with socket.socket() as sock:
        sock.bind(tuple(endpoint))
        sock.listen()
        code, out, _ = run("check", relay)

    assert 3 == code
    assert f"WRONG listen {endpoint}" in out
    assert 1 == out.count("WRONG")


def test_only_a_port_in_use_asks_whether_the_relay_runs_already() -> None:
    # 192.0.2.0/24 is for documentation, and no machine's.
    elsewhere = Endpoint("192.0.2.1", 1)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        for endpoint, asks in ((Endpoint(*taken.getsockname()), True), (elsewhere, False)):
            with (
                pytest.raises(SettingsError, match=f"cannot listen on {endpoint}: ") as caught,
                listening([endpoint], "relay.listen"),
            ):
                pass
            assert asks == str(caught.value).endswith("; is it running already?")


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("frob",),
        ("run",),
        ("check", "--frob", "x"),
        ("authority", "init", "x", "--listen", "1", "--period", "1"),
    ],
)
def test_a_wrong_command_line_is_code_2(run: Run, arguments: tuple[str, ...]) -> None:
    code, out, err = run(*arguments)

    assert (2, "") == (code, out)
    assert "Traceback" not in err


def test_the_ready_line_goes_to_both_places(capsys: pytest.CaptureFixture[str]) -> None:
    reader, writer = os.pipe()
    announcer(writer, True)(Ready("0102", ("127.0.0.1:1",), 7))
    with os.fdopen(reader) as file:
        line = file.read()

    facts = {"identity": "0102", "addresses": ["127.0.0.1:1"], "pid": 7, "session": None, "seed_url": None}
    assert {"event": "ready", **facts} == json.loads(line)
    assert line == capsys.readouterr().out


def test_the_ready_line_is_for_people_too(capsys: pytest.CaptureFixture[str]) -> None:
    announcer(None, False)(Ready("0102", ("127.0.0.1:1", "[::1]:2"), 7))

    assert "ready: 0102 at 127.0.0.1:1 and [::1]:2, process 7\n" == capsys.readouterr().out


def test_the_ready_line_says_what_sessions_clients_are_given(capsys: pytest.CaptureFixture[str]) -> None:
    door = "https://127.0.0.1:2"
    announcer(None, False)(Ready("0102", ("127.0.0.1:1",), 7, door, f"{door}/json_rpc"))

    said = f"; Session's clients at {door}, seed at {door}/json_rpc\n"
    assert f"ready: 0102 at 127.0.0.1:1, process 7{said}" == capsys.readouterr().out


def test_the_other_kind_of_settings_names_its_command(network: Path, relay: Path, run: Run) -> None:
    theirs = network / "authority.toml"
    for command in (("run",), ("check",)):
        code, _, err = run(*command, theirs)
        assert 3 == code
        assert f"use `onionpath-relay authority run {theirs}`" in err

    code, _, err = run("authority", "run", relay)
    assert 3 == code
    assert f"use `onionpath-relay run {relay}`" in err


def test_an_authority_at_a_private_address_hears_what_will_happen(tmp_path: Path, run: Run) -> None:
    code, _, err = run("authority", "init", tmp_path / "a", "--listen", "192.168.1.1:9100")
    assert 0 == code
    assert "warning: 192.168.1.1 is not a public address, and without --private-addresses" in err

    assert "" == run("authority", "init", tmp_path / "b", "--listen", "9.9.9.9:9100")[2]
    options = ("--listen", "192.168.1.1:9100", "--private-addresses")
    assert "" == run("authority", "init", tmp_path / "c", *options)[2]


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (SettingsError("fix\nit"), 3, "error: fix it"),
        (KeyFileError("x"), 6, "error: x"),
        (ExceptionGroup("", [ExceptionGroup("", [DirectoryError("old")])]), 7, "error: old"),
        (RefusedError("no", reason="r"), 8, "error: no"),
        (DeadlineError("late"), 5, "error: late"),
        (WebsiteError("404"), 9, "error: 404"),
        (BrokenPipeError(), 1, ""),
        (KeyboardInterrupt(), 130, ""),
        (BaseExceptionGroup("", [KeyboardInterrupt()]), 130, ""),
        (click.Abort(), 130, ""),
        (OSError(28, "No space left on device", "a.key"), 1, "error: a.key: No space left on device"),
        (ValueError("secret"), 1, "error: a fault of ours: ValueError"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_every_error_is_one_line_and_its_code(
    error: BaseException, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert code == code_of(error, cli._explain)
    err = capsys.readouterr().err
    assert err.startswith(said)
    assert len(err.splitlines()) == (1 if said else 0)
    assert "secret" not in err


def program(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "relay", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.processes
def test_the_program_exists_and_answers() -> None:
    assert (0, True) == (
        (done := program("--version")).returncode,
        done.stdout.startswith("onionpath-relay "),
    )


@pytest.mark.processes
def test_help_imports_nothing_heavy() -> None:
    """Otherwise it would not answer at once."""
    heavy = {"trio", "cryptography", "msgspec", "structlog"}
    code = f"import sys, relay.cli; print(sorted({heavy!r} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert "[]\n" == done.stdout


HARDENED = """
import os, resource
from relay.hygiene import harden_process
harden_process()
print(resource.getrlimit(resource.RLIMIT_CORE), os.umask(0))
"""


@pytest.mark.processes
@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux")
def test_a_hardened_process_leaves_no_core_and_lets_nobody_attach() -> None:
    code = HARDENED + "import ctypes; print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert f"(0, 0) {0o077}\n0\n" == done.stdout


def test_the_guide_lists_every_exit_code_and_no_other() -> None:
    guide = (ROOT / "docs" / "guides" / "exit-codes.md").read_text()
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", guide, re.MULTILINE)}

    assert listed == {0, OTHER, INTERRUPTED, TERMINATED} | {code for _, code in EXIT_CODES}

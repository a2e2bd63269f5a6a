"""``onionpath``: one line that says what to do, the documented exit code, and machine-readable output."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from onionpath import cli
from onionpath.directory.address import Address
from onionpath.directory.trust import Authority, TrustRoot
from onionpath.version import VERSION
from tests.client.worlds import World

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch) -> Run:
    """The program in this process: exit code, standard output, standard error."""
    monkeypatch.delenv("ONIONPATH_NETWORK", raising=False)
    monkeypatch.delenv("ONIONPATH_STATE", raising=False)

    def run(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            cli.main([str(each) for each in arguments])
        said = capfdbinary.readouterr()
        assert isinstance(caught.value.code, int)
        return caught.value.code, said.out.decode(), said.err.decode()

    return run


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
    assert 1 == len(err.splitlines())


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


def test_a_refused_connection_has_its_exit_code(run: Run, world: World, closed_port: int) -> None:
    code, out, err = run("get", f"http://127.0.0.1:{closed_port}/", "--network", world.file)

    assert (8, "") == (code, out)
    assert "refuses connections" in err


def test_a_website_with_a_wrong_certificate_has_its_exit_code(run: Run, world: World) -> None:
    code, _, err = run("get", f"https://127.0.0.1:{world.shout_port}/", "--network", world.file)

    assert 9 == code
    assert 1 == len(err.splitlines())


def test_the_network_is_shown_for_people_and_for_programs(run: Run, world: World) -> None:
    code, out, _ = run("network", "show", "--network", world.file)
    assert 0 == code
    assert 4 == sum(relay.relay_id.hex()[:16] in out for relay in world.network.relays)

    code, out, _ = run("network", "show", "--network", world.file, "--json")
    shown = json.loads(out)
    assert (0, 3, 8192) == (code, shown["hops"], shown["small"])
    assert {relay.relay_id.hex() for relay in world.network.relays} == {
        each["id"] for each in shown["relays"]
    }

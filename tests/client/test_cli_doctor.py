"""``onionpath doctor``: each thing that can be wrong is found, has its remedy, and gives the exit code."""

from __future__ import annotations

import json
import os
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from onionpath.cli_doctor_here import examine_environment, examine_folder
from onionpath.cli_doctor_network import beside_others, examine_clock, is_nearby
from onionpath.cli_findings import nearby, remedies, well, wrong
from onionpath.cli_settings import Settings
from onionpath.directory.address import Address
from onionpath.directory.trust import TrustRoot
from onionpath.errors import StaleDirectoryError, UnreachableError
from tests.client.worlds import Run, World
from tests.directory.networks import NOW, network, root

DOWN = wrong("guard b", UnreachableError("down"))


def moved(world: World, port: int) -> TrustRoot:
    """The network, with its authority said to be at another port."""
    (signer,) = world.root.authorities
    return replace(world.root, authorities=(replace(signer, address=Address("127.0.0.1", port)),))


def examined(run: Run, *arguments: object) -> tuple[int, dict[str, Any]]:
    """Exit code, and the findings by name."""
    code, out, _ = run("doctor", "--json", *arguments)
    return code, {each["name"].split()[0]: each for each in json.loads(out)["findings"]}


def test_a_healthy_network_is_well(
    run: Run, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    code, findings = examined(run, "--network", world.file, "--state", tmp_path / "state")

    assert (0, {"well"}) == (code, {each["verdict"] for each in findings.values()})
    assert ["settings", "environment", "network", "state", "guards", "evidence"] == list(findings)[:6]
    assert {"directory", "clock", "guard", "request"} == set(list(findings)[6:])


def test_nobody_is_dialled_but_relays_and_the_authority(
    run: Run, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    dialled: set[int] = set()
    connect = anyio.connect_tcp

    async def watched(remote_host: str, remote_port: int, **more: Any) -> object:
        dialled.add(remote_port)
        return await connect(remote_host, remote_port, **more)

    monkeypatch.setattr(anyio, "connect_tcp", watched)
    assert 0 == run("doctor", "--network", world.file)[0]

    assert dialled <= {relay.port for relay in world.network.relays} | {world.network.authority.port}


def test_without_a_network_nothing_further_is_examined(run: Run) -> None:
    code, findings = examined(run)

    assert (2, "wrong") == (code, findings["network"]["verdict"])
    assert "network" == list(findings)[-1]


def test_a_wrong_setting_is_found_first(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONIONPATH_HEDGE", "maybe")
    code, findings = examined(run)

    assert (3, ["settings"]) == (code, list(findings))


def test_a_network_that_is_down_is_told_with_what_helps(
    run: Run, world: World, tmp_path: Path, closed_port: int
) -> None:
    (tmp_path / "root").write_bytes(moved(world, closed_port).encode())
    code, out, err = run("doctor", "--network", tmp_path / "root")

    assert 4 == code
    assert f"directory       wrong  the authority at 127.0.0.1:{closed_port} could not be reached" in out
    assert "  directory: the network seems not to run" in out
    assert "check the internet" not in out
    assert err.startswith("error: the authority at ")


def test_too_little_time_is_told(run: Run, world: World, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        (tmp_path / "root").write_bytes(moved(world, silent.getsockname()[1]).encode())
        code, findings = examined(run, "--network", tmp_path / "root", "--set", "deadline_s=0.1")

    assert (5, "not all was examined within 0.1 s") == (code, findings["time"]["detail"])


def test_a_proxy_of_the_environment_is_told_to_be_ignored() -> None:
    found = examine_environment({"https_proxy": "http://x:1", "NO_PROXY": "*"}, Settings())

    assert ("odd", True) == (found.verdict, "https_proxy" in found.detail)
    assert "well" == examine_environment({"https_proxy": ""}, Settings()).verdict
    assert "well" == examine_environment({"ALL_PROXY": "x"}, Settings(proxy="socks5://127.0.0.1:1")).verdict


@pytest.mark.parametrize(("mode", "verdict"), [(0o700, "well"), (0o750, "wrong"), (0o701, "wrong")])
def test_a_folder_that_others_can_read_is_wrong(tmp_path: Path, mode: int, verdict: str) -> None:
    tmp_path.chmod(mode)
    found = examine_folder(tmp_path)

    assert verdict == found.verdict
    assert found.remedy in ("", f"chmod 700 {tmp_path}")


def test_a_folder_of_somebody_else_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(0o700)
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)

    assert "belongs to somebody else" in examine_folder(tmp_path).detail


def test_a_folder_that_is_not_there_is_no_failure(tmp_path: Path) -> None:
    assert "well" == examine_folder(tmp_path / "none").verdict


@pytest.mark.parametrize(("ahead_s", "verdict"), [(0, "well"), (-3600, "wrong")])
def test_a_clock_behind_what_others_have_dated_is_wrong(ahead_s: int, verdict: str) -> None:
    found = examine_clock(network().directory(), now=NOW + ahead_s)

    assert verdict == found.verdict
    assert isinstance(found.error, StaleDirectoryError) == (verdict == "wrong")


def test_a_guard_that_is_down_beside_others_is_odd_only() -> None:
    assert ["well", "odd"] == [each.verdict for each in beside_others([well("guard a", ""), DOWN])]
    assert ["wrong"] == [each.verdict for each in beside_others([DOWN])]


@pytest.mark.parametrize(
    ("host", "expected"), [("127.0.0.1", True), ("192.168.1.2", True), ("fd00::1", True), ("9.9.9.9", False)]
)
def test_a_network_of_private_addresses_is_nearby(host: str, expected: bool) -> None:
    (signer,) = root().authorities

    assert expected == is_nearby(replace(root(), authorities=(replace(signer, address=Address(host, 443)),)))


def test_of_a_network_nearby_the_internet_is_not_blamed() -> None:
    assert nearby(DOWN).remedy.startswith("the network seems not to run")
    assert well("a", "b") == nearby(well("a", "b"))


def test_a_remedy_is_told_once_with_all_that_it_helps() -> None:
    other = wrong("request", UnreachableError("down"))
    clock = wrong("clock", StaleDirectoryError("behind"))

    told = remedies([DOWN, well("state", ""), clock, other])

    assert ["guard b, request", "clock"] == [each.partition(":")[0] for each in told]


def test_every_error_has_a_remedy() -> None:
    assert "check the internet" in DOWN.remedy
    assert "clock" in wrong("directory", StaleDirectoryError("expired")).remedy

"""``onionpath get`` where the network itself is the reason that nothing comes."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from simulations.local.network import LocalNetwork

pytestmark = pytest.mark.processes

ROOT = Path(__file__).parents[2]


def run(module: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", module, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30)


def test_a_port_that_no_exit_allows_is_named() -> None:
    """It is no use to try such a port again later."""
    settings = {"exit.policy": ("accept 127.0.0.0/8:80",)}
    with LocalNetwork(relays=3, website=False, relay_settings=settings) as network:
        done = run("onionpath", "get", "https://localhost/", "--network", network.trust_root_file)

    assert (4, "error: no exit of this network allows port 443\n") == (done.returncode, done.stderr)


def test_an_authority_before_its_first_document_says_what_it_waits_for(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    folder = tmp_path / "authority"
    founded = run("relay", "authority", "init", folder, "--listen", address, "--private-addresses")
    assert 0 == founded.returncode, founded.stderr
    command = [sys.executable, "-m", "relay", "authority", "run", folder / "authority.toml"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        process.stdout.readline()
        done = run("onionpath", "get", "https://localhost/", "--network", folder / "network.json")
        process.terminate()
        process.wait(20)

    said = f"the authority at {address} has no document yet; it signs the first when enough relays have published"
    assert (4, f"error: {said}\n") == (done.returncode, done.stderr)

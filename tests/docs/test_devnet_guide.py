"""What the guides say of a Session network on one machine and of its storage, run as it stands there."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from simulations.local.network import LocalNetwork

pytestmark = pytest.mark.processes

ROOT = Path(__file__).parents[2]
GUIDES = ("docs/guides/session-devnet.md", "docs/guides/embedding.md")
GUIDE = "".join((ROOT / guide).read_text(encoding="utf-8") for guide in GUIDES)
SHELL = dict(re.findall(r"```sh\n# a shell for a devnet: ([^\n]+)\n(.*?)```", GUIDE, re.DOTALL))
PROGRAM = dict(re.findall(r"```python\n# program for a devnet[^:\n]*: (\S+)\n(.*?)```", GUIDE, re.DOTALL))
ACCOUNT = "05" + bytes(range(32)).hex()


@pytest.fixture(scope="module")
def network() -> Iterator[LocalNetwork]:
    with LocalNetwork(relays=10, website=False, session=True, storage=True) as network:
        yield network


def test_what_curl_shows(network: LocalNetwork) -> None:
    node = f"https://{network.relays[0].session_endpoint}"
    listed = json.loads(ran_shell("the list", {"SEED": network.seed_url}))
    swarm = json.loads(ran_shell("the swarm", {"NODE": node, "ACCOUNT": ACCOUNT}))
    member = swarm["snodes"][0]
    url = f"https://{member['ip']}:{member['port']}"
    stored, found = ran_shell("a message", {"MEMBER": url, "ACCOUNT": ACCOUNT}).splitlines()

    assert 2 == len(listed["result"]["service_node_states"])
    assert 5 == len(swarm["snodes"])
    assert 5 == sum("signature" in each for each in json.loads(stored)["swarm"].values())
    assert ["aGVsbG8="] == [message["data"] for message in json.loads(found)["messages"]]


def test_what_one_format_stores_the_other_reads(network: LocalNetwork, tmp_path: Path) -> None:
    said = ran("messages.py", tmp_path, str(network.trust_root_file), str(network.nodes_file)).splitlines()

    count, _, rest = said[0].partition(" ")
    assert (True, "members have signed that they have it on disk") == (3 <= int(count) <= 5, rest)
    assert [b"hello"] == ast.literal_eval(said[1])


def test_what_is_new_is_read_and_what_was_read_is_not(network: LocalNetwork, tmp_path: Path) -> None:
    said = ran("account.py", tmp_path, str(network.trust_root_file)).splitlines()

    assert ["[b'one'] {}", "[b'two'] {}"] == said


def test_a_file_comes_back(network: LocalNetwork, tmp_path: Path) -> None:
    server = network.file_server
    said = ran("attachment.py", tmp_path, str(network.nodes_file), server.url, server.key.encoded.hex())

    assert "200 1000000 bytes\n" == said


@pytest.mark.slow
def test_members_are_lost(tmp_path: Path) -> None:
    assert {b"before", b"meanwhile"} == set(ast.literal_eval(ran("lose_members.py", tmp_path)))


def ran_shell(name: str, given: Mapping[str, str]) -> str:
    """What a block of the guide writes, in a shell that was given these variables."""
    shell = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", SHELL[name]],
        capture_output=True, text=True, timeout=30, check=False, env={"PATH": os.environ["PATH"], **given},
    )  # fmt: skip

    assert (0, "") == (shell.returncode, shell.stderr)
    return shell.stdout


def ran(name: str, home: Path, *arguments: str) -> str:
    """What a program of the guide writes; it fails the test if it fails or warns."""
    file = home / name
    file.write_text(PROGRAM[name])
    program = subprocess.run(
        [sys.executable, "-W", "error", str(file), *arguments],
        capture_output=True, text=True, timeout=60, cwd=ROOT, check=False,
        env={"PYTHONPATH": str(ROOT), "HOME": str(home), "XDG_STATE_HOME": str(home / "state")},
    )  # fmt: skip

    assert (0, "") == (program.returncode, program.stderr)
    return program.stdout

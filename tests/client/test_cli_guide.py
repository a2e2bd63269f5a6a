"""Each command of the guide to the command line runs as it stands there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from onionpath.cli_settings import Settings
from simulations.local.network import LocalNetwork

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs/guides/command-line.md").read_text(encoding="utf-8")
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", GUIDE, re.DOTALL) for line in block.splitlines()]


@pytest.fixture(scope="module")
def network() -> Iterator[LocalNetwork]:
    with LocalNetwork(relays=4) as network:
        yield network


@pytest.mark.slow
@pytest.mark.processes
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_runs_as_it_stands(command: str, network: LocalNetwork, tmp_path: Path) -> None:
    program = tmp_path / "onionpath"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m onionpath "$@"\n')
    program.chmod(0o755)
    # The website of the local network has a name and a CA of its own.
    command = command.replace(
        "https://website.example/", f"{network.website.url} --ca {network.website.ca_file}"
    )
    environment = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "HOME": str(tmp_path),
        "ONIONPATH_NETWORK": str(network.trust_root_file),
    }

    ran = subprocess.run(
        ["sh", "-c", command], capture_output=True, text=True, timeout=60, cwd=tmp_path, env=environment
    )

    assert 0 == ran.returncode, ran.stderr
    assert ran.stdout or (tmp_path / "page.html").exists()


def test_the_guide_names_every_setting() -> None:
    named = set(re.findall(r"^\| `(\w+)` \|", GUIDE, re.MULTILINE))

    assert {field.name for field in msgspec.structs.fields(Settings)} == named


def test_the_guides_file_is_settings() -> None:
    (text,) = re.findall(r"```toml\n(.*?)```", GUIDE, re.DOTALL)

    assert tomllib.loads(text).keys() <= {field.name for field in msgspec.structs.fields(Settings)}

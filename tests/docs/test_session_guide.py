"""The program of the guide for Session's network runs as it stands there, in a network that takes Session's onions."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from simulations.local.network import LocalNetwork

pytestmark = pytest.mark.processes

ROOT = Path(__file__).parents[2]
PROGRAM = re.compile(r"```python\n# program for a list of nodes: \S+\n(.*?)```", re.DOTALL)


def test_the_program_asks_a_node_of_the_list_that_the_command_line_writes(tmp_path: Path) -> None:
    (program,) = PROGRAM.findall((ROOT / "docs/guides/session-client.md").read_text(encoding="utf-8"))
    file, nodes = tmp_path / "session.py", tmp_path / "nodes.json"
    file.write_text(program)

    with LocalNetwork(relays=5, website=False, session=True) as network:
        command = ["network", "session-nodes", "--network", str(network.trust_root_file), "--json"]
        nodes.write_text(ran("-m", "onionpath", *command, home=tmp_path))
        said = ran(str(file), str(nodes), home=tmp_path).splitlines()

    assert "Session's format: weaker than native" == said[0]
    assert said[1].startswith('200 {"')


def ran(*arguments: str, home: Path) -> str:
    """What a Python program writes; it fails the test if it fails or warns."""
    program = subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        capture_output=True, text=True, timeout=60, cwd=ROOT, check=False,
        env={"PYTHONPATH": str(ROOT), "HOME": str(home), "XDG_STATE_HOME": str(home / "state")},
    )  # fmt: skip

    assert (0, "") == (program.returncode, program.stderr)
    return program.stdout

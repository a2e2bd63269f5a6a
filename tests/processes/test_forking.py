"""The forking process, given orders as the network gives them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from simulations.local.protocol import Event, Exited, Program, Start, encode_line, events

pytestmark = pytest.mark.processes

ROOT = Path(__file__).parents[2]
# Every child is told to end at the earliest moment at which one can be.
PROGRAM = """
import os, signal
os.register_at_fork(after_in_child=lambda: os.kill(os.getpid(), signal.SIGTERM))
from simulations.local.forking import main
main()
"""


def test_a_child_that_is_ended_while_it_is_born_ends(tmp_path: Path) -> None:
    """Otherwise a Ctrl-C during the start would wait twelve seconds for it, and then kill it."""
    order = Start("young", Program.WEBSITE, str(tmp_path / "no-settings"), str(tmp_path / "log"))
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(encode_line(order))
        process.stdin.flush()
        told: list[Event] = [events.decode(process.stdout.readline()) for _ in range(2)]

    assert Exited("young", -15) == told[-1]
    assert 0 == process.returncode

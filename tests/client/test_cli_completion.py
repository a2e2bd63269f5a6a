"""``onionpath completion``: shells complete commands and options."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from onionpath.cli import cli
from tests.client.worlds import Run

ROOT = Path(__file__).parents[2]


def completed(typed: list[str], beginning: str) -> set[str]:
    found = ShellComplete(cli, {}, "onionpath", "_ONIONPATH_COMPLETE").get_completions(typed, beginning)
    return {each.value for each in found}


def test_commands_and_options_are_completed() -> None:
    assert {"get"} == completed([], "g")
    assert {"show", "explain"} == completed(["path"], "")
    assert {"--trace"} == completed(["get"], "--tr")
    assert {"bash", "zsh", "fish"} == completed(["completion"], "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_asks_this_program(run: Run, shell: str) -> None:
    code, out, err = run("completion", shell)

    assert (0, "") == (code, err)
    assert f"_ONIONPATH_COMPLETE={shell}_complete" in out


def test_another_shell_is_a_wrong_command_line(run: Run) -> None:
    assert 2 == run("completion", "csh")[0]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_completes(run: Run, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text(run("completion", "bash")[1])
    program = tmp_path / "onionpath"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m onionpath "$@"\n')
    program.chmod(0o755)
    typed = "COMP_WORDS=(onionpath do); COMP_CWORD=1; _onionpath_completion onionpath"
    command = f'. {script}; {typed}; echo "${{COMPREPLY[@]}}"'
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}

    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, timeout=20, env=environment, cwd=ROOT
    )

    assert "doctor\n" == done.stdout

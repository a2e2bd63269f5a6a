from __future__ import annotations

import re
from pathlib import Path

import pytest

GUIDE = Path(__file__).parents[2] / "docs/guides/virtual-network.md"


def programs() -> list[str]:
    return re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)


def test_the_guides_program_runs_as_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    program, _ = programs()
    exec(compile(program, str(GUIDE), "exec"), {})  # noqa: S102  # our own page, which must run

    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("b'hello'")
    assert printed[1].startswith("2 ")
    assert printed[2].startswith("Ending.ANSWERED")
    assert printed[3].startswith("{8192, 131072}") or printed[3].startswith("{131072, 8192}")


def test_the_guides_download_survives_its_middle_hop(capsys: pytest.CaptureFixture[str]) -> None:
    _, program = programs()

    exec(compile(program, str(GUIDE), "exec"), {})  # noqa: S102  # our own page, which must run

    printed = capsys.readouterr().out.splitlines()
    assert "500000 1" == printed[0]
    assert "'client-0'" in printed[1]
    assert "site" not in printed[1]

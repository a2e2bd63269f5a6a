from __future__ import annotations

import re
from pathlib import Path

import pytest

GUIDE = Path(__file__).parents[2] / "docs/guides/virtual-network.md"


def test_the_guides_program_runs_as_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)

    exec(compile(program, str(GUIDE), "exec"), {})  # noqa: S102  # our own page, which must run

    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("b'hello'")
    assert printed[1].startswith("2 ")
    assert printed[2].startswith("Ending.ANSWERED")
    assert printed[3].startswith("{8192, 131072}") or printed[3].startswith("{131072, 8192}")

"""The pages of the documentation: complete, built without a warning, and readable without a network."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import onionpath
import onionpath.httpx2

ROOT = Path(__file__).parents[2]
# What a browser would fetch by itself; links that a reader follows are something else.
FETCHED = re.compile(r'<(?:script|img|iframe)[^>]*\bsrc="(?:https?:)?//|<link[^>]*\bhref="(?:https?:)?//')
PUBLIC = [f"onionpath.{name}" for name in onionpath.__all__]
PUBLIC += [f"onionpath.httpx2.{name}" for name in onionpath.httpx2.__all__]


@pytest.mark.parametrize("name", PUBLIC)
def test_each_public_name_stands_in_the_reference(name: str) -> None:
    pages = [page.read_text(encoding="utf-8") for page in (ROOT / "docs/reference").glob("*.md")]

    assert any(f".. autoclass:: {name}\n" in page for page in pages)


@pytest.mark.slow
def test_the_pages_are_built_without_a_warning_and_load_nothing_from_elsewhere(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "docs", str(tmp_path)]
    built = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=ROOT, check=False)

    assert (0, "") == (built.returncode, built.stderr)
    pages = list(tmp_path.rglob("*.html"))
    assert tmp_path / "reference/transports.html" in pages
    assert [] == [page.name for page in pages if FETCHED.search(page.read_text(encoding="utf-8"))]

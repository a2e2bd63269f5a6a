"""The programs of the guides and the README run as they stand there."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulations.local.network import LocalNetwork

pytestmark = pytest.mark.processes

ROOT = Path(__file__).parents[2]
PROGRAM = re.compile(r"```python\n# program: (?P<name>\S+)\n(?P<text>.*?)```", re.DOTALL)
BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)
PROGRAMS = {
    found["name"]: found["text"]
    for guide in sorted((ROOT / "docs/guides").glob("*.md"))
    for found in PROGRAM.finditer(guide.read_text(encoding="utf-8"))
}


@pytest.fixture(scope="module")
def network() -> Iterator[LocalNetwork]:
    with LocalNetwork(relays=4) as network:
        yield network


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_guides_program_runs_as_it_stands(name: str, network: LocalNetwork, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_text(PROGRAMS[name])
    website = network.website
    arguments = [str(network.trust_root_file), str(website.ca_file), website.url]

    ran = subprocess.run(
        [sys.executable, "-W", "error", str(file), *arguments],
        capture_output=True, text=True, timeout=60, cwd=ROOT, check=False, env={"PYTHONPATH": str(ROOT)},
    )  # fmt: skip

    assert (0, "") == (ran.returncode, ran.stderr)
    assert ran.stdout


def test_the_guides_have_programs() -> None:
    named = {
        "fetch_asyncio.py",
        "fetch_trio.py",
        "fetch_sync.py",
        "fetch_httpx2.py",
        "download.py",
        "streams.py",
    }

    assert named <= PROGRAMS.keys()


@pytest.mark.parametrize("page", ["README.md", "docs/guides/local-network.md"])
def test_every_python_block_is_python(page: str) -> None:
    for block in BLOCK.findall((ROOT / page).read_text(encoding="utf-8")):
        compile(block, page, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def test_the_readmes_program_runs_as_it_stands(network: LocalNetwork, tmp_path: Path) -> None:
    (program,) = BLOCK.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    file = tmp_path / "readme.py"
    file.write_text(program)
    website = network.website

    ran = subprocess.run(
        [sys.executable, "-W", "error", str(file), str(network.trust_root_file), website.url],
        capture_output=True, text=True, timeout=60, cwd=ROOT, check=False,
        env={"PYTHONPATH": str(ROOT), "SSL_CERT_FILE": str(website.ca_file)},
    )  # fmt: skip

    # The program trusts the public authorities of websites, as it should, and ours is none of them.
    assert "CERTIFICATE_VERIFY_FAILED" in ran.stderr

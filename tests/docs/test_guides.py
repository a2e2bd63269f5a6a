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
        capture_output=True, text=True, timeout=60, cwd=ROOT, check=False,
        env={"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)},
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


def ran_readme(network: LocalNetwork, tmp_path: Path, *trusted: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of the README's program."""
    (program,) = BLOCK.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    file = tmp_path / "readme.py"
    file.write_text(program)
    website = network.website

    ran = subprocess.run(
        [sys.executable, "-W", "error", str(file), str(network.trust_root_file), website.url, *trusted],
        capture_output=True, text=True, timeout=60, cwd=ROOT, check=False, env={"PYTHONPATH": str(ROOT)},
    )  # fmt: skip

    return ran.returncode, ran.stdout, ran.stderr


def test_the_readmes_program_fetches_from_a_website_whose_authority_it_is_given(
    network: LocalNetwork, tmp_path: Path
) -> None:
    code, out, err = ran_readme(network, tmp_path, str(network.website.ca_file))

    assert (0, "200 ", "") == (code, out[:4], err)


def test_the_readmes_program_trusts_the_public_authorities_otherwise(
    network: LocalNetwork, tmp_path: Path
) -> None:
    code, out, err = ran_readme(network, tmp_path)

    assert (1, "") == (code, out)
    assert "CERTIFICATE_VERIFY_FAILED" in err

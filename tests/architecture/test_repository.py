"""What stands in the repository itself: nothing of anybody's machine, and every dependency accounted for."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# A folder or file at the top is a decision: it is what a newcomer sees first.
TOP_LEVEL = {
    ".ci", ".editorconfig", ".gitignore", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "README.md",
    "SECURITY.md", "deploy", "dev", "docs", "examples", "onionpath", "pyproject.toml", "relay",
    "requirements", "simulations", "tests",
}  # fmt: skip

# Locks must work with any index, so the name of one would be somebody's setting.
INDEX_HOST = re.compile(r"\b(pypi|pythonhosted|npmjs|debian|crates|rubygems|anaconda)\.(org|com|io)\b")
# Whoever reads the path has another machine. `/home/you` may stand in an example.
MACHINE_PATH = re.compile(r"(?<![\w.~}$-])/(?:root|work|tmp|home(?!/you\b)|Users)/\w")


def tracked_files() -> list[str]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    # A file that was deleted and not yet committed is still listed.
    return [name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def places(pattern: re.Pattern[str], text: str) -> list[str]:
    return [
        f"{number}: {found[0]}"
        for number, line in enumerate(text.splitlines(), 1)
        if (found := pattern.search(line))
    ]


def text_of(name: str) -> str:
    # Captured packets and pictures are bytes; whatever is text in them is still found.
    return (ROOT / name).read_text(encoding="utf-8", errors="replace")


def normal(requirement: str) -> str:
    """A requirement's package name, as indexes compare it."""
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found is not None
    return re.sub(r"[-_.]+", "-", found[0]).lower()


def project() -> dict[str, list[str]]:
    """Requirements by extra; those of every installation stand under the empty name."""
    table = tomllib.loads(text_of("pyproject.toml"))["project"]
    return {"": table["dependencies"], **table["optional-dependencies"]}


def pinned(lock: str) -> set[str]:
    return {
        normal(line) for line in text_of(f"requirements/{lock}").splitlines() if re.match(r"[\w.-]+==", line)
    }


@pytest.mark.parametrize("pattern", [INDEX_HOST, MACHINE_PATH], ids=["index host", "machine path"])
def test_no_file_names_an_index_or_a_path_of_somebodys_machine(pattern: re.Pattern[str]) -> None:
    found = {name: hits for name in tracked_files() if (hits := places(pattern, text_of(name)))}
    assert {} == found


def test_a_planted_index_host_or_machine_path_is_found() -> None:
    for host in ("pypi" + ".org", "files.pythonhosted" + ".org", "registry.npmjs" + ".org"):
        assert ["1: " + host.split(".", host.count(".") - 1)[-1]] == places(INDEX_HOST, f"see {host}/x")
    for top in ("root", "work", "tmp", "home", "Users"):
        path = "/" + top + "/someone"
        assert 1 == len(places(MACHINE_PATH, f'open("{path}")'))


def test_paths_that_mean_every_machine_are_left_alone() -> None:
    for text in ("~/tmp/x", "/home/you/notes", "docs/" + "work/x", "/var/lib/onionpath", "$HOME/tmp/x"):
        assert [] == places(MACHINE_PATH, text)


def test_only_expected_entries_stand_at_the_top() -> None:
    assert set() == {name.split("/")[0] for name in tracked_files()} - TOP_LEVEL


@pytest.mark.parametrize("lock", ["uv.lock", "run.lock", "dev.lock"])
def test_a_lock_holds_exact_versions_with_hashes_and_no_address(lock: str) -> None:
    text = text_of(f"requirements/{lock}")
    assert "://" not in text
    assert not re.search(r"^\s*(-e|--(?!hash)\S+)", text, re.MULTILINE)
    pins = re.split(r"^(?=[\w.-]+==)", text, flags=re.MULTILINE)[1:]
    assert pins
    assert [] == [pin.split()[0] for pin in pins if "--hash=sha256:" not in pin]


def test_every_runtime_dependency_is_pinned_for_the_demo() -> None:
    needed = {normal(each) for each in [*project()[""], *project()["simulations"], "hatchling", "editables"]}
    assert set() == needed - pinned("run.lock")


def test_the_demo_runs_what_was_tested() -> None:
    def versions(lock: str) -> set[str]:
        return {
            line.split()[0]
            for line in text_of(f"requirements/{lock}").splitlines()
            if re.match(r"[\w.-]+==", line)
        }

    assert set() == versions("run.lock") - versions("dev.lock")


def test_every_development_dependency_is_pinned() -> None:
    extras = ("dev", "docs", "http2", "ohttp", "simulations")
    needed = {normal(each) for extra in extras for each in project()[extra]} - {"onionpath"}
    assert set() == needed - pinned("dev.lock")


def test_every_dependency_has_its_reason_in_the_documents() -> None:
    explained = text_of("docs/dependencies.md")
    packages = {normal(each) for requirements in project().values() for each in requirements} - {"onionpath"}
    assert [] == sorted(package for package in packages if f"`{package}`" not in explained)


def test_every_runtime_dependency_has_a_lower_bound() -> None:
    assert [] == [each for each in project()[""] if ">=" not in each]

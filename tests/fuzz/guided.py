"""``./dev fuzz`` with atheris: one process for each target, since libFuzzer ends the one that it runs in.

A process stops at its first finding. What each said last stands in its log beside the findings.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
NEW = HERE / "new"
MOST_MEMORY_MIB = 1024
# libFuzzer counts real time, and a busy machine must not look like a parser that hangs.
SLOWEST_S = 5
_STAT = re.compile(r"^stat::(?P<name>\w+):\s+(?P<value>\d+)", re.MULTILINE)
_CASE = re.compile(r"Test unit written to (?P<file>\S+)")


@dataclass
class Guided:
    """What one process said."""

    target: str
    inputs: int
    peak_mib: int
    seconds: float
    findings: list[Path] = field(default_factory=list)


def command(name: str, *, runs: int | None, seconds: float | None, seed: int, folder: Path) -> list[str]:
    """How the process of one target is started."""
    options = [f"-seed={seed}", "-print_final_stats=1", "-max_len=65536", f"-timeout={SLOWEST_S}"]
    options += [f"-rss_limit_mb={MOST_MEMORY_MIB}", f"-artifact_prefix={folder / name}/"]
    options += [] if runs is None else [f"-runs={runs}"]
    options += [] if seconds is None else [f"-max_total_time={max(1, round(seconds))}"]
    return [sys.executable, "-m", "tests.fuzz.with_atheris", name, str(NEW / name), *options]


def read_log(name: str, log: str, *, seconds: float) -> Guided:
    """The figures of one process, from what it printed."""
    stats = {found["name"]: int(found["value"]) for found in _STAT.finditer(log)}
    findings = [Path(found["file"]) for found in _CASE.finditer(log)]
    return Guided(
        name, stats.get("number_of_executed_units", 0), stats.get("peak_rss_mb", 0), seconds, findings
    )


def _run(name: str, *, runs: int | None, seconds: float | None, seed: int, folder: Path) -> Guided:
    for place in (NEW / name, folder / name):
        place.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    log = folder / name / "log"
    with log.open("w") as output:
        ended = subprocess.run(
            command(name, runs=runs, seconds=seconds, seed=seed, folder=folder),
            stdout=output, stderr=subprocess.STDOUT, cwd=HERE.parents[1], check=False,
        )  # fmt: skip
    done = read_log(name, log.read_text(errors="replace"), seconds=time.monotonic() - start)
    if ended.returncode and not done.findings:
        # It failed without an input: what it said is all there is.
        done.findings.append(log)
    return done


def table(done: list[Guided]) -> Iterator[str]:
    """The lines that are printed at the end."""
    yield f"{'target':<24}{'inputs':>10}{'findings':>10}{'peak MiB':>10}{'seconds':>9}"
    for one in [
        *done,
        Guided("all", sum(each.inputs for each in done), 0, sum(each.seconds for each in done)),
    ]:
        yield f"{one.target:<24}{one.inputs:>10}{len(one.findings):>10}{one.peak_mib:>10}{one.seconds:>9.1f}"


def fuzz_guided(names: list[str], *, runs: int | None, seconds: float | None, seed: int, folder: Path) -> int:
    """Run these targets one after the other and report; gives the exit status."""
    done: list[Guided] = []
    status = 0
    share = None if seconds is None else seconds / len(names)
    try:
        for name in names:
            done.append(_run(name, runs=runs, seconds=share, seed=seed, folder=folder))
            print(f"  {name}: {done[-1].inputs} inputs in {done[-1].seconds:.0f} s", file=sys.stderr)
    except KeyboardInterrupt:
        print(f"stopped after {len(done)} targets", file=sys.stderr)
        status = 130
    print("\n".join(table(done)))
    for one in done:
        for file in one.findings:
            print(f"\n{one.target}\n  ./dev fuzz --replay {file}")
    return 1 if any(one.findings for one in done) else status

"""``./dev fuzz``: seeded runs over all targets, with a table at the end.

An input is a finding if it raises what its target does not declare, if it is read although it was sealed or signed
otherwise, or if it takes too long. Findings land in ``tests/fuzz/findings/TARGET/``, with the line that replays them.
With atheris installed its coverage guides the same targets; without it our own mutator does.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import importlib.util
import resource
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.fuzz.mutator import Mutator
from tests.fuzz.targets import TARGETS, Target

HERE = Path(__file__).parent
CORPUS = HERE / "corpus"
FINDINGS = HERE / "findings"
DEFAULT_SECONDS = 60.0
# Some thousand inputs fill the caches and the mutator's pool; what grows after that is a leak.
WARM_UP = 2_000
MOST_GROWTH = 16 * 2**20  # bytes of one target
# One finding of a kind is enough to mend it, and a target that fails always must not fill the disk.
MOST_PER_TARGET = 20
PROGRESS_S = 5.0


@dataclass
class Result:
    """What came out of one target."""

    target: str
    inputs: int = 0
    read: int = 0
    accepted: int = 0
    exceptions: int = 0
    slow: int = 0
    slowest_s: float = 0.0
    growth: int = 0
    took_s: float = 0.0
    findings: dict[str, Path] = field(default_factory=dict)

    @property
    def leaks(self) -> bool:
        """Whether memory grew further after the caches were full."""
        return self.growth > MOST_GROWTH

    @property
    def is_clean(self) -> bool:
        """Whether there is nothing to be mended."""
        return not (self.accepted or self.exceptions or self.slow or self.leaks)


class Runner:
    """Runs one target on inputs and keeps what was found.

    Args:
        inputs: its corpus; these may be read even if the target is sealed.
        folder: where findings are written.
    """

    def __init__(self, name: str, target: Target, inputs: list[bytes], *, folder: Path, seed: int) -> None:
        self._target = target
        self._good = set(inputs)
        self._folder = folder / name
        self._mutator = Mutator(inputs, Random(f"{name} {seed}"))
        self.result = Result(name)
        self._before = 0

    def run(self, *, runs: int | None, seconds: float | None, progress: Callable[[Result], None]) -> None:
        """Until either bound is met; what was done so far stands in ``result``, whatever ends it."""
        start = shown = time.monotonic()
        while (runs is None or self.result.inputs < runs) and (
            seconds is None or self.result.took_s < seconds
        ):
            self.one(self._mutator.next())
            if self.result.inputs % 64 == 0:
                now = time.monotonic()
                self.result.took_s = now - start
                if now - shown > PROGRESS_S:
                    shown = now
                    progress(self.result)
            if self.result.inputs == WARM_UP:
                self._before = resident()
        self.result.took_s = time.monotonic() - start
        if self._before:
            gc.collect()
            self.result.growth = resident() - self._before

    def one(self, data: bytes) -> None:
        """Try one input."""
        result = self.result
        result.inputs += 1
        # CPU time: a busy machine must not look like a slow parser.
        start = time.thread_time()
        try:
            sentence = self._attempt(data)
        except Exception as error:
            result.exceptions += 1
            self._keep(data, "exception", _place(error))
            sentence = f"bug {_place(error)}"
        took = time.thread_time() - start
        if took > self._target.slowest_s:
            took = min(took, *(self._time(data) for _ in range(2)))
        if took > self._target.slowest_s:
            result.slow += 1
            self._keep(data, "slow", f"{took * 1000:.0f} ms")
        result.slowest_s = max(result.slowest_s, took)
        self._mutator.heard(data, sentence)

    def _attempt(self, data: bytes) -> str:
        try:
            again = self._target.parse(data)
        except self._target.errors as error:
            return f"{type(error).__name__} {error}"
        self.result.read += 1
        if self._target.is_sealed and data not in self._good:
            self.result.accepted += 1
            self._keep(data, "accepted", "read although it was changed")
        elif again is not None and again != data:
            self.result.accepted += 1
            self._keep(data, "accepted", "a second encoding was read")
        return "read"

    def _time(self, data: bytes) -> float:
        start = time.thread_time()
        try:
            self._target.parse(data)
        except Exception:  # noqa: S110 - it was counted the first time
            pass
        return time.thread_time() - start

    def _keep(self, data: bytes, kind: str, what: str) -> None:
        name = f"{kind}: {what}"
        if name in self.result.findings or len(self.result.findings) >= MOST_PER_TARGET:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        file = self._folder / f"{kind}-{hashlib.sha256(data).hexdigest()[:12]}"
        file.write_bytes(data)
        self.result.findings[name] = file


def _place(error: Exception) -> str:
    """Which exception, and the innermost line of ours that it came through."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [
        each for each in frames if f"{HERE.parents[1]}/" in each.filename and ".venv" not in each.filename
    ]
    last = (ours or frames)[-1]
    return f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno}"


def resident() -> int:
    """Bytes of memory that this process has now; 0 where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except OSError:
        return 0


def inputs_of(name: str) -> list[bytes]:
    """The committed corpus of a target."""
    return [path.read_bytes() for path in sorted((CORPUS / name).iterdir())]


def table(results: Iterable[Result]) -> Iterator[str]:
    """The lines that are printed at the end."""
    yield (
        f"{'target':<20}{'inputs':>9}{'read':>9}{'accepted':>10}{'exceptions':>12}{'slow':>6}"
        f"{'slowest ms':>12}{'RSS MiB':>9}{'seconds':>9}"
    )
    total = Result("all")
    for one in results:
        yield _line(one)
        for name in ("inputs", "read", "accepted", "exceptions", "slow", "growth", "took_s"):
            setattr(total, name, getattr(total, name) + getattr(one, name))
        total.slowest_s = max(total.slowest_s, one.slowest_s)
    yield _line(total)


def _line(one: Result) -> str:
    return (
        f"{one.target:<20}{one.inputs:>9}{one.read:>9}{one.accepted:>10}{one.exceptions:>12}{one.slow:>6}"
        f"{one.slowest_s * 1000:>12.1f}{one.growth / 2**20:>+9.1f}{one.took_s:>9.1f}"
    )


def report(results: list[Result]) -> bool:
    """Print the table and every finding; True if there is none."""
    print("\n".join(table(results)))
    for result in results:
        for what, file in result.findings.items():
            print(f"\n{result.target}: {what}\n  ./dev fuzz --replay {_shown(file)}")
        if result.leaks:
            print(f"\n{result.target}: memory grew by {result.growth / 2**20:.0f} MiB after {WARM_UP} inputs")
    return all(result.is_clean for result in results)


def _shown(file: Path) -> Path:
    root = HERE.parents[1]
    return file.relative_to(root) if file.is_relative_to(root) else file


def replay(file: Path) -> int:
    """Run one kept input, whose folder names its target, and let its exception through."""
    target = TARGETS[file.parent.name]
    data = file.read_bytes()
    try:
        again = target.parse(data)
    except target.errors as error:
        print(f"refused: {type(error).__name__}: {error}")
        return 0
    second = again is not None and again != data
    new = target.is_sealed and data not in inputs_of(file.parent.name)
    print("read, which it must not be" if second or new else "read")
    return int(second or new)


def _say(result: Result) -> None:
    found = f", {len(result.findings)} findings" if result.findings else ""
    print(f"  {result.target}: {result.inputs} inputs in {result.took_s:.0f} s{found}", file=sys.stderr)


def fuzz(names: list[str], *, runs: int | None, seconds: float | None, seed: int, folder: Path) -> int:
    """Run these targets one after the other and report; gives the exit status."""
    results: list[Result] = []
    status = 0
    try:
        for name in names:
            runner = Runner(name, TARGETS[name], inputs_of(name), folder=folder, seed=seed)
            results.append(runner.result)
            share = None if seconds is None else seconds / len(names)
            runner.run(runs=runs, seconds=share, progress=_say)
            _say(runner.result)
    except KeyboardInterrupt:
        print(f"stopped in {results[-1].target if results else 'the first target'}", file=sys.stderr)
        status = 130
    return 1 if not report(results) else status


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="./dev fuzz", description="Give every parser inputs that are not good."
    )
    parser.add_argument(
        "--seconds", type=float, help=f"for all targets together (default {DEFAULT_SECONDS:.0f})"
    )
    parser.add_argument("--runs", type=int, help="inputs for each target")
    parser.add_argument(
        "--target", action="append", choices=sorted(TARGETS), help="only this one; may be repeated"
    )
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same inputs")
    parser.add_argument("--plain", action="store_true", help="use our own mutator although atheris is there")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="run one finding again")
    options = parser.parse_args(arguments)
    if options.replay:
        return replay(options.replay)
    names: list[str] = options.target or list(TARGETS)
    seconds: float | None = options.seconds
    if seconds is None and options.runs is None:
        seconds = DEFAULT_SECONDS
    if not options.plain and importlib.util.find_spec("atheris"):
        from tests.fuzz.guided import fuzz_guided

        return fuzz_guided(names, runs=options.runs, seconds=seconds, seed=options.seed, folder=FINDINGS)
    return fuzz(names, runs=options.runs, seconds=seconds, seed=options.seed, folder=FINDINGS)


if __name__ == "__main__":
    sys.exit(main())

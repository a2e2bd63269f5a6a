"""The command ``fuzz``: a short run over everything, and that it finds what is planted."""

from __future__ import annotations

import time
from pathlib import Path
from random import Random

import pytest

from onionpath.errors import MalformedError
from tests.fuzz import guided, run, stories
from tests.fuzz.mutator import Mutator
from tests.fuzz.run import Runner, fuzz, inputs_of, main, replay, table
from tests.fuzz.targets import TARGETS, Target


def quiet(result: run.Result) -> None:
    """Progress that nobody wants to see."""


def planted(parse: object, tmp_path: Path, *, runs: int = 200, **options: object) -> run.Result:
    target = Target(parse, **options)  # type: ignore[arg-type]
    runner = Runner("planted", target, [b"good input"], folder=tmp_path, seed=1)
    runner.run(runs=runs, seconds=None, progress=quiet)
    return runner.result


def test_every_target_stands_some_hundred_inputs(tmp_path: Path) -> None:
    assert 0 == fuzz(list(TARGETS), runs=150, seconds=None, seed=5, folder=tmp_path)
    assert [] == list(tmp_path.iterdir())


def test_an_exception_that_is_not_declared_is_kept_once_with_its_input(tmp_path: Path) -> None:
    def parse(data: bytes) -> None:
        if len(data) % 3 == 1:
            raise IndexError
        raise MalformedError("not read")

    result = planted(parse, tmp_path)

    assert result.exceptions > 10
    assert 1 == len(result.findings)
    (file,) = result.findings.values()
    assert file.parent == tmp_path / "planted"
    assert 1 == len(file.read_bytes()) % 3


def test_a_second_encoding_is_a_finding(tmp_path: Path) -> None:
    result = planted(lambda data: data.strip(), tmp_path)

    assert result.accepted > 0
    assert ["accepted: a second encoding was read"] == list(result.findings)


def test_whatever_is_read_of_a_sealed_target_is_a_finding_but_its_corpus(tmp_path: Path) -> None:
    result = planted(lambda data: None, tmp_path, is_sealed=True)

    assert 0 < result.accepted <= result.read == result.inputs
    assert ["accepted: read although it was changed"] == list(result.findings)


def test_an_input_that_is_always_slow_is_a_finding(tmp_path: Path) -> None:
    def parse(data: bytes) -> None:
        end = time.thread_time() + 0.003
        while time.thread_time() < end:
            pass

    result = planted(parse, tmp_path, runs=3, slowest_s=0.001)

    assert 3 == result.slow
    assert not result.is_clean


def test_memory_that_is_kept_is_a_finding(tmp_path: Path) -> None:
    kept: list[bytes] = []
    # More than a process that has run for long has free already, and written to, or the kernel gives no page for it.
    result = planted(lambda data: kept.append(b"x" * 200_000), tmp_path, runs=run.WARM_UP + 1000)

    assert result.leaks
    assert not result.is_clean


def test_the_same_seed_gives_the_same_inputs() -> None:
    first, second, other = (Mutator(inputs_of("trust-root"), Random(seed)) for seed in (1, 1, 2))
    drawn = [[each.next() for _ in range(100)] for each in (first, second, other)]

    assert drawn[0] == drawn[1]
    assert drawn[0] != drawn[2]


def test_an_input_with_a_new_ending_is_kept_and_one_with_a_known_ending_is_not() -> None:
    mutator = Mutator([b"x"], Random(1))
    mutator.heard(b"one", "has 7 bytes")
    mutator.heard(b"two", "has 8 bytes")

    assert [b"x", b"one"] == mutator._pool


def test_what_was_done_is_printed_when_it_is_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tried = 0

    def parse(data: bytes) -> None:
        nonlocal tried
        tried += 1
        if tried == 70:
            raise KeyboardInterrupt

    monkeypatch.setitem(TARGETS, "host", Target(parse))

    assert 130 == fuzz(["host", "claim"], runs=1000, seconds=None, seed=1, folder=tmp_path)
    shown = capsys.readouterr()
    assert "stopped in host" in shown.err
    assert ["host", "70"] == shown.out.splitlines()[1].split()[:2]
    assert "claim" not in shown.out


def test_a_finding_ends_the_command_with_1_and_the_line_that_replays_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def parse(data: bytes) -> None:
        raise IndexError

    monkeypatch.setitem(TARGETS, "host", Target(parse))

    assert 1 == fuzz(["host"], runs=5, seconds=None, seed=1, folder=tmp_path)
    line = capsys.readouterr().out.splitlines()[-1]
    file = Path(line.removeprefix("  ./dev fuzz --replay "))
    assert file.parent == tmp_path / "host"
    with pytest.raises(IndexError):
        replay(file)


def test_replaying_says_what_became_of_an_input(capsys: pytest.CaptureFixture[str]) -> None:
    corpus = run.CORPUS / "claim"

    assert 0 == main(["--replay", str(corpus / "good")])
    assert 0 == main(["--replay", str(corpus / "bad-short")])
    assert ["read", "refused:"] == [line.split()[0] for line in capsys.readouterr().out.splitlines()]


def test_the_table_has_a_line_for_each_target_and_one_for_all() -> None:
    lines = list(table([run.Result("one", inputs=3, slowest_s=0.002), run.Result("two", inputs=4)]))

    assert [["one", "3"], ["two", "4"], ["all", "7"]] == [line.split()[:2] for line in lines[1:]]


def test_a_log_of_libfuzzer_gives_inputs_memory_and_findings() -> None:
    log = (
        "artifact_prefix='f/host/'; Test unit written to f/host/crash-12ab\n"
        "stat::number_of_executed_units: 4321\nstat::peak_rss_mb:              87\n"
    )

    done = guided.read_log("host", log, seconds=2.0)

    assert guided.Guided("host", 4321, 87, 2.0, [Path("f/host/crash-12ab")]) == done
    assert "-runs=10" in guided.command("host", runs=10, seconds=None, seed=1, folder=Path("f"))


def test_a_story_whose_switch_answers_twice_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    told = stories.Story.note_written

    def twice(story: stories.Story, link: int, data: bytes) -> None:
        told(story, link, data)
        told(story, link, data)

    monkeypatch.setattr(stories.Story, "note_written", twice)

    with pytest.raises(AssertionError, match="twice"):
        stories.tell(stories.good_stories()["good-served"])


def test_the_good_stories_go_where_they_say() -> None:
    counts = {}
    for name, story in stories.good_stories().items():
        told = stories.Story()
        if name.startswith("good"):
            told.tell(story)
        counts[name] = told.switch.statistics().counts

    assert 1 == counts["good-served"]["served"]
    assert 1 == counts["good-forwarded"]["reply_relayed"]
    assert "depth_from_client" not in counts["good-proven"]
    assert counts["good-crowded"]["reading_paused"] > 0
    assert {"link_frame_too_slow": 1} == counts["good-raw"]

"""The corpus of every parser, whole and damaged: only declared errors, and one encoding for each meaning."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.make_corpus import corpus
from tests.fuzz.mutations import Mutation, apply, mutations
from tests.fuzz.targets import TARGETS, fuzz_one

FOLDER = Path(__file__).parent / "corpus"
FILES = sorted(FOLDER.glob("*/*"))


def inputs_of(target: str) -> list[bytes]:
    return [path.read_bytes() for path in FILES if path.parent.name == target]


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_what_is_good_is_read_and_what_is_bad_is_refused(path: Path) -> None:
    is_good = path.name.startswith("good")

    assert is_good or path.name.startswith("bad")
    assert is_good is fuzz_one(path.parent.name, path.read_bytes())


def test_every_target_has_inputs_of_both_kinds() -> None:
    kinds = {(path.parent.name, path.name.partition("-")[0]) for path in FILES}

    assert {(name, kind) for name in TARGETS for kind in ("good", "bad")} == kinds


def test_the_committed_corpus_is_what_its_maker_makes() -> None:
    made = {f"{target}/{name}": data for target, inputs in corpus().items() for name, data in inputs.items()}

    for name, data in made.items():
        assert data == (FOLDER / name).read_bytes(), name


@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=120, deadline=None)
@given(choice=st.integers(0, 99), other=st.integers(0, 99), cut=st.integers(0, 2**16), damage=mutations)
def test_damaged_inputs_end_in_declared_errors_only(
    target: str, choice: int, other: int, cut: int, damage: list[Mutation]
) -> None:
    """Damage by kind, place and number, over one input or a splice of two."""
    inputs = inputs_of(target)
    data, rest = inputs[choice % len(inputs)], inputs[other % len(inputs)]
    if cut % 3 == 0:
        data = data[: cut % (len(data) + 1)] + rest[cut % (len(rest) + 1) :]
    for each in damage:
        data = apply(data, each)

    is_read = fuzz_one(target, data)

    # What is sealed or signed has no second form that is taken.
    assert not is_read or not TARGETS[target].is_sealed or data in inputs


@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=300))
def test_anything_at_all_ends_in_declared_errors_only(target: str, data: bytes) -> None:
    fuzz_one(target, data)

"""The numbers of the programs' I/O that virtual nodes repeat."""

from __future__ import annotations

import re
from pathlib import Path

from simulations.virtual import numbers

RELAY = Path(__file__).parents[2] / "relay"


def written_in_relay(pattern: str) -> set[float]:
    found = re.compile(pattern)
    texts = (file.read_text(encoding="utf-8") for file in RELAY.rglob("*.py"))
    return {float(each) for text in texts for each in found.findall(text)}


def test_a_virtual_relay_drains_as_long_as_a_real_one_and_looks_as_often() -> None:
    assert {numbers.DRAIN_S} == written_in_relay(r"(?m)^DRAIN_S = ([\d.]+)")
    assert {numbers.DRAIN_LOOK_EVERY_S} == written_in_relay(
        r"(?s)while not \S*switch\.is_idle.{,80}?sleep\(([\d.]+)\)"
    )


def test_a_virtual_authority_looks_for_its_first_relays_as_often_as_a_real_one() -> None:
    assert {numbers.AUTHORITY_TICK_S} == written_in_relay(r"(?m)^TICK_S = ([\d.]+)")

"""Idle time as the scheduler knows it."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from relay import idleness
from relay.idleness import Idleness


def busy(cpu_s: float) -> None:
    until = time.thread_time() + cpu_s
    while time.thread_time() < until:
        pass


def test_a_thread_that_computes_is_not_idle() -> None:
    measured = Idleness()
    busy(0.05)

    assert measured.share() < 0.1


def test_a_thread_that_waits_is_idle() -> None:
    measured = Idleness()
    threading.Event().wait(0.05)

    assert measured.share() > 0.5


def test_elsewhere_the_time_on_a_core_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idleness, "SCHEDULER_FILE", Path("/nowhere/schedstat"))
    measured = Idleness()
    threading.Event().wait(0.05)

    assert measured.share() > 0.5

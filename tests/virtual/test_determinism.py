"""Same seed, same events: in one process, in another, and under another hash of strings."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from simulations.virtual.network import virtual_network
from simulations.virtual.requests import echo
from simulations.virtual.wires import WireModel
from tests.virtual.stories import eventful

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("seed", range(20))
def test_a_seed_repeats_every_event(seed: int) -> None:
    assert eventful(seed).record.hash == eventful(seed).record.hash


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_hundred_seeds_repeat_every_event_and_each_is_another_story() -> None:
    hashes = [(eventful(seed).record.hash, eventful(seed).record.hash) for seed in range(100)]

    assert [one for one, _ in hashes] == [other for _, other in hashes]
    assert 100 == len(set(hashes))


def in_another_process(seed: int, hash_seed: int) -> str:
    program = f"from tests.virtual.stories import eventful; print(eventful({seed}).record.hash)"
    environment = {**os.environ, "PYTHONHASHSEED": str(hash_seed)}
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    return run.stdout.strip()


@pytest.mark.parametrize("seed", [1, 2])
def test_another_process_and_another_hash_seed_change_nothing(seed: int) -> None:
    here = eventful(seed).record.hash

    assert [here, here] == [in_another_process(seed, 0), in_another_process(seed, 4_242)]


def test_one_node_more_changes_no_chance_of_the_others() -> None:
    """Otherwise two scenarios that differ by a node could not be compared."""
    wires = WireModel(latency_s=0.01, latency_up_to_s=0.2)
    small, large = (virtual_network(relays=relays, seed=7, wires=wires) for relays in (5, 6))

    for number in range(5):
        assert small.relay(number).relay_id == large.relay(number).relay_id
        assert small.relay(number).describe().packet_keys == large.relay(number).describe().packet_keys


def test_one_client_more_changes_no_path_and_no_time_of_the_others() -> None:
    wires = WireModel(latency_s=0.01, latency_up_to_s=0.2)
    alone, beside = (virtual_network(relays=9, seed=7, wires=wires) for _ in range(2))
    first, same = alone.client(), beside.client()
    beside.client().request(echo())
    outcomes = [[client.request(echo(isolation=str(n))) for n in range(6)] for client in (first, same)]
    paths = [[each.path for each in one] for one in outcomes]

    assert paths[0] == paths[1]
    assert 1 < len(set(paths[0]))


def test_the_hash_sees_one_byte_more() -> None:
    one, other = (virtual_network(relays=3, seed=7) for _ in range(2))
    one.client().request(echo(b""))
    other.client().request(echo(b"", large_reply=True))

    assert one.record.hash != other.record.hash

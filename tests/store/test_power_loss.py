"""The power goes at any write or sync: what was acknowledged is there, and nothing is half there."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

import pytest

from onionpath.swarm.arcs import WHOLE_RING
from onionpath.swarm.operations import (
    Delete,
    Deleted,
    DeleteWhere,
    Expire,
    ExpiryRule,
    Operation,
    Retrieved,
    Version,
)
from onionpath.swarm.reconciliation import Count, Counted
from relay.store.inline import InlineStore
from relay.store.portions import PORTION_ROWS
from simulations.disk.simulated import SimulatedDisk
from tests.store.accounts import DAY_MS, HOUR_MS, NOW_MS, account_named, all_of, message_of, put
from tests.swarm.model_store import ModelStore

ACCOUNTS = [account_named(f"account {number}") for number in range(5)]
PATH = "store.db"
# With so few pages between them, checkpoints are cut as often as commits.
CHECKPOINT_PAGES = 40

State = dict[str, tuple[int, bytes]]


@dataclass
class Image:
    """A disk after power loss, and what must be on it: all that was acknowledged, and perhaps what was under way."""

    disk: SimulatedDisk
    acknowledged: State
    under_way: State = field(default_factory=dict)


def operation_of(choice: Random, number: int) -> Operation:
    account, version = choice.choice(ACCOUNTS), Version(NOW_MS + number)
    known = tuple(
        message_of(b"%d" % choice.randrange(number + 1) * 40, account=account).hash for _ in range(4)
    )
    match choice.randrange(8):
        case 0:
            return Delete(account, known, version)
        case 1:
            return Expire(
                account, known[:1], (NOW_MS + choice.randrange(1, 20) * HOUR_MS,), ExpiryRule.SET, version
            )
        case 2:
            return put(message_of(choice.randbytes(20_000), account=account), version)
        case _:
            return put(message_of(b"%d" % choice.randrange(number + 1) * 40, account=account), version)


def state_of_model(model: ModelStore) -> State:
    found = (message for each in ACCOUNTS for message in model.messages(each, now_ms=NOW_MS).values())
    return {message.hash: (message.expiry_ms, message.data) for message in found}


def state_of(store: InlineStore) -> State:
    state: State = {}
    for result in store.apply([all_of(each) for each in ACCOUNTS], now_ms=NOW_MS):
        assert isinstance(result, Retrieved)
        state |= {message.hash: (message.expiry_ms, message.data) for message in result.messages}
    return state


def images(choice: Random, count: int, *, operations: int) -> list[Image]:
    """Let the power go ``count`` times while a store works on."""
    disk, model, taken = SimulatedDisk(), ModelStore(), list[Image]()
    state: State = {}
    odds = count / (operations * 8)

    def perhaps_lose_power() -> None:
        if len(taken) < count and choice.random() < odds:
            taken.append(Image(disk.after_power_loss(choice), state))

    with InlineStore(PATH, vfs=disk.vfs, checkpoint_pages=CHECKPOINT_PAGES) as store:
        disk.before_change = perhaps_lose_power
        for number in range(operations):
            before, operation = len(taken), operation_of(choice, number)
            assert model.apply([operation], now_ms=NOW_MS) == store.apply([operation], now_ms=NOW_MS)
            state = state_of_model(model)
            for image in taken[before:]:
                image.under_way = state
        disk.before_change = lambda: None
    disk.close()
    return taken


def survives(image: Image) -> bool:
    with InlineStore(PATH, vfs=image.disk.vfs, set_aside=image.disk.set_aside) as store:
        found = not store.was_damaged and state_of(store) in (image.acknowledged, image.under_way)
    image.disk.close()
    return found


def test_what_was_acknowledged_survives_power_loss_at_any_moment() -> None:
    taken = images(Random(7), 40, operations=120)

    assert 40 == len(taken)
    assert [] == [index for index, image in enumerate(taken) if not survives(image)]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_what_was_acknowledged_survives_five_hundred_power_losses() -> None:
    taken = images(Random(8), 500, operations=1_500)

    assert 500 == len(taken)
    assert [] == [index for index, image in enumerate(taken) if not survives(image)]


MANY = [message_of(b"%d" % number, account=ACCOUNTS[0]) for number in range(3 * PORTION_ROWS)]
DELETE_MANY = Delete(ACCOUNTS[0], tuple(message.hash for message in MANY), Version(NOW_MS + 1))


@pytest.mark.parametrize("change", [DELETE_MANY, DeleteWhere(ACCOUNTS[0], None, None, DELETE_MANY.version)])
def test_a_large_delete_that_power_loss_cuts_short_is_a_smaller_delete(change: Delete | DeleteWhere) -> None:
    """It was not acknowledged; each message is there whole or gone, and who asks again has the rest deleted."""
    left = [messages_left(image, change) for image in images_of(change, Random(10), 30)]

    assert {len(MANY), 0} < set(left)
    assert [] == [count for count in left if count % PORTION_ROWS]


def images_of(change: Delete | DeleteWhere, choice: Random, most: int) -> list[SimulatedDisk]:
    """Let the power go while a store that holds many messages carries out one change."""
    disk, taken = SimulatedDisk(), list[SimulatedDisk]()

    def perhaps_lose_power() -> None:
        if len(taken) < most and choice.random() < 0.15:
            taken.append(disk.after_power_loss(choice))

    with InlineStore(PATH, vfs=disk.vfs, checkpoint_pages=CHECKPOINT_PAGES) as store:
        store.apply([put(message) for message in MANY], now_ms=NOW_MS)
        disk.before_change = perhaps_lose_power
        store.apply([change], now_ms=NOW_MS)
        taken.append(disk.after_power_loss(choice))
        disk.before_change = lambda: None
    disk.close()
    return taken


def messages_left(disk: SimulatedDisk, change: Delete | DeleteWhere) -> int:
    """How many are there, after checks that the books agree and that the same change deletes just these."""
    with InlineStore(PATH, vfs=disk.vfs, set_aside=disk.set_aside) as store:
        left = sorted(state_of(store))
        (counted,) = store.apply([Count(WHOLE_RING)], now_ms=NOW_MS)
        (deleted,) = store.apply([change], now_ms=NOW_MS)
        assert isinstance(counted, Counted)
        assert isinstance(deleted, Deleted)
        assert (len(left), len(MANY)) == (counted.messages, counted.messages + counted.traces)
        assert tuple(left) == deleted.hashes
        assert {} == state_of(store)
    disk.close()
    return len(left)


def test_a_store_that_did_not_sync_would_be_found_out() -> None:
    """The proof above can fail: where syncs do nothing, what was acknowledged is lost."""
    choice, disk = Random(9), SimulatedDisk()
    message = message_of(b"kept?", account=ACCOUNTS[0])
    state = {message.hash: (NOW_MS + DAY_MS, b"kept?")}
    with InlineStore(PATH, vfs=disk.vfs) as store:
        disk.is_lying = True
        store.apply([put(message)], now_ms=NOW_MS)
        taken = [Image(disk.after_power_loss(choice), state, state) for _ in range(20)]

    assert not all([survives(image) for image in taken])


def test_after_a_kill_everything_that_was_written_is_there() -> None:
    disk = SimulatedDisk()
    message = message_of(b"hello", account=ACCOUNTS[0])
    with InlineStore(PATH, vfs=disk.vfs) as store:
        store.apply([put(message)], now_ms=NOW_MS)
        rest = disk.after_kill()

    assert survives(Image(rest, {message.hash: (NOW_MS + DAY_MS, b"hello")}))

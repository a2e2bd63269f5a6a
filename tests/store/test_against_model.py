"""Whatever is asked in whatever order: the store answers as the model does, which is a dict and easy to believe."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onionpath.swarm.namespaces import is_public_outbox
from onionpath.swarm.operations import (
    Delete,
    DeleteWhere,
    Expire,
    ExpireWhere,
    Expiries,
    ExpiryRule,
    IsRevoked,
    Message,
    NewestVersion,
    Operation,
    Put,
    Retrieve,
    Revoke,
    Version,
    VersionFound,
)
from relay.store.inline import InlineStore
from tests.store.accounts import ALICE, BOB, NOW_MS, message_of
from tests.swarm.model_store import ModelStore

MINUTE_MS = 60_000
ACCOUNTS = st.sampled_from([ALICE, BOB])
NAMESPACES = st.sampled_from([0, 2, -1])
EXPIRIES = st.integers(1, 8).map(lambda minutes: NOW_MS + minutes * MINUTE_MS)
TIMES = st.integers(0, 3).map(lambda minutes: NOW_MS + minutes * MINUTE_MS)
VERSIONS = st.integers(1, 400).map(lambda number: Version(NOW_MS + number))


@st.composite
def messages(draw: st.DrawFn) -> Message:
    data = draw(st.sampled_from([b"", b"one", b"two", b"three"]))
    return message_of(
        data,
        account=draw(ACCOUNTS),
        namespace=draw(NAMESPACES),
        timestamp_ms=draw(TIMES),
        expiry_ms=draw(EXPIRIES),
    )


HASHES = st.lists(
    messages().map(lambda message: message.hash)
    | st.sampled_from(["", "'; DROP TABLE rows", "\0", "é" * 43]),
    max_size=4,
    unique=True,
).map(tuple)
TOKENS = st.lists(st.integers(0, 5).map(lambda number: bytes([number]) * 36), max_size=3, unique=True).map(
    tuple
)
ANY_NAMESPACE = st.none() | NAMESPACES


@st.composite
def puts(draw: st.DrawFn) -> Put:
    message = draw(messages())
    return Put(message, draw(VERSIONS), is_public_outbox(message.namespace))


@st.composite
def expires(draw: st.DrawFn) -> Expire:
    hashes = draw(HASHES)
    expiries = draw(st.tuples(*[EXPIRIES for _ in hashes]))
    return Expire(draw(ACCOUNTS), hashes, expiries, draw(st.sampled_from(ExpiryRule)), draw(VERSIONS))


OPERATIONS: st.SearchStrategy[Operation] = st.one_of(
    puts(),
    puts(),
    expires(),
    st.builds(Delete, ACCOUNTS, HASHES, VERSIONS),
    st.builds(DeleteWhere, ACCOUNTS, ANY_NAMESPACE, st.none() | TIMES, VERSIONS),
    st.builds(ExpireWhere, ACCOUNTS, ANY_NAMESPACE, EXPIRIES, VERSIONS),
    st.builds(Revoke, ACCOUNTS, TOKENS, st.booleans(), VERSIONS),
    st.builds(
        Retrieve,
        ACCOUNTS,
        NAMESPACES,
        st.none() | messages().map(lambda message: message.hash),
        st.none() | st.integers(1, 3),
        st.sampled_from([1, 150, 300, 10_000]),
    ),
    st.builds(Expiries, ACCOUNTS, HASHES),
    st.builds(IsRevoked, ACCOUNTS, st.integers(0, 5).map(lambda number: bytes([number]) * 36)),
    st.builds(NewestVersion, ACCOUNTS),
)


def with_versions_of_their_own(operations: list[Operation]) -> list[Any]:
    """Two changes of one version are what ``test_exchange`` is about; the model does not know the finer ranks."""
    own = count()
    return [
        replaced(operation, Version(NOW_MS + (operation.version - NOW_MS) * 1_000 + next(own)))
        if hasattr(operation, "version")
        else operation
        for operation in operations
    ]


def replaced(operation: Any, version: Version) -> Any:
    fields = {name: getattr(operation, name) for name in operation.__dataclass_fields__}
    return type(operation)(**{**fields, "version": version})


STEPS = st.lists(st.tuples(OPERATIONS, st.integers(0, 9)), max_size=30)


@given(STEPS)
@settings(max_examples=15, deadline=None)
def test_the_store_answers_as_the_model_does(steps: list[tuple[Operation, int]]) -> None:
    compare(steps)


@pytest.mark.slow
@pytest.mark.timeout(600)
@given(STEPS)
@settings(max_examples=1_000, deadline=None)
def test_the_store_answers_as_the_model_does_a_thousand_times(steps: list[tuple[Operation, int]]) -> None:
    compare(steps)


def compare(steps: list[tuple[Operation, int]]) -> None:
    model = ModelStore()
    operations = with_versions_of_their_own([operation for operation, _ in steps])
    now_ms = NOW_MS
    with InlineStore() as store:
        for operation, (_, minutes) in zip(operations, steps, strict=True):
            now_ms += minutes * MINUTE_MS // 4
            if isinstance(operation, Put) and operation.message.expiry_ms <= now_ms:
                continue  # the RPC refuses what has ended already
            expected, found = model.apply([operation], now_ms=now_ms), store.apply([operation], now_ms=now_ms)
            if isinstance(expected[0], VersionFound):
                # The store may know more: it also lets deletions reach what has ended and is not purged yet.
                assert isinstance(found[0], VersionFound)
                assert expected[0].version <= found[0].version
            else:
                assert expected == found

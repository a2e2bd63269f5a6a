"""Requests that our clients write are those that our relays read and accept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onionpath.crypto.identity import IdentityKey
from onionpath.errors import UsageError
from onionpath.swarm.authority import is_authorised
from onionpath.swarm.hashes import message_hash
from onionpath.swarm.operations import ExpiryRule
from onionpath.swarm.owner import GROUP, PERSON, Owner
from onionpath.swarm.requests import Asked, StorageRequest
from onionpath.swarm.rpc import read_request
from onionpath.swarm.signing import (
    delete_all_request,
    delete_request,
    encode_request,
    expire_request,
    retrieve_request,
    store_request,
)

NOW_MS = 1_795_318_536_524
OWNERS = [Owner(IdentityKey(bytes([7]) * 32), prefix=prefix) for prefix in (PERSON, GROUP)]

owners = st.sampled_from(OWNERS)
namespaces = st.integers(-(2**15), 2**15 - 1)
hashes = st.binary(max_size=8).map(lambda data: message_hash(OWNERS[0].account, 0, data))


def reread(request: StorageRequest) -> StorageRequest:
    read = read_request(encode_request(request))
    assert isinstance(read, Asked)
    return read.request


@given(owners, namespaces, st.binary(max_size=200), st.integers(10_000, 10**9))
def test_a_signed_store_is_read_as_it_was_written(
    owner: Owner, namespace: int, data: bytes, ttl: int
) -> None:
    request = store_request(owner, data, namespace=namespace, now_ms=NOW_MS, ttl_ms=ttl)

    assert request == reread(request)
    assert is_authorised(reread(request))


@given(owners, namespaces, st.none() | hashes, st.none() | st.integers(1, 10**6))
def test_a_retrieval_is_read_as_it_was_written(
    owner: Owner, namespace: int, after: str | None, size: int | None
) -> None:
    request = retrieve_request(owner, namespace=namespace, after=after, max_size=size, now_ms=NOW_MS)

    assert request == reread(request)
    assert is_authorised(reread(request))


@given(owners, st.lists(hashes, min_size=1, max_size=4, unique=True), st.sampled_from(ExpiryRule))
def test_deletions_and_expiries_are_read_as_they_were_written(
    owner: Owner, names: list[str], rule: ExpiryRule
) -> None:
    everything = (delete_all_request(owner, namespace=which, now_ms=NOW_MS) for which in (0, 2, None))
    for request in (delete_request(owner, names), expire_request(owner, names, NOW_MS, rule), *everything):
        assert request == reread(request)
        assert is_authorised(reread(request))


def test_anybody_stores_in_a_public_inbox_and_nowhere_else() -> None:
    account = OWNERS[0].account

    request = store_request(account, b"hello", now_ms=NOW_MS, ttl_ms=60_000)

    assert request.credentials is None
    assert request == reread(request)
    with pytest.raises(UsageError, match="only an account's owner stores in its namespace 2"):
        store_request(account, b"hello", namespace=2, now_ms=NOW_MS, ttl_ms=60_000)


def test_what_no_relay_would_take_is_not_written() -> None:
    with pytest.raises(UsageError, match="at most 76800 bytes"):
        store_request(OWNERS[0], bytes(76_801), now_ms=NOW_MS, ttl_ms=60_000)
    for names in ([], ["short"], ["A" * 43] * 10_001):
        with pytest.raises(UsageError, match="hashes of messages"):
            delete_request(OWNERS[0], names)
    with pytest.raises(UsageError, match="33 bytes"):
        store_request(OWNERS[0].account[:-1], b"", now_ms=NOW_MS, ttl_ms=60_000)  # type: ignore[arg-type]


def test_an_owner_shows_nothing_of_its_key() -> None:
    assert "<Owner>" == repr(OWNERS[0])

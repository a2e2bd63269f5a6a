"""Who may do what with an account: its key, subaccounts within their rights, at the right time, and nobody else."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.bindings import crypto_core_ed25519_add, crypto_core_ed25519_sub

from onionpath.crypto.identity import IdentityKey
from onionpath.swarm.hashes import message_hash
from onionpath.swarm.operations import AccountId
from tests.swarm.accounts import DAY_MS, GROUP, OTHER, PERSON, Json, Owner, Subkey, T, base64, several
from tests.swarm.members import Members, held

READ, WRITE, DELETE, ANY_PREFIX = 1, 2, 4, 8
HELLO = message_hash(AccountId(PERSON.account), 0, b"hello")
IN_GROUP = message_hash(AccountId(GROUP.account), 11, b"hello")
MINUTE_MS = 60_000


def swarm() -> Members:
    """Three members who hold a message for a person and one for a group."""
    members = Members.of(3)
    for request in (PERSON.store(), GROUP.signed_store(b"hello", 11)):
        assert 200 == members.ask(request, now_ms=T).status
    return members


def status(request: Json, *, now_ms: int = T) -> int:
    return swarm().ask(request, now_ms=now_ms).status


def refusal(request: Json, *, now_ms: int = T) -> tuple[int, str]:
    """Status and text of what must change nothing, alone or beside others in a batch."""
    members = swarm()
    before = held(members, now_ms=now_ms)
    reply = members.ask(request, now_ms=now_ms)
    within = members.json(several("batch", request), now_ms=now_ms)["results"]

    assert before == held(members, now_ms=now_ms)
    assert [{"code": reply.status, "body": reply.body.decode()}] == within
    return reply.status, reply.body.decode()


SIGNED: list[Json] = [
    PERSON.retrieve(),
    PERSON.get_expiries(HELLO),
    PERSON.delete(HELLO),
    PERSON.delete_all(),
    PERSON.delete_all("all"),
    PERSON.delete_before(),
    PERSON.expire([HELLO], T + DAY_MS + 1),
    PERSON.expire([HELLO], T, "shorten"),
    PERSON.expire_all(T),
    PERSON.revoke(bytes(36)),
    PERSON.signed_store(b"new", 2),
    GROUP.retrieve(11),
    GROUP.delete(IN_GROUP),
    GROUP.delete_all(11),
]
IDS = [f"{request['method']} {number}" for number, request in enumerate(SIGNED)]


@pytest.mark.parametrize("request_", SIGNED, ids=IDS)
def test_the_account_may_do_everything(request_: Json) -> None:
    assert 200 == status(request_)


@pytest.mark.parametrize("request_", SIGNED, ids=IDS)
def test_a_request_with_another_signature_is_refused_and_changes_nothing(request_: Json) -> None:
    """Of another request, another account, a flipped bit, nothing: all with one text for each method."""
    signature = request_["params"]["signature"]
    others = {request["params"]["signature"] for request in SIGNED} - {signature}
    flipped = base64(bytes([1]) + bytes(63))

    texts = {refusal(with_params(request_, signature=other)) for other in {*others, flipped}}

    assert [401] == [code for code, _ in texts]
    assert all(text.endswith("signature verification failed") for _, text in texts)


def with_params(request: Json, **changes: object) -> Json:
    return {**request, "params": {**request["params"], **changes}}


@pytest.mark.parametrize("request_", SIGNED, ids=IDS)
def test_what_is_signed_cannot_be_changed(request_: Json) -> None:
    changes: list[Json] = [
        {"namespace": 3},
        {"timestamp": T - 1},
        {"sig_timestamp": T - 1},
        {"before": T - 1},
        {"expiry": T + 2},
        {"messages": [HELLO, IN_GROUP]},
        {"shorten": True, "extend": False},
        {"extend": True, "shorten": False},
        {"revoke": ["A" * 48, "A" * 48]},
    ]
    params = request_["params"]
    of_this = [each for each in changes if any(params.get(name, False) != each[name] for name in each)]
    of_this = [each for each in of_this if each.keys() & (params.keys() | {"namespace"})]

    accepted = [each for each in of_this if status(with_params(request_, **each)) == 200]

    # A namespace is no part of these.
    assert [{"namespace": 3}][
        : request_["method"] in {"delete", "expire", "get_expiries", "revoke_subaccount"}
    ] == accepted


def test_a_signature_holds_for_no_other_account() -> None:
    for request in SIGNED:
        for owner in (OTHER, GROUP, PERSON):
            if owner.account.hex() != request["params"]["pubkey"]:
                params = {
                    name: value for name, value in request["params"].items() if name != "pubkey_ed25519"
                }
                code = status({**request, "params": {**params, **owner.who()}})
                assert 401 == code, request["method"]


def test_a_person_signs_with_the_key_that_converts_to_the_account() -> None:
    request = PERSON.retrieve()
    del request["params"]["pubkey_ed25519"]
    assert 401 == refusal(request)[0]

    assert 401 == refusal(with_params(PERSON.retrieve(), pubkey_ed25519=OTHER.key.public.hex()))[0]


def test_a_key_of_small_order_signs_nothing() -> None:
    """Such a key, with a signature of the same kind, would agree to every text."""
    small = (1).to_bytes(32, "little")
    signature = base64(small + bytes(32))
    request = {
        "method": "delete_all",
        "params": {"pubkey": "03" + small.hex(), "timestamp": T, "signature": signature},
    }

    assert 401 == refusal(request)[0]


def test_a_key_outside_of_the_large_subgroup_signs_nothing() -> None:
    order_two = (2**255 - 20).to_bytes(32, "little")
    torsion = crypto_core_ed25519_add(PERSON.key.public, order_two)
    assert PERSON.key.public == crypto_core_ed25519_sub(torsion, order_two)

    assert 401 == refusal(with_params(PERSON.retrieve(), pubkey_ed25519=torsion.hex()))[0]


TIMES = [
    (PERSON.retrieve(), MINUTE_MS, 406),
    (PERSON.get_expiries(HELLO), MINUTE_MS, 406),
    (PERSON.delete_all(), MINUTE_MS, 406),
    (PERSON.revoke(bytes(36)), MINUTE_MS, 406),
    (PERSON.signed_store(b"new", 2), MINUTE_MS, 406),
]


@pytest.mark.parametrize(("request_", "most_ms", "code"), TIMES, ids=[each[0]["method"] for each in TIMES])
def test_a_signed_time_holds_for_a_minute(request_: Json, most_ms: int, code: int) -> None:
    assert [code, 200, code] == [
        status(request_, now_ms=T + late) for late in (most_ms + 1, most_ms, most_ms + 1)
    ]
    assert code == refusal(request_, now_ms=T + most_ms + 1)[0]


@pytest.mark.parametrize("early_ms", [MINUTE_MS, MINUTE_MS + 1])
def test_a_signed_time_may_be_a_minute_ahead(early_ms: int) -> None:
    requests = [PERSON.retrieve(), PERSON.get_expiries(HELLO), PERSON.delete_all(), PERSON.delete_before()]
    code = {request["method"]: Members.of(1).ask(request, now_ms=T - early_ms).status for request in requests}

    late = early_ms > MINUTE_MS
    assert (
        {"retrieve": 406, "get_expiries": 406, "delete_all": 406, "delete_before": 401} == code
        if late
        else {200} == set(code.values())
    )


def test_an_expiry_that_has_passed_is_refused() -> None:
    assert (401, "expire: timestamp should be >= current time") == refusal(
        PERSON.expire([HELLO], T - MINUTE_MS - 1)
    )
    assert (406, "expire_all timestamp should be >= current time") == refusal(
        PERSON.expire_all(T - MINUTE_MS - 1)
    )
    assert 401 == refusal(PERSON.expire([HELLO, IN_GROUP], [T, T - MINUTE_MS - 1]))[0]


# Subaccounts.

NEEDS = [
    (READ, lambda by: GROUP.retrieve(11, by=by)),
    (READ, lambda by: GROUP.get_expiries(IN_GROUP, by=by)),
    (WRITE, lambda by: GROUP.signed_store(b"new", 11, by=by)),
    (WRITE, lambda by: GROUP.expire([IN_GROUP], T + 2 * DAY_MS, "extend", by=by)),
    (WRITE | DELETE, lambda by: GROUP.signed_store(b"new", -1, by=by)),
    (DELETE, lambda by: GROUP.delete(IN_GROUP, by=by)),
    (DELETE, lambda by: GROUP.delete_all(11, by=by)),
]


@pytest.mark.parametrize("number", range(len(NEEDS)))
def test_a_subaccount_may_do_what_its_rights_say_and_nothing_else(number: int) -> None:
    needed, request = NEEDS[number]

    allowed = [rights for rights in range(16) if status(request(GROUP.subkey(rights))) == 200]

    assert [rights for rights in range(16) if rights & needed == needed] == allowed


@pytest.mark.parametrize(
    "subkey",
    [
        GROUP.subkey(16 | READ),
        GROUP.subkey(255),
        GROUP.subkey(READ, zeros=b"\0\1"),
        GROUP.subkey(READ, prefix=5),
        replace(GROUP.subkey(READ), signature=bytes(64)),
        replace(GROUP.subkey(READ), signature=OTHER.subkey(READ).signature),
        replace(GROUP.subkey(READ), key=OTHER.key),
        replace(GROUP.subkey(READ), token=GROUP.subkey(READ | WRITE).token),
    ],
    ids=[
        "unknown right",
        "all rights",
        "zeros set",
        "prefix",
        "unsigned",
        "other owner",
        "other key",
        "more rights",
    ],
)
def test_a_token_that_the_account_has_not_signed_so_is_refused(subkey: Subkey) -> None:
    assert (401, "retrieve signature verification failed") == refusal(GROUP.retrieve(11, by=subkey))


def test_a_token_for_any_prefix_holds_for_accounts_of_another_kind() -> None:
    assert 200 == status(GROUP.retrieve(11, by=GROUP.subkey(READ | ANY_PREFIX, prefix=5)))


def test_a_subaccount_revokes_nothing() -> None:
    """The token is not even read, and the signature is another's."""
    assert 401 == refusal(GROUP.revoke(bytes(36), by=GROUP.subkey(15)))[0]


def test_a_revoked_subaccount_is_refused_except_where_it_may_read_why() -> None:
    members, subkey = swarm(), GROUP.subkey(15)
    assert 200 == members.ask(GROUP.revoke(subkey.token), now_ms=T).status

    codes = {
        request["params"].get("namespace", request["method"]): members.ask(request, now_ms=T).status
        for request in (
            GROUP.retrieve(11, by=subkey),
            GROUP.retrieve(-11, by=subkey),
            GROUP.delete(IN_GROUP, by=subkey),
            GROUP.signed_store(b"new", 13, by=subkey),
        )
    }

    assert {11: 401, -11: 200, "delete": 401, 13: 401} == codes


def test_a_subaccount_that_may_not_delete_only_lets_messages_live_longer() -> None:
    members, writer = swarm(), GROUP.subkey(READ | WRITE)
    expiry = members.json(GROUP.get_expiries(IN_GROUP), now_ms=T)["expiries"][IN_GROUP]

    shortened = members.json(GROUP.expire([IN_GROUP], T, by=writer), now_ms=T)

    assert {"updated": [], "expiry": T} == {
        name: value for name, value in next(iter(shortened["swarm"].values())).items() if name != "signature"
    }
    assert {IN_GROUP: expiry} == members.json(GROUP.get_expiries(IN_GROUP), now_ms=T)["expiries"]
    assert 400 == refusal(GROUP.expire([IN_GROUP], T, "shorten", by=writer))[0]


# Namespaces.


@given(st.integers(-(2**15), 2**15 - 1))
def test_anybody_stores_only_into_namespaces_divisible_by_ten(namespace: int) -> None:
    code = Members.of(1).ask(PERSON.store(namespace=namespace), now_ms=T).status

    assert code == (200 if namespace % 10 == 0 else 401)


@given(st.integers(-(2**15), 2**15 - 1))
def test_anybody_retrieves_only_from_outboxes_and_old_groups(namespace: int) -> None:
    params = {"pubkey": PERSON.account.hex(), "namespace": namespace}
    code = Members.of(1).ask({"method": "retrieve", "params": params}, now_ms=T).status

    is_open = namespace == -10 or namespace in range(-1, -(2**15) - 1, -20)
    assert code == (200 if is_open else 400)


@pytest.mark.parametrize(
    ("namespace", "ttl_days", "code"), [(0, 14, 200), (0, 14.001, 403), (2, 30, 200), (2, 30.001, 403)]
)
def test_a_message_lives_two_weeks_in_an_inbox_and_thirty_days_elsewhere(
    namespace: int, ttl_days: float, code: int
) -> None:
    request = PERSON.signed_store(b"new", namespace)

    assert code == status(with_params(request, ttl=int(ttl_days * DAY_MS)))


@pytest.mark.parametrize(
    ("timestamp", "ttl", "code"),
    [
        (T + 10_000, 10_000, 200),
        (T + 10_001, 10_000, 406),
        (T - 20_000, 10_000, 200),
        (T - 20_001, 10_000, 406),
        (T, 9_999, 403),
        (0, DAY_MS, 406),
        (2**53 - 1, DAY_MS, 406),
        (0, 2**53 - 1, 403),
    ],
)
def test_a_message_is_of_now(timestamp: int, ttl: int, code: int) -> None:
    assert code == status(PERSON.store(timestamp=timestamp, ttl=ttl))


def test_who_does_not_store_for_an_account_says_so_before_anything_else() -> None:
    """So that nobody is told whether the account exists, or whether a signature was right."""
    members = Members.of(1)
    members.is_ours = False
    wrong = [with_params(request, signature=base64(bytes(64))) for request in SIGNED]

    replies = {
        members.ask(request, now_ms=T)
        for request in [*wrong, *SIGNED]
        if request["params"]["pubkey"] == PERSON.account.hex()
    }

    assert [421] == [reply.status for reply in replies]


def test_an_account_without_messages_and_one_that_nobody_knows_look_alike() -> None:
    emptied, unknown = swarm(), Members.of(3)
    emptied.ask(PERSON.delete(HELLO), now_ms=T)

    assert unknown.ask(PERSON.retrieve(), now_ms=T) == emptied.ask(PERSON.retrieve(), now_ms=T)


def test_a_key_of_another_kind_of_account_is_its_own_signing_key() -> None:
    blinded = Owner(IdentityKey(bytes(range(32))), is_group=True)
    account = "15" + blinded.key.public.hex()
    request = blinded.retrieve()

    assert 200 == status(with_params(request, pubkey=account))

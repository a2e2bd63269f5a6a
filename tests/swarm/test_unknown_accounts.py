"""No reply tells whether an account exists, to whom it does not belong, nor to a member of another swarm."""

from __future__ import annotations

import pytest

from tests.swarm.accounts import DAY_MS, OTHER, PERSON, Json, Owner, T
from tests.swarm.members import Members

STRANGER = Owner.named("stranger")
NOBODY = "A" * 43


def forged(request: Json) -> Json:
    """The same with a signature by somebody else."""
    theirs = STRANGER.retrieve()["params"]["signature"]
    return {**request, "params": {**request["params"], "signature": theirs}}


def requests_of(owner: Owner) -> dict[str, Json]:
    """What may be asked about an account without changing it, and what would change something if it were signed."""
    return {
        "retrieve": owner.retrieve(),
        "another namespace": owner.retrieve(2),
        "open to all": {"method": "retrieve", "params": {"pubkey": owner.account.hex(), "namespace": -10}},
        "expiries": owner.get_expiries(NOBODY),
        "delete": owner.delete(NOBODY),
        "delete all": owner.delete_all(),
        "expire": owner.expire([NOBODY], T + DAY_MS),
    }


@pytest.mark.parametrize("name", requests_of(PERSON))
def test_who_asks_with_a_wrong_signature_learns_nothing(name: str) -> None:
    members = Members()
    members.json(PERSON.store(), now_ms=T)

    known, unknown = (members.ask(forged(requests_of(each)[name]), now_ms=T) for each in (PERSON, OTHER))

    assert known.status == unknown.status
    assert known.body == unknown.body


@pytest.mark.parametrize("name", ["another namespace", "open to all"])
def test_nothing_for_you_is_what_an_account_without_messages_gets(name: str) -> None:
    """Whoever reads the sealed reply's length cannot tell either."""
    members = Members()
    members.json(PERSON.store(), now_ms=T)

    known, unknown = (members.ask(requests_of(each)[name], now_ms=T) for each in (PERSON, OTHER))

    assert known == unknown
    assert 200 == known.status


@pytest.mark.parametrize("name", requests_of(PERSON))
def test_a_member_of_another_swarm_says_the_same_of_all_accounts(name: str) -> None:
    members = Members(is_ours=False)
    known, unknown = (members.ask(requests_of(each)[name], now_ms=T) for each in (PERSON, OTHER))

    assert (421, known) == (unknown.status, unknown)

"""What clients ask of a swarm, and what its members pass on and say, as functions for ``targets``."""

from __future__ import annotations

import json
from functools import cache

from onionpath.errors import MalformedError
from onionpath.onion.session_bencode import decode_dict, encode_dict
from onionpath.swarm.forwarding import decode_forwarded, forward, plan_forwarded
from onionpath.swarm.operations import Deleted, Stored, Version
from onionpath.swarm.parts import Failed, decode_part, encode_part
from onionpath.swarm.plans import Write
from onionpath.swarm.rpc import read_request
from tests.swarm.accounts import DAY_MS, GROUP, PERSON, Json, T, several
from tests.swarm.members import Members, write_of

VERSION = Version(T)
HASH = "a" * 42 + "A"


@cache
def _members() -> Members:
    return Members.of(1)


@cache
def _writes() -> tuple[Write, Write]:
    return write_of(PERSON.store(), now_ms=T), write_of(PERSON.delete_all("all"), now_ms=T)


def request(data: bytes) -> None:
    """Anybody's: it is read as a whole, and whatever it is, it gets a reply."""
    read_request(data)
    if _members().ask(data, now_ms=T).status not in {200, 400, 401, 403, 404, 406}:
        raise AssertionError("a request gets a status that the page doesn't know")


def forwarded(data: bytes) -> None:
    """What a dishonest member could pass on."""
    read = decode_forwarded(data)
    plan = plan_forwarded(read, now_ms=T)
    if not isinstance(plan, Write):
        return
    again = decode_forwarded(forward(plan, read.version))
    if plan_forwarded(again, now_ms=T) != plan:
        raise AssertionError("a change that was passed on changes when it is passed on again")


def part(data: bytes) -> None:
    """What a dishonest member could say."""
    for write in _writes():
        said = decode_part(data, write.request)
        if said is not Failed.BAD_REPLY:
            if decode_part(encode_part(said), write.request) != said:
                raise AssertionError("what a member says changes when it is written")
            return
    raise MalformedError("no member says this")


def inputs() -> dict[str, dict[str, bytes]]:
    """The corpus of these targets."""
    condition = {"hf_at_least": [19, 3], "height_before": 5}
    forwarded = forward(_writes()[1], VERSION)
    fields = decode_dict(forwarded, at_most=4)
    store, delete = _writes()
    key = _members().all[0].key
    stored = encode_part(store.part(Stored(True, T, VERSION), key))
    deleted = encode_part(delete.part(Deleted({0: (HASH,), -21: ()}), key))
    return {
        "storage-request": {
            "good-store": _json(PERSON.store(timestamp=str(T))),
            "good-store-signed": _json(GROUP.signed_store(b"data", 11, by=GROUP.subkey(15))),
            "good-retrieve": _json(PERSON.retrieve(max_size=-2, last_hash=HASH)),
            "good-expire": _json(PERSON.expire([HASH, HASH], [T, T], "extend")),
            "good-delete": _json(PERSON.delete(HASH, required=True)),
            "good-delete-before": _json(PERSON.delete_before()),
            "good-expire-all": _json(PERSON.expire_all(T + DAY_MS, "all")),
            "good-revoke": _json(GROUP.revoke(bytes(36))),
            "good-sequence": _json(several("sequence", PERSON.delete_all(), PERSON.get_expiries(HASH))),
            "good-ifelse": _json(
                {
                    "method": "ifelse",
                    "params": {"if": condition, "then": PERSON.store(), "else": PERSON.retrieve()},
                }
            ),
            "bad-fraction": _json(PERSON.store(ttl=1.5)),
            "bad-alias": _json(PERSON.store(pubKey=PERSON.account.hex())),
            "bad-nested": _json(several("batch", several("batch", PERSON.store()))),
            "bad-brackets": b'{"method":"store","params":{"data":' + b"[" * 5000,
        },
        "storage-forwarded": {
            "good": forwarded,
            "good-store": forward(store, VERSION),
            "good-but-unsigned": encode_dict({**fields, b"m": b"delete_before", b"p": _before()}),
            "bad-question": encode_dict({**fields, b"m": b"retrieve"}),
            "bad-batch": encode_dict({**fields, b"m": b"batch"}),
            "bad-version": encode_dict({**fields, b"v": -1}),
            "bad-fields": encode_dict({**fields, b"p": b"{}"}),
        },
        "storage-part": {
            "good-stored": stored,
            "good-deleted": deleted,
            "good-failed": encode_part(Failed.TIMEOUT),
            "bad-hash": stored.replace(b'"hash":"', b'"hash":"%'),
            "bad-signature": stored.replace(b'=="', b'="'),
            "bad-list": b"[" + stored + b"]",
            "bad-failed": b"failed",
            "bad-nested": b'{"deleted":' + b'{"":' * 3000,
            "bad-half-a-pair": deleted.replace(b'"0":', b'"\\ud800":'),
        },
    }


def _before() -> bytes:
    """Its signature is of another time."""
    params = PERSON.delete_before()["params"]
    return _json({**params, "before": T - 1})


def _json(value: Json) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()

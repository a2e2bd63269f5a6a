import base64
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onionpath.crypto.identity import RelayId
from onionpath.directory.address import Address
from onionpath.directory.descriptor import (
    PAYLOAD_TYPE,
    PacketKey,
    parse_descriptor,
    sign_descriptor,
    verify_descriptor,
)
from onionpath.directory.envelope import open_self_signed, sign
from onionpath.errors import (
    MalformedError,
    OnionPathError,
    SignatureThresholdError,
    StaleDirectoryError,
    UsageError,
)
from onionpath.injected import UnixTime
from tests.directory.networks import EPOCH_S, NOW, bytes_of, descriptor, door, identity, packet_key

KEY = identity(1)
ENVELOPE = sign_descriptor(descriptor(1), KEY)
EPOCH = int(NOW // EPOCH_S)


def test_a_descriptor_survives_signing_and_verifying() -> None:
    ours = descriptor(
        1,
        addresses=(Address("1.2.3.4", 1), Address("2a00::1", 65_535)),
        family=(
            min(identity(2).relay_id, identity(3).relay_id),
            max(identity(2).relay_id, identity(3).relay_id),
        ),
        exit_policy=("accept *:443",),
    )

    assert ours == verify_descriptor(sign_descriptor(ours, KEY), now=NOW)


def test_a_session_door_survives_signing_and_verifying() -> None:
    ours = descriptor(1, session=door(1))

    assert ours == verify_descriptor(sign_descriptor(ours, KEY), now=NOW)
    assert Address("20.1.0.1", 22_021) == ours.session_address


def test_a_session_door_is_at_the_first_ipv4_address() -> None:
    both = (Address("2a00::1", 443), Address("1.2.3.4", 443), Address("5.6.7.8", 443))

    assert Address("1.2.3.4", 22_021) == descriptor(1, addresses=both, session=door(1)).session_address
    assert descriptor(1).session_address is None


@pytest.mark.parametrize(
    "changes",
    [
        {"addresses": (Address("2a00::1", 443),), "session": door(1)},
        {"session": replace(door(1), port=443)},
        {"session": replace(door(1), certificate_hash=bytes_of("link", 1))},
    ],
    ids=["no-ipv4", "port-of-the-relay", "certificate-of-the-links"],
)
def test_a_session_door_that_cannot_be_one_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(MalformedError):
        descriptor(1, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("changes", [{"port": 0}, {"port": 65_536}, {"certificate_hash": bytes(31)}], ids=str)
def test_a_session_door_with_one_illegal_value_cannot_exist(changes: dict[str, Any]) -> None:
    with pytest.raises(MalformedError):
        replace(door(1), **changes)


@pytest.mark.parametrize("key", [bytes(32), b"\1" + bytes(31), b"\xff" * 32, bytes(31)], ids=bytes.hex)
def test_a_session_key_that_protects_nothing_is_refused(key: bytes) -> None:
    """Of small order, a second spelling, or too short: a relay signs whatever it likes."""
    payload = _payload(sign_descriptor(descriptor(1, session=door(1)), KEY))
    ours, theirs = (base64.b64encode(each) for each in (door(1).key.encoded, key))
    assert ours in payload

    with pytest.raises(MalformedError):
        parse_descriptor(sign(PAYLOAD_TYPE, payload.replace(ours, theirs), [KEY]))


def test_a_descriptor_says_that_it_has_no_session_door() -> None:
    """Otherwise there would be two forms of one descriptor."""
    payload = _payload(ENVELOPE)
    assert payload.endswith(b',"session":null}')

    with pytest.raises(MalformedError):
        parse_descriptor(sign(PAYLOAD_TYPE, payload.replace(b',"session":null', b""), [KEY]))


def _payload(envelope: bytes) -> bytes:
    return open_self_signed(envelope, payload_type=PAYLOAD_TYPE, max_size=len(envelope))[1]


def test_a_descriptor_signed_by_another_relay_is_refused() -> None:
    """Otherwise anybody could publish keys of his own under a name that others trust."""
    with pytest.raises(MalformedError, match="another key"):
        parse_descriptor(sign_descriptor(descriptor(1), identity(2)))


def test_a_descriptor_with_a_changed_byte_is_refused() -> None:
    with pytest.raises(OnionPathError):
        parse_descriptor(ENVELOPE.replace(KEY.public.hex().encode(), identity(2).public.hex().encode()))


def test_the_signature_of_another_type_does_not_make_a_descriptor() -> None:
    with pytest.raises(MalformedError):
        parse_descriptor(sign("application/vnd.onionpath.document.v1+json", b"{}", [KEY]))


@pytest.mark.parametrize(
    ("why", "now"),
    [
        ("s old", NOW + 24 * 3_600 + 1),
        ("future", NOW - 5 * 60 - 1),
        ("no packet key", NOW + 2 * EPOCH_S),
    ],
)
def test_a_descriptor_that_is_not_of_the_present_is_refused(why: str, now: float) -> None:
    with pytest.raises(StaleDirectoryError, match=why):
        verify_descriptor(ENVELOPE, now=UnixTime(now))


@pytest.mark.parametrize(
    "host", ["example.org", "127.1", "010.0.0.1", "::0:1", "2A00::1", "::ffff:1.2.3.4", "fe80::1%2", ""]
)
def test_a_host_that_is_no_canonical_address_is_refused(host: str) -> None:
    with pytest.raises(MalformedError):
        Address(host, 443)


@pytest.mark.parametrize("port", [0, -1, 65_536])
def test_a_port_out_of_range_is_refused(port: int) -> None:
    with pytest.raises(MalformedError):
        Address("1.2.3.4", port)


FIRST, SECOND = packet_key(1, EPOCH), packet_key(1, EPOCH + 1)


@pytest.mark.parametrize(
    "changes",
    [
        {"addresses": ()},
        {"addresses": (Address("1.2.3.4", 1),) * 2},
        {"addresses": tuple(Address("1.2.3.4", port) for port in range(1, 6))},
        {"link_key_hash": bytes(31)},
        {"network_id": bytes(33)},
        {"packet_keys": ()},
        {"packet_keys": (SECOND, FIRST)},
        {"packet_keys": (FIRST, FIRST)},
        {"packet_keys": (FIRST, replace(SECOND, public=FIRST.public))},
        {"packet_keys": (FIRST, replace(SECOND, valid_from=UnixTime(FIRST.valid_until - 1)))},
        {"packet_keys": (FIRST, replace(SECOND, epoch=EPOCH + 256))},
        {"packet_keys": tuple(packet_key(1, EPOCH + n) for n in range(4))},
        {"family": (identity(1).relay_id,)},
        {"family": tuple(sorted((identity(2).relay_id, identity(3).relay_id), reverse=True))},
        {"family": (RelayId(bytes(32)),)},
        {"services": (2, 1)},
        {"services": (0,)},
        {"services": (65_536,)},
        {"exit_policy": ("",)},
        {"exit_policy": ("accept *:1",) * 257},
        {"exit_policy": ("accept\n*:1",)},
        {"version": ""},
        {"version": 'a"b'},
        {"relay_id": RelayId(bytes(32))},
    ],
    ids=str,
)
def test_a_descriptor_with_one_illegal_value_cannot_exist(changes: dict[str, object]) -> None:
    with pytest.raises(MalformedError):
        descriptor(1, **changes)  # type: ignore[arg-type]


def test_a_packet_key_lasts_no_longer_than_two_days() -> None:
    with pytest.raises(MalformedError):
        PacketKey(0, UnixTime(0), UnixTime(2 * 86_400 + 1), FIRST.public)


def test_the_packet_key_of_a_time_is_the_one_whose_epoch_it_is() -> None:
    relay = descriptor(1)

    assert FIRST == relay.packet_key(NOW)
    assert FIRST == relay.packet_key(UnixTime(FIRST.valid_until - 0.001))
    assert SECOND == relay.packet_key(FIRST.valid_until)
    assert relay.packet_key(SECOND.valid_until) is None
    assert relay.packet_key(UnixTime(FIRST.valid_from - 1)) is None


def test_a_generation_is_the_epoch_in_one_byte() -> None:
    assert 3 == packet_key(1, 256 * 7 + 3).generation


@given(st.binary(max_size=300))
def test_arbitrary_bytes_raise_nothing_but_our_errors(data: bytes) -> None:
    with pytest.raises(OnionPathError):
        parse_descriptor(data)


@given(st.binary(max_size=300))
def test_arbitrary_signed_bytes_raise_nothing_but_our_errors(data: bytes) -> None:
    """A relay signs whatever it likes, so a valid signature proves no form."""
    with pytest.raises(MalformedError):
        parse_descriptor(sign(PAYLOAD_TYPE, data, [KEY]))


@given(st.data())
def test_a_descriptor_with_any_byte_changed_is_refused(data: st.DataObject) -> None:
    envelope = bytearray(ENVELOPE)
    position = data.draw(st.integers(0, len(envelope) - 1))
    envelope[position] ^= data.draw(st.integers(1, 255))

    with pytest.raises((MalformedError, SignatureThresholdError)):
        parse_descriptor(bytes(envelope))


def test_a_descriptor_that_nobody_would_accept_is_not_signed() -> None:
    rules = tuple(f"accept [2001:db8:aaaa:bbbb:cccc:dddd:eeee:{n:x}/128]:{n + 1}" for n in range(256))

    with pytest.raises(UsageError, match="bytes"):
        sign_descriptor(descriptor(1, exit_policy=rules), KEY)

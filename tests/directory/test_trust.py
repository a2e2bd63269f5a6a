from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onionpath.directory.parameters import Parameters
from onionpath.directory.trust import Authority, TrustRoot
from onionpath.errors import MalformedError, OnionPathError
from tests.directory.networks import NETWORK_ID, root


def test_a_trust_root_survives_its_file() -> None:
    assert root(5, 3) == TrustRoot.decode(root(5, 3).encode())


def test_the_parameters_stand_in_the_file() -> None:
    ours = replace(root(), parameters=Parameters(hops=2, distinct_subnets=False))

    assert ours == TrustRoot.decode(ours.encode())


def test_the_layout_of_the_file_is_free() -> None:
    assert root() == TrustRoot.decode(b"\n\t " + root().encode().replace(b"\n", b"\r\n\n"))


@pytest.mark.parametrize(
    ("authorities", "threshold"), [(1, 0), (1, 2), (2, 1), (4, 2), (5, 2), (3, 4), (33, 17)]
)
def test_a_threshold_that_is_no_majority_is_refused(authorities: int, threshold: int) -> None:
    """With half of the authorities or fewer, two disjoint sets could sign two truths."""
    with pytest.raises(MalformedError):
        root(authorities, threshold)


def test_a_root_without_authorities_is_refused() -> None:
    with pytest.raises(MalformedError):
        TrustRoot(NETWORK_ID, "test", (), 1)


@pytest.mark.parametrize("same", ["identity", "address", "link_key_hash"])
def test_two_authorities_that_share_something_are_refused(same: str) -> None:
    one, two = root(2, 2).authorities
    values = {
        name: getattr(one if name == same else two, name) for name in ("identity", "address", "link_key_hash")
    }

    with pytest.raises(MalformedError, match="two authorities"):
        TrustRoot(NETWORK_ID, "test", (one, Authority(**values)), 2)


@pytest.mark.parametrize(
    ("defect", "old", "new"),
    [
        ("an unknown key", b'"name"', b'"extra": 1, "name"'),
        ("a repeated key", b'"name"', b'"name": "test", "name"'),
        ("capitals", NETWORK_ID.hex().encode(), NETWORK_ID.hex().upper().encode()),
        ("no hexadecimal", NETWORK_ID.hex().encode(), b"z" * 64),
        ("a second value", b"\n}\n", b"\n}\n{}"),
        ("a threshold of 0", b'"threshold": 1', b'"threshold": 0'),
        ("a threshold with a point", b'"threshold": 1', b'"threshold": 1.0'),
    ],
)
def test_a_file_with_one_defect_is_refused(defect: str, old: bytes, new: bytes) -> None:
    assert old in root().encode()

    with pytest.raises(MalformedError):
        TrustRoot.decode(root().encode().replace(old, new))


@given(st.binary(max_size=200) | st.text(alphabet='[]{}",:1 ', max_size=60).map(str.encode))
def test_arbitrary_bytes_raise_nothing_but_our_errors(data: bytes) -> None:
    with pytest.raises(OnionPathError):
        TrustRoot.decode(data)


def test_deeply_nested_json_is_malformed_and_not_a_crash() -> None:
    with pytest.raises(MalformedError):
        TrustRoot.decode(b"[" * 60_000)

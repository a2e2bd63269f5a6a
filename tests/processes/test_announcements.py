"""What a local network says before its first process starts."""

from __future__ import annotations

import pytest

from simulations.local.network import LocalNetwork


class HeardError(Exception):
    """Ends the start at its first line."""


def hear(line: str) -> None:
    raise HeardError(line)


@pytest.mark.parametrize(("authorities", "said"), [(1, "1 authority"), (3, "3 authorities")])
def test_authorities_are_counted_in_plain_words(authorities: int, said: str) -> None:
    with pytest.raises(HeardError, match=f"^starting {said}, 4 relays and their state in "):
        LocalNetwork(relays=4, authorities=authorities, tell=hear).__enter__()

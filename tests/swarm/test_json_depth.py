"""How deep JSON nests is found before a parser sees it, whatever its strings hold."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onionpath.errors import MalformedError
from onionpath.swarm.json_depth import check_depth

TEXTS = st.text(alphabet='"\\[]{}a,:\n', max_size=6)
VALUES: st.SearchStrategy[object] = st.recursive(
    TEXTS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=8
)


def depth_of(value: object) -> int:
    match value:
        case list():
            return 1 + max(map(depth_of, value), default=0)
        case dict():
            return 1 + max(map(depth_of, value.values()), default=0)
    return 0


@given(VALUES)
def test_the_depth_of_every_value_is_found(value: object) -> None:
    text, depth = json.dumps(value).encode(), depth_of(value)

    check_depth(text, most=depth)
    if depth:
        with pytest.raises(MalformedError):
            check_depth(text, most=depth - 1)


@pytest.mark.parametrize("text", [b'"[[', b'["[', rb'["\\\"[', rb'["\\","["]', b"[]" * 9])
def test_brackets_in_a_string_that_does_not_end_or_side_by_side_are_not_deep(text: bytes) -> None:
    check_depth(text, most=1)

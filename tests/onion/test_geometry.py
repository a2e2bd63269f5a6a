"""Sizes: one legal length for each class, depth and direction, and the table of the specification."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onionpath.errors import UsageError
from onionpath.onion.geometry import Geometry, SizeClass

SMALL, LARGE = SizeClass.SMALL, SizeClass.LARGE


@pytest.mark.parametrize(
    ("hops", "capacities"),
    [
        (2, (5_744, 8_080, 128_624, 130_960)),
        (3, (4_528, 8_032, 127_408, 130_912)),
        (4, (3_312, 7_984, 126_192, 130_864)),
        (5, (2_096, 7_936, 124_976, 130_816)),
    ],
)
def test_the_capacities_are_those_of_the_specification(hops: int, capacities: tuple[int, ...]) -> None:
    sizes, last = Geometry(hops), hops - 1

    assert last == sizes.last_depth
    assert capacities == (
        sizes.request_capacity(SMALL, last),
        sizes.reply_capacity(SMALL, last),
        sizes.request_capacity(LARGE, last),
        sizes.reply_capacity(LARGE, last),
    )


@given(hops=st.integers(2, 5), depth=st.integers(0, 4), size_class=st.sampled_from(SizeClass))
def test_what_a_layer_lacks_is_what_the_removed_layers_had(
    hops: int, depth: int, size_class: SizeClass
) -> None:
    sizes, depth = Geometry(hops), min(depth, hops)
    frame = sizes.frame_size(size_class)

    assert frame == 16 + sizes.request_layer_size(size_class, depth) + 1216 * depth
    assert frame == 16 + sizes.reply_layer_size(size_class, depth) + 48 * depth


@pytest.mark.parametrize("hops", [-1, 0, 1, 6, 255])
def test_other_numbers_of_hops_are_refused(hops: int) -> None:
    with pytest.raises(UsageError):
        Geometry(hops)


@pytest.mark.parametrize(("small", "large"), [(8192, 8192), (8193, 8192), (0, 8192), (16 + 1216 * 3, 8192)])
def test_classes_that_are_equal_or_too_small_for_a_body_are_refused(small: int, large: int) -> None:
    with pytest.raises(UsageError):
        Geometry(3, small, large)


def test_the_smallest_frame_carries_one_byte() -> None:
    assert 1 == Geometry(3, 16 + 1216 * 3 + 1, 8192).request_capacity(SMALL, 2)

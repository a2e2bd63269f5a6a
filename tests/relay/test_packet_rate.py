"""The token bucket against a model that is too simple to be wrong."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from onionpath.injected import UnixTime
from relay.packet_rate import PacketRate

NOW = 1_800_000_000.0


@given(
    st.floats(0.05, 5_000),
    st.integers(1, 50),
    st.lists(st.floats(0, 3), max_size=200),
)
def test_no_more_packets_pass_than_the_rate_and_the_burst_allow(
    per_second: float, burst: int, gaps: list[float]
) -> None:
    now = UnixTime(NOW)
    rate = PacketRate.full(per_second, burst, now)
    taken = 0
    for gap in gaps:
        now = UnixTime(now + gap)
        taken += rate.take(now)
        assert taken <= burst + (now - NOW) * per_second + 0.01


@given(st.floats(0.05, 5_000), st.integers(1, 3), st.floats(0, 1e6))
def test_a_packet_can_be_drawn_at_the_time_that_was_named(
    per_second: float, burst: int, offset: float
) -> None:
    """A driver that waits exactly so long would otherwise wait again, and in virtual time for ever."""
    now = UnixTime(NOW + offset)
    rate = PacketRate.full(per_second, burst, now)
    for _ in range(20):
        while rate.take(now):
            pass
        now = rate.next_at()
        assert rate.take(now)


def test_the_burst_is_there_at_once_and_not_twice() -> None:
    rate = PacketRate.full(1, 3, UnixTime(NOW))

    assert [True, True, True, False] == [rate.take(UnixTime(NOW)) for _ in range(4)]
    assert [True, True, True, False] == [rate.take(UnixTime(NOW + 1000)) for _ in range(4)]

import hashlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onionpath.crypto.identity import RelayId
from onionpath.errors import Edge
from onionpath.injected import UnixTime
from onionpath.path.blame import (
    MAX_EDGES,
    MAX_QUARANTINE_S,
    MAX_RELAYS,
    Avoided,
    Blame,
    RelayEdge,
    relay_edge,
)

START = UnixTime(1_000_000.0)
MINUTE_S = 60.0
HOUR_S = 3_600.0


def relay(name: str) -> RelayId:
    return RelayId(hashlib.sha256(name.encode()).digest())


def edge(names: str) -> RelayEdge:
    """``"guard middle"``: the first speaks about the second."""
    speaker, about = names.split()
    return RelayEdge(relay(speaker), relay(about))


def after(seconds: float) -> UnixTime:
    return UnixTime(START + seconds)


def blamed_by(*words: str, blame: Blame | None = None, now: UnixTime = START) -> Blame:
    blame = blame or Blame()
    for each in words:
        blame = blame.after_failure(edge(each), now=now)
    return blame


def answered(blame: Blame, names: str, *, times: int = 1, now: UnixTime = START) -> Blame:
    for _ in range(times):
        blame = blame.after_answer([relay(name) for name in names.split()], now=now)
    return blame


def is_edge_avoided(blame: Blame, names: str, now: UnixTime) -> bool:
    return edge(names) in blame.avoided(now).edges


def is_avoided(blame: Blame, name: str, now: UnixTime = START) -> bool:
    return relay(name) in blame.avoided(now).relays


def test_nothing_is_avoided_at_first() -> None:
    assert Avoided() == Blame().avoided(START)
    assert not Blame().avoided(START)


def test_a_failure_falls_on_its_edge_for_five_minutes() -> None:
    blame = blamed_by("m e")

    assert is_edge_avoided(blame, "m e", after(299))
    assert not is_edge_avoided(blame, "m e", after(300))
    assert not is_edge_avoided(blame, "e m", START)


def test_an_edge_that_fails_again_is_avoided_twice_as_long_up_to_six_hours() -> None:
    blame, now, lengths = Blame(), START, []
    for _ in range(9):
        blame = blame.after_failure(edge("m e"), now=now)
        until = blame.accusations[edge("m e")].quarantine.until
        lengths.append((until - now) / MINUTE_S)
        now = until

    assert [5, 10, 20, 40, 80, 160, 320, 360, 360] == lengths


def test_an_edge_that_fails_rarely_starts_again_at_five_minutes() -> None:
    blame = blamed_by("m e", "m e", now=START)
    late = after(300 + 1800 + 300)

    assert 300.0 == blame.after_failure(edge("m e"), now=late).accusations[edge("m e")].quarantine.duration_s


def test_what_fails_while_it_is_avoided_is_the_same_failure() -> None:
    blame = blamed_by("m e", blame=blamed_by("m e"), now=after(10))

    assert not is_edge_avoided(blame, "m e", after(300))


def test_an_answer_over_an_edge_clears_it() -> None:
    blame = answered(blamed_by("m e"), "g m e", now=after(5))

    assert Avoided() == blame.avoided(after(5))


def test_an_answer_of_a_middle_does_not_clear_the_edge_behind_it() -> None:
    assert is_edge_avoided(answered(blamed_by("m e"), "g m"), "m e", START)


def test_one_word_suspends_the_relay_it_is_about_for_five_minutes() -> None:
    """So that calls don't meet a dead relay again over another edge."""
    blame = blamed_by("m e")

    assert is_avoided(blame, "e", after(299))
    assert not is_avoided(blame, "e", after(300))
    assert not blame.is_blamed(relay("e"), START)


def test_a_liar_has_one_suspect_at_a_time() -> None:
    blame = blamed_by("m e1", "m e2")

    assert [True, False] == [is_avoided(blame, name) for name in ("e1", "e2")]
    assert is_avoided(blamed_by("m e3", blame=blame, now=after(300)), "e3", after(300))


def test_a_liar_cannot_accuse_the_same_relay_for_ever() -> None:
    """Whatever it says of one honest relay, the edge between them keeps it silent for longer and longer."""
    blame, now, held_s = Blame(), START, 0.0
    while now < after(24 * HOUR_S):
        if not is_edge_avoided(blame, "g m", now):
            blame = blame.after_failure(edge("g m"), now=now)
        held_s += MINUTE_S * is_avoided(blame, "m", now)
        now = UnixTime(now + MINUTE_S)

    assert not blame.is_blamed(relay("m"), now)
    # Five minutes each at 0, 5, 15, 35, 75, 155, 315, 635, 995, 1,355 minutes.
    assert 50 * MINUTE_S == held_s


def test_two_speakers_get_a_relay_blamed() -> None:
    blame = blamed_by("m1 e", "m2 e")

    assert blame.is_blamed(relay("e"), after(299))
    assert not blame.is_blamed(relay("e"), after(300))
    assert not [name for name in ("m1", "m2") if blame.is_blamed(relay(name), START)]


def test_first_hops_get_nobody_blamed_together() -> None:
    """Two guards of one owner could otherwise take a client's honest middles away."""
    blame = Blame()
    for guard in ("g1", "g2", "g3"):
        blame = blame.after_failure(edge(f"{guard} m"), now=START, is_first=True)

    assert not blame.is_blamed(relay("m"), START)
    assert blamed_by("m1 m", "m2 m", blame=blame).is_blamed(relay("m"), START)


def test_one_speaker_never_does_however_often_it_speaks() -> None:
    blame = Blame()
    for hour in range(48):
        blame = blame.after_failure(edge("m e"), now=after(hour * HOUR_S))
        assert not blame.is_blamed(relay("e"), after(hour * HOUR_S))


def test_words_count_for_half_an_hour() -> None:
    early = blamed_by("m1 e")

    assert blamed_by("m2 e", blame=early, now=after(1800)).is_blamed(relay("e"), after(1800))
    assert not blamed_by("m2 e", blame=early, now=after(1801)).is_blamed(relay("e"), after(1801))


def test_a_relay_that_stays_down_is_avoided_longer_and_longer() -> None:
    """It is down for a day, and there is a call every minute over four middles."""
    blame, now, meetings = Blame(), START, 0
    speakers = ["m1", "m2", "m3", "m4"]
    while now < after(24 * HOUR_S):
        avoided = blame.avoided(now)
        free = [each for each in speakers if RelayEdge(relay(each), relay("e")) not in avoided.edges]
        if relay("e") not in avoided.relays and free:
            blame, meetings = (
                blame.after_failure(RelayEdge(relay(free[0]), relay("e")), now=now),
                meetings + 1,
            )
        now = UnixTime(now + MINUTE_S)

    assert 18 == meetings


def test_a_relay_that_accuses_three_and_carries_nothing_is_blamed() -> None:
    assert not blamed_by("m e1", "m e2").is_blamed(relay("m"), START)
    assert blamed_by("m e1", "m e2", "m e3").is_blamed(relay("m"), START)


def test_a_relay_that_carries_more_than_it_accuses_stays_usable() -> None:
    """It may be honest, and three exits be down."""
    blame = answered(Blame(), "g m e9", times=4)

    assert not blamed_by("m e1", "m e2", "m e3", blame=blame).is_blamed(relay("m"), START)
    assert blamed_by("m e1", "m e2", "m e3", "m e4", "m e5", blame=blame).is_blamed(relay("m"), START)


def test_words_about_a_blamed_relay_are_explained() -> None:
    """Three dead exits don't make a middle look like a liar once another middle has met them too."""
    blame = blamed_by("m2 e1", "m3 e2", "m1 e1", "m1 e2", "m1 e3")

    assert [True, True, False] == [blame.is_blamed(relay(name), START) for name in ("e1", "e2", "m1")]


def test_the_second_word_about_a_relay_explains_what_its_speaker_said() -> None:
    blame = blamed_by("m2 e3", "m1 e1", "m1 e2", "m1 e3")

    assert [True, False] == [blame.is_blamed(relay(name), START) for name in ("e3", "m1")]


def test_the_word_of_a_blamed_relay_counts_for_nothing() -> None:
    liar = blamed_by("liar e1", "liar e2", "liar e3")

    assert liar.is_blamed(relay("liar"), START)
    assert not blamed_by("m e1", blame=liar).is_blamed(relay("e1"), START)


def test_honest_middles_stay_usable_although_a_guard_lies() -> None:
    blame = blamed_by(*(f"guard m{number}" for number in range(4)))

    assert blame.is_blamed(relay("guard"), START)
    assert ["m0"] == [name for name in ("m0", "m1", "m2", "m3") if is_avoided(blame, name)]
    assert not [name for name in ("m0", "m1", "m2", "m3") if blame.is_blamed(relay(name), START)]


def test_a_flood_of_words_fills_no_memory_and_pushes_out_none_of_others() -> None:
    blame = blamed_by("honest e")
    word = blame.accusations[edge("honest e")]
    flood = {edge(f"liar r{number}"): word for number in range(MAX_EDGES - 1)}
    blame = replace(blame, accusations={**blame.accusations, **flood})
    for number in range(20):
        blame = blamed_by(f"liar s{number}", blame=blame)

    assert MAX_EDGES == len(blame.accusations)
    assert edge("honest e") in blame.accusations


def test_many_relays_fill_no_memory() -> None:
    blame = Blame()
    for number in range(MAX_RELAYS + 9):
        blame = answered(
            blamed_by(f"a r{number}", f"b r{number}", blame=replace(blame, accusations={})), f"r{number} x"
        )

    assert [MAX_RELAYS, MAX_RELAYS] == [len(blame.quarantines), len(blame.carried)]


@pytest.mark.parametrize(
    ("expected", "at"),
    [("g m", Edge(0, 1)), ("m e", Edge(1, 2)), (None, Edge(-1, 0)), (None, Edge(2, 3))],
)
def test_the_edges_of_a_path_in_relays(expected: str | None, at: Edge) -> None:
    path = [relay(name) for name in ("g", "m", "e")]

    assert (None if expected is None else edge(expected)) == relay_edge(at, path)


EVENTS = st.lists(
    st.tuples(
        st.sampled_from([f"{one} {two}" for one in "abcd" for two in "abcd" if one != two]),
        st.booleans(),
        st.floats(0.0, 4000.0),
    ),
    max_size=40,
)


@given(EVENTS)
def test_whatever_happens_no_relay_is_blamed_on_one_word(events: list[tuple[str, bool, float]]) -> None:
    blame, now = Blame(), START
    heard: dict[str, set[str]] = {}
    accused: dict[str, set[str]] = {}
    for names, fails, passed_s in events:
        now = UnixTime(now + passed_s)
        speaker, about = names.split()
        if fails:
            blame = blame.after_failure(edge(names), now=now)
            heard.setdefault(about, set()).add(speaker)
            accused.setdefault(speaker, set()).add(about)
        else:
            blame = answered(blame, names, now=now)
        for name in "abcd":
            alone = len(heard.get(name, ())) < 2 and len(accused.get(name, ())) < 3
            assert not (alone and blame.is_blamed(relay(name), now))


@given(EVENTS)
def test_everything_is_forgiven_in_time(events: list[tuple[str, bool, float]]) -> None:
    blame, now = Blame(), START
    for names, fails, passed_s in events:
        now = UnixTime(now + passed_s)
        blame = blame.after_failure(edge(names), now=now) if fails else answered(blame, names, now=now)

    assert not blame.avoided(UnixTime(now + MAX_QUARANTINE_S))

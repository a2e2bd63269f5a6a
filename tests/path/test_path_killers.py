"""Relays that kill the paths which end elsewhere than with them, so that clients draw until a path suits them.

Each relay on the way says what it would in the world: whoever is honest names the silent one behind it.
"""

import random
from dataclasses import dataclass, field

import pytest

from onionpath.crypto.identity import RelayId
from onionpath.errors import Edge
from onionpath.injected import UnixTime
from onionpath.path.bias import Outcome, PathBias, Verdict, outcome_for_guard
from onionpath.path.blame import Blame, relay_edge
from onionpath.path.choose import Chooser
from onionpath.path.roles import Purpose
from tests.directory.networks import NOW
from tests.path.networks import directory_of, relay, relay_id

GUARDS = (0, 1)
MIDDLES = (2, 3, 4, 5)
EXITS = range(10, 50)
OWN_EXITS = frozenset(relay_id(name) for name in range(10, 14))
CHOOSER = Chooser(directory_of([relay(name) for name in (*GUARDS, *MIDDLES, *EXITS)]))
OWN_SHARE = len(OWN_EXITS) / len(EXITS)
# The client asks for something twice a minute.
PAUSE_S = 30.0


@dataclass(frozen=True)
class Killer:
    """Who kills at which hop; ``lies`` if it accuses the next relay and doesn't just keep silent."""

    hop: int
    relays: frozenset[RelayId]
    lies: bool = False

    def kills(self, path: list[RelayId], dice: random.Random) -> bool:
        return path[self.hop] in self.relays and path[-1] not in OWN_EXITS and dice.random() < 0.9

    @property
    def speaker(self) -> int | None:
        """The last hop that is heard: the honest one before a silent killer, or the killer itself."""
        speaker = self.hop if self.lies else self.hop - 1
        return speaker if speaker >= 0 else None


@dataclass
class Client:
    """A client with two guards and four middles, and what it knows."""

    killer: Killer
    dice: random.Random
    guards: tuple[int, ...] = GUARDS
    now: UnixTime = NOW
    blame: Blame = field(default_factory=Blame)
    bias: dict[RelayId, PathBias] = field(default_factory=dict)
    answered: int = 0
    answered_by_own: int = 0

    def __post_init__(self) -> None:
        self.bias = {relay_id(name): PathBias() for name in self.guards}

    def ask(self) -> None:
        self.now = UnixTime(self.now + PAUSE_S)
        guard = relay_id(self.dice.choice(self.guards))
        purpose = Purpose(
            serves=3, guards=frozenset({guard}), middles=frozenset(relay_id(name) for name in MIDDLES)
        )
        chosen = CHOOSER.choose(purpose, choice=self.dice, now=NOW, avoided=self.blame.avoided(self.now))
        path = [each.relay_id for each in chosen.relays]
        speaker: int | None = 2
        if self.killer.kills(path, self.dice):
            speaker = self.killer.speaker
        self._learn(path, speaker)

    def _learn(self, path: list[RelayId], speaker: int | None) -> None:
        if speaker is not None:
            self.blame = self.blame.after_answer(path[: speaker + 1], now=self.now)
            if speaker < 2 and (edge := relay_edge(Edge(speaker, speaker + 1), path)):
                self.blame = self.blame.after_failure(edge, now=self.now, is_first=speaker == 0)
        outcome = outcome_for_guard(speaker, hops=3)
        self.bias[path[0]] = self.bias[path[0]].after_attempt(outcome)
        self.answered += outcome is Outcome.CARRIED
        self.answered_by_own += outcome is Outcome.CARRIED and path[-1] in OWN_EXITS

    def verdicts(self) -> set[Verdict]:
        return {bias.verdict() for bias in self.bias.values()}


def ids(*names: int) -> frozenset[RelayId]:
    return frozenset(relay_id(name) for name in names)


@pytest.mark.parametrize("lies", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_a_guard_that_kills_paths_is_disabled_within_200_attempts(lies: bool, seed: int) -> None:
    client = Client(Killer(0, ids(0), lies=lies), random.Random(seed), guards=(0,))
    attempts = 0
    while client.verdicts() != {Verdict.DISABLE}:
        client.ask()
        attempts += 1

    assert attempts <= 200


def test_beside_an_honest_guard_only_the_killing_one_is_disabled() -> None:
    client = Client(Killer(0, ids(0), lies=True), random.Random(4))
    for _ in range(400):
        client.ask()

    assert 2 * OWN_SHARE > client.answered_by_own / client.answered
    assert [Verdict.DISABLE, Verdict.FINE] == [client.bias[relay_id(name)].verdict() for name in GUARDS]
    assert not [name for name in MIDDLES if client.blame.is_blamed(relay_id(name), client.now)]


KILLERS_BEHIND = {
    "one silent middle": Killer(1, ids(2)),
    "one lying middle": Killer(1, ids(2), lies=True),
    "three silent middles": Killer(1, ids(2, 3, 4)),
    "three lying middles": Killer(1, ids(2, 3, 4), lies=True),
    "a tenth of the exits": Killer(2, frozenset(relay_id(name) for name in range(20, 24))),
}


@pytest.mark.parametrize("killer", KILLERS_BEHIND.values(), ids=KILLERS_BEHIND.keys())
@pytest.mark.parametrize("guards", [(0,), (0, 1)], ids=["one guard", "two guards"])
def test_an_honest_guard_stays_whatever_kills_paths_behind_it(
    killer: Killer, guards: tuple[int, ...]
) -> None:
    client = Client(killer, random.Random(5), guards=guards)
    worst = Verdict.FINE
    for _ in range(600):
        client.ask()
        worst = max(worst, *client.verdicts())

    assert worst < Verdict.WARN
    assert 2 * OWN_SHARE > client.answered_by_own / client.answered

"""``onionpath network`` over files: what is proven is said, and nothing else is shown."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from onionpath import cli
from onionpath.directory.directory import Directory
from onionpath.directory.evidence import Evidence
from onionpath.directory.vote import VOTE_TYPE, Vote, sign_vote
from onionpath.swarm.node_list import parse_nodes
from onionpath.swarm.nodes import session_nodes
from tests.directory.networks import (
    NETWORK_ID,
    NOW,
    PERIOD_S,
    Network,
    bytes_of,
    descriptor,
    identity,
    network,
    root,
)
from tests.directory.test_succession import directory as followed
from tests.directory.test_succession import step, version
from tests.swarm.rosters import directory_of

Show = Callable[..., tuple[int, str, str]]

NUMBER = int(NOW // PERIOD_S)


def vote(*, ballot: int) -> bytes:
    """A vote of the one authority on the next document."""
    author, names = identity("authority", 0), (bytes(32), bytes_of("ballot", ballot), bytes(32))
    said = Vote(NETWORK_ID, 1, NUMBER + 1, 0, author.public, 0, *names)
    return sign_vote(said, author).encode()


OLD = network()
NEW = network(
    [descriptor(name) for name in range(1, 6)], weights=[5, 1000, 1000, 1000, 1000], number=NUMBER + 1
)
PUBLISHED = {
    "snapshot": OLD.directory().encode(),
    "document": OLD.envelope,
    "newer": NEW.envelope,
    "evidence": Evidence.of_documents((OLD.envelope, network(previous=bytes_of("other")).envelope)).encode(),
    "two-votes": Evidence(VOTE_TYPE, vote(ballot=1), vote(ballot=2)).encode(),
    "false-evidence": Evidence.of_documents((OLD.envelope, NEW.envelope)).encode(),
    "forged": network(keys=[identity("stranger")]).envelope,
    "succession": step(1),
    "followed": followed(2).encode(),
    "nonsense": b"nonsense",
    "session": directory_of({1: 2**63, 2: None}).encode(),
}


def name(relay: int) -> str:
    return identity(relay).relay_id.hex()


@pytest.fixture
def show(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Show:
    """Run a command of ``onionpath network`` in a folder with the files of ``PUBLISHED``, at the time of the tests."""
    for file, content in PUBLISHED.items():
        (tmp_path / file).write_bytes(content)
    (tmp_path / "root").write_bytes(root().encode())
    (tmp_path / "first-root").write_bytes(version(1).encode())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("time.time", lambda: float(NOW))

    def run(*arguments: str, trust_root: str = "root") -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            cli.main(["network", *arguments, "--network", trust_root])
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return run


def swarmed(directory: Directory) -> Network:
    """The same relays, all in one swarm but one."""
    relays = tuple(replace(one, swarm=2**63) for one in directory.document.relays[1:])
    return network(relays=(directory.document.relays[0], *relays))


def test_a_kept_directory_is_shown_without_a_network(show: Show) -> None:
    code, out, _ = show("show", "snapshot", "--json")
    shown = json.loads(out)

    assert (0, NUMBER) == (code, shown["number"])
    assert {name(relay) for relay in range(5)} == {relay["id"] for relay in shown["relays"]}
    assert [{"id": identity("authority", 0).public.hex(), "address": "9.0.0.1:443"}] == shown["authorities"]
    assert all(relay["addresses"] for relay in shown["relays"])


def test_a_document_is_shown_as_far_as_it_goes(show: Show) -> None:
    code, out, _ = show("show", "document")

    assert 0 == code
    assert 5 == out.count("unknown")


def test_swarms_are_shown(show: Show) -> None:
    Path("swarms").write_bytes(swarmed(OLD.directory()).envelope)

    assert {"8000000000000000": 4} == json.loads(show("show", "swarms", "--json")[1])["swarms"]
    _, out, _ = show("show", "swarms")
    assert "swarms    1 of 4 relays" in out
    assert 4 == out.count("8000000000000000")


def test_authorities_that_succeeded_are_shown_in_place_of_the_first(show: Show) -> None:
    code, out, _ = show("show", "followed", "--json", trust_root="first-root")
    shown = json.loads(out)

    assert (0, 2) == (code, shown["root_version"])
    assert [each.identity.hex() for each in version(2).authorities] == [
        each["id"] for each in shown["authorities"]
    ]


@pytest.mark.parametrize(
    "command", [["show", "forged"], ["verify", "forged"], ["diff", "document", "forged"]]
)
def test_nothing_is_shown_of_what_nobody_signed(show: Show, command: list[str]) -> None:
    code, out, err = show(*command)

    assert (7, "") == (code, out)
    assert "error: 0 of the 1 signatures that are needed are valid\n" == err


@pytest.mark.parametrize("file", ["snapshot", "document"])
def test_a_document_that_may_be_used_is_proven(show: Show, file: str) -> None:
    code, out, _ = show("verify", file)

    assert 0 == code
    assert out.startswith(f"proven: document {NUMBER} of the network test")


def test_an_expired_document_is_not_proven(show: Show, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: float(NOW + 86_400))

    code, out, err = show("verify", "document")
    assert (7, "") == (code, out)
    assert "expired" in err
    assert 0 == show("show", "document")[0]


def test_a_pair_of_documents_accuses_those_who_signed_both(show: Show) -> None:
    guilty = identity("authority", 0).public.hex()

    assert (
        0,
        f"proven: these authorities signed two documents of the number {NUMBER}\n  {guilty}\n",
        "",
    ) == show("verify", "evidence")
    assert [guilty] == json.loads(show("verify", "evidence", "--json")[1])["guilty"]


def test_a_pair_of_votes_accuses_their_author(show: Show) -> None:
    """As an authority keeps it of another one."""
    guilty = identity("authority", 0).public.hex()

    assert (
        0,
        f"proven: these authorities signed two votes on document {NUMBER + 1}\n  {guilty}\n",
        "",
    ) == show("verify", "two-votes")
    assert "votes" == json.loads(show("verify", "two-votes", "--json")[1])["of"]


def test_a_pair_that_proves_nothing_is_said_to_prove_nothing(show: Show) -> None:
    assert (1, "", "error: these two do not contradict each other\n") == show("verify", "false-evidence")


def test_a_succession_names_who_comes_and_who_goes(show: Show) -> None:
    code, out, _ = show("verify", "succession", trust_root="first-root")

    assert 0 == code
    assert (
        "proven: version 2 of the trust root follows version 1; 2 of 3 authorities must sign"
        == out.splitlines()[0]
    )
    assert (3, 3) == (out.count("  new   "), out.count("  gone  "))


def test_a_directory_that_followed_a_succession_is_proven_to_readers_of_the_first_root(show: Show) -> None:
    assert 0 == show("verify", "followed", trust_root="first-root")[0]


def test_what_changed_between_two_documents_is_listed(show: Show) -> None:
    code, out, _ = show("diff", "snapshot", "newer", "--json")
    changes = json.loads(out)

    assert (0, NUMBER, NUMBER + 1) == (code, changes["old"], changes["new"])
    assert ([name(0)], [name(5)]) == (changes["relays_gone"], changes["relays_new"])
    assert {name(1): [1000, 5]} == changes["weights"]
    assert ([], {}) == (changes["descriptors"], changes["swarms"])


def test_changes_are_lines_for_people(show: Show) -> None:
    Path("swarms").write_bytes(swarmed(OLD.directory()).envelope)
    _, out, _ = show("diff", "document", "newer")
    _, moved, _ = show("diff", "document", "swarms")

    assert {
        f"gone         {name(0)[:16]}",
        f"new          {name(5)[:16]}",
        f"weight       {name(1)[:16]}  1000 to 5",
    } < set(out.splitlines())
    assert 4 == moved.count("none to 8000000000000000")


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (["verify", "no-such-file"], (2, "error: cannot read no-such-file: No such file or directory\n")),
        (["verify", "."], (2, "error: cannot read .: Is a directory\n")),
    ],
)
def test_a_file_that_cannot_be_read_is_named(
    show: Show, command: list[str], expected: tuple[int, str]
) -> None:
    code, out, err = show(*command)

    assert (*expected, "") == (code, err, out)


def test_a_file_of_something_else_proves_nothing(show: Show) -> None:
    code, out, err = show("verify", "nonsense")

    assert (1, "") == (code, out)
    assert 1 == len(err.splitlines())


def test_relays_that_serve_sessions_clients_are_listed_as_those_clients_read_them(show: Show) -> None:
    code, out, _ = show("session-nodes", "session", "--json")

    assert (0, session_nodes(directory_of({1: 2**63, 2: None}))) == (code, parse_nodes(out.encode()).nodes)


def test_relays_that_serve_sessions_clients_are_listed_for_people(show: Show) -> None:
    _, out, _ = show("session-nodes", "session")

    rows = {tuple(line.split()[:3]) for line in out.splitlines()[1:]}
    assert {
        (name(1)[:16], "8000000000000000", "20.1.0.1:22021"),
        (name(2)[:16], "none", "20.2.0.1:22021"),
    } == rows


def test_a_network_without_such_relays_says_so(show: Show) -> None:
    assert (0, "no relay of this network serves clients of Session\n", "") == show(
        "session-nodes", "snapshot"
    )
    assert () == parse_nodes(show("session-nodes", "snapshot", "--json")[1].encode()).nodes

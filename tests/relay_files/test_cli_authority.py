"""Founding a network of several authorities, changing them, and asking one how it is."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from onionpath.directory.trust import TrustRoot
from relay import cli
from relay.cards import decode_card
from relay.lineage_files import read_roots

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            cli.main([str(argument) for argument in arguments])
        shown = capsys.readouterr()
        assert isinstance(caught.value.code, int)
        return caught.value.code, shown.out, shown.err

    return run


@pytest.fixture
def cards(tmp_path: Path, run: Run) -> list[Path]:
    """Of four authorities, who have met only by these."""
    made = []
    for number in range(1, 5):
        folder = tmp_path / f"authority-{number}"
        listen = f"127.1.0.{number}:7740"
        assert 0 == run("authority", "init", folder, "--join", "--listen", listen, "--private-addresses")[0]
        assert not (folder / "network.json").exists()
        made.append(folder / "card.json")
    return made


@pytest.fixture
def network(tmp_path: Path, run: Run, cards: list[Path]) -> Path:
    file = tmp_path / "network.json"
    code, out, _ = run("authority", "found", file, *cards[:3], "--name", "test", "--private-addresses")
    assert (0, f"{file}: 3 authorities, of which 2 must sign\n") == (code, out)
    return file


def test_a_network_is_founded_from_cards(network: Path, cards: list[Path]) -> None:
    root = TrustRoot.decode(network.read_bytes())

    assert tuple(decode_card(card.read_bytes()) for card in cards[:3]) == root.authorities
    assert (2, "test", False) == (root.threshold, root.name, root.parameters.distinct_subnets)


def test_a_network_is_founded_once_and_another_goes_into_another_file(
    run: Run, network: Path, cards: list[Path]
) -> None:
    before = network.read_bytes()

    code, _, err = run("authority", "found", network, *cards[:3])

    assert (3, before) == (code, network.read_bytes())
    assert "a network is founded once; name another file" in err


def test_one_card_founds_a_network_of_one_authority(tmp_path: Path, run: Run, cards: list[Path]) -> None:
    file = tmp_path / "network.json"

    assert f"{file}: 1 authority, of which 1 must sign\n" == run("authority", "found", file, cards[0])[1]


def test_a_card_holds_no_secret(cards: list[Path]) -> None:
    identity = json.loads(cards[0].read_text())["authority"]["identity"]
    seed = (cards[0].parent / "state" / "identity.key").read_text().split()[-1]

    assert seed not in cards[0].read_text()
    assert identity not in seed


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--threshold", "1"), 1, "not a majority"),
        (("--epoch", "1s"), 3, "shorter than a hundredth of a slot"),
    ],
)
def test_an_impossible_network_is_not_founded(
    tmp_path: Path, run: Run, cards: list[Path], arguments: tuple[str, ...], code: int, said: str
) -> None:
    file = tmp_path / "network.json"
    found, _, err = run("authority", "found", file, *cards[:3], *arguments)

    assert (code, False) == (found, file.exists())
    assert said in err


def test_a_card_twice_or_none_at_all_is_refused(tmp_path: Path, run: Run, cards: list[Path]) -> None:
    file = tmp_path / "network.json"

    assert "two authorities have one identity" in run("authority", "found", file, cards[0], cards[0])[2]
    assert "the card" in run("authority", "found", file, cards[0].with_name("authority.toml"))[2]
    assert "cannot be read" in run("authority", "found", file, tmp_path / "missing")[2]


def signatures(tmp_path: Path, run: Run, network: Path, after: Path, signers: list[Path]) -> list[Path]:
    signed = []
    for number, card in enumerate(signers):
        file = tmp_path / f"signature-{number}"
        state = card.parent / "state"
        options = ("--state", state, "--output", file)
        assert 0 == run("authority", "succeed", "sign", network, after, *options)[0]
        signed.append(file)
    return signed


def test_authorities_are_succeeded_by_signatures_that_were_made_offline(
    tmp_path: Path, run: Run, network: Path, cards: list[Path]
) -> None:
    after = tmp_path / "next.json"
    options = ("--threshold", "2", "--output", after)
    assert 0 == run("authority", "succeed", "propose", network, *cards[1:], *options)[0]
    signed = signatures(tmp_path, run, network, after, cards[1:3])
    assert 0 == run("authority", "succeed", "join", network, *signed)[0]

    roots = read_roots(network)
    assert TrustRoot.decode(after.read_bytes()) == roots.newest
    assert [1] == [root.version for root in roots.earlier]
    assert 1 == len(roots.lineage.successions)


def test_a_succession_that_too_few_have_signed_is_not_written(
    tmp_path: Path, run: Run, network: Path, cards: list[Path]
) -> None:
    after = tmp_path / "next.json"
    run("authority", "succeed", "propose", network, *cards[1:], "--threshold", "2", "--output", after)
    signed = signatures(tmp_path, run, network, after, cards[2:])
    code, _, err = run("authority", "succeed", "join", network, *signed)

    assert 7 == code
    assert "1 of the 2 signatures" in err
    assert 1 == read_roots(network).newest.version


def test_a_stopped_authority_tells_what_its_folder_holds(run: Run, network: Path, cards: list[Path]) -> None:
    folder = cards[0].parent
    shutil.copyfile(network, folder / "network.json")
    code, out, _ = run("authority", "status", folder / "authority.toml")
    assert 0 == code
    assert {"not running", "none yet"} <= {line[13:] for line in out.splitlines()}

    told = json.loads(run("authority", "status", folder / "authority.toml", "--json")[1])
    assert (False, 0, 2, True) == (told["running"], told["number"], told["needed"], told["is_recovery"])
    assert 2 == len(told["others"])


def test_who_is_not_named_by_the_trust_root_does_not_run(run: Run, network: Path, cards: list[Path]) -> None:
    folder = cards[3].parent
    shutil.copyfile(network, folder / "network.json")

    code, _, err = run("authority", "status", folder / "authority.toml")

    assert 3 == code
    assert "does not name this identity" in err

"""Settings of ``onionpath``: the nearest source wins, and nothing wrong is passed over in silence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.client.worlds import Run
from tests.directory.networks import identity

RELAY = identity(1).relay_id
KEYS = {
    "network",
    "state",
    "proxy",
    "hedge",
    "deadline_s",
    "listen",
    "exclude_relays",
    "exclude_networks",
    "exclude_countries",
    "countries",
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def shown(run: Run, *arguments: object) -> dict[str, Any]:
    code, out, err = run("settings", "show", "--json", *arguments)
    assert (0, "") == (code, err)
    settings: dict[str, Any] = json.loads(out)["settings"]
    return settings


def test_without_any_source_all_are_defaults(run: Run) -> None:
    settings = shown(run)

    assert settings.keys() == KEYS
    assert {"default"} == {each["from"] for each in settings.values()}
    assert 40.0 == settings["deadline_s"]["value"]


def test_a_flag_wins_over_the_environment_and_that_over_the_file(
    run: Run, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text('network = "of-file"\ndeadline_s = 1\nhedge = true\n')
    monkeypatch.setenv("ONIONPATH_NETWORK", "/of/environment")
    monkeypatch.setenv("ONIONPATH_DEADLINE_S", "2")

    settings = shown(run, "--config", file, "--network", "/of/flag")

    assert {"value": "/of/flag", "from": "--network"} == settings["network"]
    assert {"value": 2.0, "from": "ONIONPATH_DEADLINE_S"} == settings["deadline_s"]
    assert {"value": True, "from": str(file)} == settings["hedge"]


def test_files_are_seen_from_where_the_settings_file_lies(run: Run, file: Path) -> None:
    file.write_text('network = "network.json"\n')

    assert str(file.parent / "network.json") == shown(run, "--config", file)["network"]["value"]


def test_the_usual_file_is_read_without_being_named(
    run: Run, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(file.parent))
    (file.parent / "onionpath").mkdir()
    (file.parent / "onionpath" / "config.toml").write_text("hedge = true")

    assert shown(run)["hedge"]["value"] is True


def test_the_environment_names_the_file(run: Run, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text("hedge = true")
    monkeypatch.setenv("ONIONPATH_CONFIG", str(file))

    assert shown(run)["hedge"]["value"] is True


def test_a_file_that_somebody_named_must_be_there(run: Run, file: Path) -> None:
    code, out, err = run("settings", "show", "--config", file)

    assert (3, "") == (code, out)
    assert f"error: {file}: there is no such settings file\n" == err


def test_the_relays_variables_are_not_ours(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONIONPATH_RELAY_LOG_LEVEL", "debug")

    assert KEYS == shown(run).keys()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("hegde = true", "hegde: no such setting"),
        ("hedge = 1", "hedge: expected true or false, got a whole number"),
        ('deadline_s = "1"', "deadline_s: expected a number, got text"),
        ("deadline_s = 0", "deadline_s: expected a number >= 0.1"),
        ("deadline_s = nan", "deadline_s: "),
        ('listen = "localhost:1"', "listen: where to listen is ADDRESS:PORT"),
        ('listen = "127.0.0.1:65536"', "there is no port 65536"),
        ('listen = "127.0.0.1:01"', "where to listen"),
        ('listen = "::1:1"', "where to listen"),
        ('proxy = "ftp://me:secret@a:1"', "proxy: a proxy is given as"),
        ('exclude_relays = ["ab"]', "'ab' is no relay's identity"),
        ('exclude_relays = "ab"', "exclude_relays: expected a list, got text"),
        ('exclude_networks = ["10.0.0.1/8"]', "'10.0.0.1/8' is no network"),
        ('exclude_countries = ["nl"]', "'nl' is no country of two capital letters"),
        ('exclude_countries = ["NL"]', "set countries to a file"),
        ('countries = "no-such-file"', "cannot be read"),
        ('network = "a\\u0000b"', "network: no path holds a NUL character"),
        ("hedge = true\nhedge = true", "is not TOML"),
        ("[section]\nkey = 1", "section: no such setting"),
        ("\x00", "is not TOML"),
    ],
)
def test_what_is_wrong_in_a_file_is_named_with_its_key(run: Run, file: Path, content: str, why: str) -> None:
    file.write_text(content)
    code, out, err = run("settings", "show", "--config", file)

    assert (3, "") == (code, out)
    assert why in err
    assert 1 == len(err.splitlines())
    assert "secret" not in err


@pytest.mark.parametrize(
    ("name", "text"),
    [("ONIONPATH_HEDGE", "maybe"), ("ONIONPATH_NETWROK", "x"), ("ONIONPATH_DEADLINE_S", "soon")],
)
def test_what_is_wrong_in_the_environment_is_named(
    run: Run, monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    monkeypatch.setenv(name, text)
    code, _, err = run("settings", "show")

    assert 3 == code
    assert err.startswith(f"error: {name}: ")


@pytest.mark.parametrize("given", ["hedge", "hegde=true", "hedge=maybe", "proxy=socks5://secret", "secret"])
def test_a_wrong_flag_is_a_wrong_command_line(run: Run, given: str) -> None:
    code, _, err = run("settings", "show", "--set", given)

    assert 2 == code
    assert err.startswith("error: --set ")
    assert "socks5://secret" not in err


def test_a_flag_is_given_once(run: Run) -> None:
    assert 2 == run("settings", "show", "--set", "hedge=true", "--set", "hedge=false")[0]


def test_lists_in_texts_are_separated_by_commas(run: Run) -> None:
    given = "exclude_networks=192.0.2.0/24, 2001:db8::/32"

    assert ["192.0.2.0/24", "2001:db8::/32"] == shown(run, "--set", given)["exclude_networks"]["value"]


def test_an_empty_text_takes_a_setting_away(run: Run, file: Path) -> None:
    file.write_text('proxy = "socks5://127.0.0.1:1"')

    assert shown(run, "--config", file, "--set", "proxy=")["proxy"]["value"] is None


def test_there_is_always_a_folder(run: Run) -> None:
    """Otherwise each command would have new guards."""
    assert shown(run, "--set", "state=")["state"]["value"].endswith("/state/onionpath")


def test_a_proxys_password_is_not_shown(run: Run) -> None:
    code, out, _ = run("settings", "show", "--set", "proxy=socks5://me:secret@127.0.0.1:1")

    assert 0 == code
    assert "socks5://***@127.0.0.1:1" in out
    assert "secret" not in out


def test_exclusions_reach_the_paths(tmp_path: Path) -> None:
    from onionpath.cli_settings import Settings
    from onionpath.cli_settings_values import constraints_of

    countries = tmp_path / "countries"
    countries.write_text("192.0.2.0/24,NL\n")
    constraints = constraints_of(
        Settings(
            exclude_relays=(RELAY.hex(),),
            exclude_networks=("198.51.100.0/24",),
            exclude_countries=("NL",),
            countries=str(countries),
        )
    )

    assert {RELAY} == constraints.excluded_relays
    assert ["198.51.100.0/24"] == [str(each) for each in constraints.excluded_networks]
    assert {"NL"} == constraints.excluded_countries
    assert "NL" == constraints.countries.country("192.0.2.1")

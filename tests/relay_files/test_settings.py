"""Settings: every bad one is refused by its name, and what is written is what is read."""

from __future__ import annotations

import contextlib
import tomllib
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onionpath.crypto.identity import IdentityKey
from onionpath.errors import SettingsError, UsageError
from onionpath.exit_codes import exit_code
from relay.exit.destinations import DestinationLimits
from relay.limits import SwitchLimits
from relay.settings import AuthoritySettings, RelaySettings, parse_endpoint
from relay.settings_files import load_settings
from relay.settings_text import ABOUT, example_settings
from relay.store.room import Limits as StoreLimits

FAMILY = IdentityKey(b"f" * 32).public.hex()


def load(
    tmp_path: Path,
    text: str,
    *,
    environment: dict[str, str] | None = None,
    flags: dict[str, str] | None = None,
) -> RelaySettings:
    file = tmp_path / "relay.toml"
    file.write_text(text)
    return load_settings(file, RelaySettings, environment=environment or {}, flags=flags)


def test_an_empty_file_means_safe_defaults(tmp_path: Path) -> None:
    settings = load(tmp_path, "")

    assert not settings.exit.enabled
    assert not settings.session.enabled
    assert not settings.storage.enabled
    assert () == settings.session_listen
    assert all(each.is_loopback for each in settings.listen)
    assert SwitchLimits() == settings.limits.switch_limits()
    assert StoreLimits() == settings.storage.store_limits()
    assert tmp_path / "state" == settings.state
    assert tmp_path / "network.json" == settings.trust_root


BAD = {
    "unknown section": ("[rely]\n", "rely", "no such setting"),
    "unknown key": ("[relay]\nstaet = 'x'", "relay.staet", "no such setting"),
    "missing unit": ("[limits]\nidle = 120", "limits.idle", "no such setting"),
    "text for a number": (
        "[limits]\nin_flight = '10'",
        "limits.in_flight",
        "expected a whole number, got text",
    ),
    "fraction": ("[limits]\nin_flight = 1.5", "limits.in_flight", "expected a whole number"),
    "truth for a number": ("[limits]\nin_flight = true", "limits.in_flight", "got true or false"),
    "number for truth": ("[exit]\nenabled = 1", "exit.enabled", "expected true or false"),
    "text for a list": ("[relay]\nlisten = '127.0.0.1:1'", "relay.listen", "expected a list, got text"),
    "number in a list": ("[relay]\nlisten = [1]", "relay.listen[0]", "expected text"),
    "value for a section": ("relay = 3", "relay", "expected a table"),
    "negative": ("[limits]\nqueued_bytes = -1", "limits.queued_bytes", ">= 1"),
    "zero seconds": ("[limits]\nidle_s = 0", "limits.idle_s", "> 0"),
    "no number": ("[limits]\nidle_s = nan", "limits.idle_s", "> 0"),
    "endless": ("[limits]\nidle_s = inf", "limits.idle_s", "<= 86400"),
    "endless stream": ("[exit]\nstream_life_s = inf", "exit.stream_life_s", "<= 2592000"),
    "stream of no byte": ("[exit]\nstream_bytes = 0", "exit.stream_bytes", ">= 1"),
    "key twice": ("[log]\nlevel = 'info'\nlevel = 'debug'\n[exit]\n", "log.level", "set twice"),
    "key twice at the end": ("[log]\nlevel = 'info'\nlevel = 'debug'", "log.level", "set twice"),
    "section twice": ("[log]\n[exit]\n[log]\n", "log", "set twice"),
    "unknown level": ("[log]\nlevel = 'loud'", "log.level", "invalid enum value"),
    "name to listen on": ("[relay]\nlisten = ['localhost:7740']", "relay.listen[0]", "expected IP:PORT"),
    "no port": ("[relay]\nlisten = ['127.0.0.1']", "relay.listen[0]", "expected IP:PORT"),
    "port too high": ("[relay]\nlisten = ['127.0.0.1:65536']", "relay.listen[0]", "expected IP:PORT"),
    "IPv6 without brackets": ("[relay]\nlisten = ['::1:77']", "relay.listen[0]", "expected IP:PORT"),
    "IPv4 in brackets": ("[relay]\nlisten = ['[127.0.0.1]:77']", "relay.listen[0]", "expected IP:PORT"),
    "zone": ("[relay]\nlisten = ['[fe80::1%eth0]:77']", "relay.listen[0]", "expected IP:PORT"),
    "no address": ("[relay]\nlisten = []", "relay.listen", "at least one"),
    "address twice": ("[relay]\nlisten = ['127.0.0.1:1', '127.0.0.1:1']", "relay.listen[1]", "twice"),
    "any port in public": ("[relay]\nlisten = ['192.0.2.1:0']", "relay.listen[0]", "1 to 65535"),
    "all interfaces": ("[relay]\nlisten = ['0.0.0.0:77']", "relay.advertise", "addresses to publish"),
    "bad family": ("[relay]\nfamily = ['me']", "relay.family[0]", "64 hex digits"),
    "family twice": (f"[relay]\nfamily = ['{FAMILY}', '{FAMILY}']", "relay.family[1]", "once"),
    "bad rule": ("[exit]\npolicy = ['allow *:80']", "exit.policy", "accept|reject"),
    "bad ports": ("[exit]\npolicy = ['accept *:22-']", "exit.policy", "'accept *:22-'"),
    "exit without a rule": ("[exit]\nenabled = true\npolicy = []", "exit.policy", "at least one rule"),
    "bad network": ("[exit]\nreach_private = ['10.0.0.1/8']", "exit.reach_private[0]", "network"),
    "odd table": ("[limits]\nreplay_entries = 3000000", "limits.replay_entries", "power of two"),
    "peer above all": ("[limits]\nqueued_bytes = 1", "limits.queued_bytes", "queued_bytes_per_peer"),
    "session without IPv4": (
        "[relay]\nlisten = ['[2001:db8::1]:77']\n[session]\nenabled = true",
        "session.enabled",
        "expected an IPv4 address",
    ),
    "session at the relay's port": (
        "[relay]\nlisten = ['127.0.0.1:77']\n[session]\nenabled = true\nlisten = ['127.0.0.1:77']",
        "session.listen[0]",
        "in relay.listen too",
    ),
    "session published at the relay's port": (
        "[relay]\nlisten = ['127.0.0.1:77']\n[session]\nadvertise_port = 77",
        "session.advertise_port",
        "another port",
    ),
    "session at loopback alone": (
        "[relay]\nlisten = ['192.0.2.7:77']\n[session]\nenabled = true",
        "session.listen[0]",
        "expected 192.0.2.7:PORT",
    ),
    "session nowhere": ("[session]\nlisten = []", "session.listen", "at least one"),
    "session port too high": ("[session]\nadvertise_port = 65536", "session.advertise_port", "<= 65535"),
    "seed without session": ("[session]\nseed = true", "session.seed", "expected session.enabled = true"),
    "account above all": ("[storage]\nmax_bytes = 1", "storage.account_bytes", "at most storage.max_bytes"),
    "storage of nothing": ("[storage]\nmax_bytes = 0", "storage.max_bytes", ">= 1"),
    "recording in public": (
        "[relay]\nlisten = ['192.0.2.1:77']\n[simulation]\nrecord_frames = 'x'",
        "simulation.record_frames",
        "only loopback",
    ),
}


@pytest.mark.parametrize(("text", "key", "said"), BAD.values(), ids=BAD.keys())
def test_a_bad_setting_is_refused_by_name(tmp_path: Path, text: str, key: str, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, text)

    assert key == caught.value.key
    assert str(tmp_path / "relay.toml") == caught.value.file
    assert str(caught.value).startswith(f"{tmp_path / 'relay.toml'}: {key}: ")
    assert said in str(caught.value)
    assert 3 == exit_code(caught.value)


@pytest.mark.parametrize("chosen", ["listen = ['0.0.0.0:22021']", "advertise_port = 22021"])
def test_sessions_clients_are_awaited_where_the_relay_is_published_or_where_a_port_leads(
    tmp_path: Path, chosen: str
) -> None:
    text = f"[relay]\nlisten = ['192.0.2.7:77']\n[session]\nenabled = true\n{chosen}"

    assert 22021 == load(tmp_path, text).session_listen[0].port


def test_what_is_no_toml_is_named_by_its_line_alone(tmp_path: Path) -> None:
    """What stands there may look like a setting, and may be none."""
    with pytest.raises(SettingsError, match=r"is not TOML: .*at line 2") as caught:
        load(tmp_path, "[relay]\nstate == 'x'\n")

    assert ("", str(tmp_path / "relay.toml")) == (caught.value.key, caught.value.file)
    assert "relay.state" not in str(caught.value)


def test_a_file_that_is_missing_too_long_or_no_text_is_refused(tmp_path: Path) -> None:
    for name, content in {"a": None, "b": b"#" * 300_000, "c": b"\xff\xfe"}.items():
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(
            SettingsError, match=f"{tmp_path / name}: (cannot be read|is longer|is not UTF-8)"
        ):
            load_settings(tmp_path / name, RelaySettings, environment={})


def test_a_flag_wins_over_the_environment_over_the_file_over_the_default(tmp_path: Path) -> None:
    text = "[log]\nlevel = 'error'\n"
    environment = {"ONIONPATH_RELAY_LOG_LEVEL": "warning", "HOME": "x"}

    assert "info" == load(tmp_path, "").log.level
    assert "error" == load(tmp_path, text).log.level
    assert "warning" == load(tmp_path, text, environment=environment).log.level
    assert "debug" == load(tmp_path, text, environment=environment, flags={"log.level": "debug"}).log.level


def test_text_from_outside_becomes_what_the_setting_is(tmp_path: Path) -> None:
    environment = {
        "ONIONPATH_RELAY_RELAY_LISTEN": "127.0.0.1:1, [::1]:2",
        "ONIONPATH_RELAY_EXIT_ENABLED": "true",
        "ONIONPATH_RELAY_LIMITS_IDLE_S": "7.5",
        "ONIONPATH_RELAY_LIMITS_IN_FLIGHT": "12",
    }
    settings = load(tmp_path, "", environment=environment)

    assert ("127.0.0.1:1", "[::1]:2") == settings.relay.listen
    assert (True, 7.5, 12) == (settings.exit.enabled, settings.limits.idle_s, settings.limits.in_flight)


@pytest.mark.parametrize(
    ("name", "value", "key"),
    [
        ("ONIONPATH_RELAY_LOG_LEVLE", "info", "log.levle"),
        ("ONIONPATH_RELAY_X", "1", "x."),
        ("ONIONPATH_RELAY_LIMITS_IN_FLIGHT", "-3", "limits.in_flight"),
        ("ONIONPATH_RELAY_EXIT_ENABLED", "perhaps", "exit.enabled"),
    ],
)
def test_a_bad_variable_is_refused_by_name(tmp_path: Path, name: str, value: str, key: str) -> None:
    with pytest.raises(SettingsError, match=name) as caught:
        load(tmp_path, "", environment={name: value})
    assert key == caught.value.key


def test_paths_are_seen_from_the_file(tmp_path: Path) -> None:
    settings = load(tmp_path, "[relay]\nstate = 'a/b'\n[network]\ntrust_root = '/etc/root.json'")

    assert tmp_path / "a/b" == settings.state
    assert Path("/etc/root.json") == settings.trust_root


def test_published_addresses_are_those_listened_on_unless_others_are_given(tmp_path: Path) -> None:
    behind = "[relay]\nlisten = ['0.0.0.0:7740']\nadvertise = ['192.0.2.7:443']"

    assert load(tmp_path, "").listen == load(tmp_path, "").published
    assert (parse_endpoint("192.0.2.7:443"),) == load(tmp_path, behind).published


def test_an_exits_limits_are_its_operators_within_what_the_system_allows(tmp_path: Path) -> None:
    text = "[exit]\nstreams = 300\nstreams_per_link = 200\nheld_bytes = 50_000_000\n"
    text += "stream_life_s = 600\nstream_bytes = 1_000_000\n"
    exit_ = load(tmp_path, text + "connections_per_server = 3\nnew_connections_per_second = 1").exit
    wide, narrow = exit_.stream_limits(files=4_000), exit_.stream_limits(files=20)

    assert (300, 150, 50_000_000) == (wide.streams, wide.streams_per_link, wide.total)
    assert (20, 10, 50_000_000) == (narrow.streams, narrow.streams_per_link, narrow.total)
    assert (600.0, 1_000_000) == (wide.life_s, wide.bytes_each_way)
    assert DestinationLimits(concurrent=3, per_s=1.0) == exit_.destination_limits()


@pytest.mark.parametrize("kind", [RelaySettings, AuthoritySettings])
def test_the_example_is_the_defaults(tmp_path: Path, kind: type[RelaySettings | AuthoritySettings]) -> None:
    (tmp_path / "example.toml").write_text(example_settings(kind))
    (tmp_path / "empty.toml").write_text("")

    example, empty = (
        load_settings(tmp_path / name, kind, environment={}) for name in ("example.toml", "empty.toml")
    )
    assert empty == example


def test_every_setting_has_its_explanation_and_stands_in_an_example() -> None:
    fields = {
        f"{section.name}.{field.name}"
        for kind in (RelaySettings, AuthoritySettings)
        for section in msgspec.structs.fields(kind)
        for field in msgspec.structs.fields(section.type)
    }
    assert fields == set(ABOUT)


def test_values_for_the_example_replace_its_defaults() -> None:
    text = example_settings(RelaySettings, {"relay.listen": ("[::1]:9",), "relay.state": 'a"\\b'})

    assert ["[::1]:9"] == tomllib.loads(text)["relay"]["listen"]
    assert 'a"\\b' == tomllib.loads(text)["relay"]["state"]
    with pytest.raises(UsageError, match=r"relay\.stat"):
        example_settings(RelaySettings, {"relay.stat": "x"})


@given(st.text(max_size=30))
def test_any_text_is_an_address_in_canonical_form_or_refused(text: str) -> None:
    try:
        endpoint = parse_endpoint(text)
    except SettingsError:
        return
    assert text == str(endpoint)


@given(st.binary(max_size=200))
def test_any_file_is_settings_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "any.toml"
    file.write_bytes(content)
    with contextlib.suppress(SettingsError):
        load_settings(file, RelaySettings, environment={})

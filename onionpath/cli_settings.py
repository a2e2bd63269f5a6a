"""The settings of ``onionpath``: what they are, and where each value comes from.

The first of these that has a value wins: a flag, ``ONIONPATH_KEY`` in the environment, the settings file, the default.
Nothing unknown or wrong is passed over in silence, and every error names its key and its source.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec

from onionpath.cli_settings_values import check_value
from onionpath.errors import SettingsError, UsageError

PREFIX = "ONIONPATH_"
# Names the settings file itself, and so is no setting.
CONFIG_VARIABLE = "ONIONPATH_CONFIG"
# These belong to the relay's program.
RELAY_PREFIX = "ONIONPATH_RELAY_"
MAX_FILE_SIZE = 256 * 1024  # bytes
DEFAULT = "default"
_FILES = frozenset({"network", "state", "countries"})

Texts = tuple[str, ...]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All of them; docs/guides/command-line.md says what each is for."""

    network: str | None = None
    state: str | None = None  # None where nobody has chosen; ``choose_settings`` has
    proxy: str | None = None
    hedge: bool = False
    deadline_s: Annotated[float, msgspec.Meta(ge=0.1, le=86_400)] = 40.0
    listen: str = "127.0.0.1:9250"
    exclude_relays: Texts = ()
    exclude_networks: Texts = ()
    exclude_countries: Texts = ()
    countries: str | None = None


@dataclass(frozen=True, slots=True)
class Chosen:
    """The settings, and for each key the words that say where its value comes from."""

    settings: Settings
    origins: Mapping[str, str]


_FIELDS = {field.name: field for field in msgspec.structs.fields(Settings)}


def choose_settings(
    flags: Mapping[str, tuple[str, str]],
    environment: Mapping[str, str],
    *,
    file: Path,
    is_required: bool,
    state: Path,
) -> Chosen:
    """Bring the sources together.

    Args:
        flags: key to value as text, and the flag's name.
        file: of settings; only if ``is_required`` must it be there.
        state: the default of ``state``.

    Raises:
        SettingsError: the file or the environment is wrong. UsageError: a flag is.
    """
    values: dict[str, Any] = {}
    origins = dict.fromkeys(_FIELDS, DEFAULT)
    sources = (
        _from_file(file, is_required=is_required),
        _from_texts(_of_environment(environment)),
        _from_texts(flags),
    )
    for source in sources:
        for key, (value, origin) in source.items():
            values[key], origins[key] = value, origin
    # Without a folder each command would have new guards, so there is no way to have none.
    values["state"] = values.get("state") or str(state)
    return Chosen(Settings(**values), origins)


def _of_environment(environment: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    return {
        name.removeprefix(PREFIX).lower(): (text, name)
        for name, text in sorted(environment.items())
        if name.startswith(PREFIX) and not name.startswith(RELAY_PREFIX) and name != CONFIG_VARIABLE
    }


def _from_texts(texts: Mapping[str, tuple[str, str]]) -> dict[str, tuple[Any, str]]:
    """Values given as text: lists are separated by commas, booleans are true or false."""
    found: dict[str, tuple[Any, str]] = {}
    for key, (text, origin) in texts.items():
        is_list = key in _FIELDS and _FIELDS[key].default == ()
        raw = [each.strip() for each in text.split(",") if each.strip()] if is_list else text
        found[key] = _checked(key, raw, origin, folder=Path.cwd(), strict=False), origin
    return found


def _from_file(file: Path, *, is_required: bool) -> dict[str, tuple[Any, str]]:
    origin = str(file)
    return {
        key: (_checked(key, raw, origin, folder=file.absolute().parent, strict=True), origin)
        for key, raw in _read_toml(file, is_required=is_required).items()
    }


def _read_toml(file: Path, *, is_required: bool) -> dict[str, Any]:
    try:
        with file.open("rb") as opened:
            content = opened.read(MAX_FILE_SIZE + 1)
    except FileNotFoundError as error:
        if is_required:
            raise SettingsError(f"{file}: there is no such settings file", file=str(file)) from error
        return {}
    except OSError as error:
        raise SettingsError(f"{file}: cannot be read: {error.strerror}", file=str(file)) from error
    if len(content) > MAX_FILE_SIZE:
        raise SettingsError(f"{file}: is longer than {MAX_FILE_SIZE} bytes", file=str(file))
    try:
        return tomllib.loads(content.decode())
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"{file}: is not TOML: {error}", file=str(file)) from error


def _checked(key: str, raw: Any, origin: str, *, folder: Path, strict: bool) -> Any:
    """One value of one source, as the settings have it; names of files become absolute."""
    field = _FIELDS.get(key)
    if field is None:
        raise _wrong(origin, key, "no such setting; `onionpath settings show` lists all")
    try:
        # TOML has no null, and to set nothing is not to set it.
        value = msgspec.convert(_text_or_none(raw, field), field.type, strict=strict)
        check_value(key, value)
        return _absolute(value, folder) if key in _FILES else value
    except (msgspec.ValidationError, UsageError) as error:
        raise _wrong(origin, key, _plain(str(error))) from error


def _wrong(origin: str, key: str, why: str) -> UsageError:
    """A wrong flag is a wrong command line; anything else is a wrong setting."""
    message = f"{origin}: {why}" if origin.lower().endswith(key) else f"{origin}: {key}: {why}"
    return UsageError(message) if origin.startswith("--") else SettingsError(message, key=key)


def _text_or_none(raw: Any, field: msgspec.structs.FieldInfo) -> Any:
    """An empty text is no file and no proxy: who runs ``NAME= onionpath`` means none."""
    return None if raw == "" and field.default is None else raw


def _absolute(value: str | None, folder: Path) -> str | None:
    if value is None:
        return None
    if "\0" in value:
        raise UsageError("no path holds a NUL character")
    try:
        return str(folder / Path(value).expanduser())
    except RuntimeError as error:
        raise UsageError(f"nobody has the home folder that {value!r} begins with") from error


def _plain(what: str) -> str:
    """msgspec's sentence in the words of a settings file."""
    words = (("`array`", "a list"), ("`str`", "text"), ("`bool`", "true or false"), ("`float`", "a number"))
    for theirs, ours in (*words, ("`int`", "a whole number"), ("`object`", "a table"), (" | null", "")):
        what = what.replace(theirs, ours)
    return what[:1].lower() + what[1:]

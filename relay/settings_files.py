"""Reading settings from a file, the environment and flags."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from onionpath.errors import SettingsError
from relay.settings import AuthoritySettings, RelaySettings

ENVIRONMENT_PREFIX = "ONIONPATH_RELAY_"
MAX_FILE_SIZE = 256 * 1024  # bytes
_AT_PATH = re.compile(r"^(?P<what>.*?)(?: - at `\$\.?(?P<path>[^`]*)`)?$", re.DOTALL)
_UNKNOWN = re.compile(r"^Object contains unknown field `(?P<name>.*)`$", re.DOTALL)
_LINE = re.compile(r"\(at line (?P<line>\d+), column \d+\)$")
# Sections and keys that name files; they are seen from where the settings file lies.
_PATHS = (
    ("relay", "state"),
    ("authority", "state"),
    ("network", "trust_root"),
    ("simulation", "record_frames"),
)

S = TypeVar("S", bound=RelaySettings | AuthoritySettings)


def load_settings(
    file: Path, kind: type[S], *, environment: Mapping[str, str], flags: Mapping[str, str] | None = None
) -> S:
    """Read and check a settings file.

    Args:
        file: TOML, UTF-8, at most 256 KiB; an empty one means the defaults.
        environment: only its ``ONIONPATH_RELAY_…`` names are looked at.
        flags: ``section.key`` to value, as text; they win over everything.

    Raises:
        SettingsError: with the file and the key, and what was expected.
    """
    try:
        tree = _read_toml(file)
        _override(tree, kind, _from_environment(environment, kind))
        _override(tree, kind, {key: (value, f"--set {key}") for key, value in (flags or {}).items()})
        settings = _anchored(_convert(tree, kind), file.absolute().parent)
        settings.check()
    except SettingsError as error:
        raise _located(error, file) from error
    return settings


def _located(error: SettingsError, file: Path) -> SettingsError:
    where = f"{error.file or file}: {error.key}" if error.key else f"{error.file or file}"
    return SettingsError(f"{where}: {error}", file=error.file or str(file), key=error.key)


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as opened:
            content = opened.read(MAX_FILE_SIZE + 1)
    except OSError as error:
        raise SettingsError(f"cannot be read: {error.strerror}") from error
    if len(content) > MAX_FILE_SIZE:
        raise SettingsError(f"is longer than {MAX_FILE_SIZE} bytes")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise SettingsError(f"is not UTF-8 text (byte {error.start})") from error
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # a number of too many digits is a plain ValueError
        if "overwrite" in str(error) or "twice" in str(error):
            raise SettingsError(f"is set twice: {error}", key=_key_of_line(text, str(error))) from error
        # What stands there is no setting yet, and the line is all that is certain.
        raise SettingsError(f"is not TOML: {error}") from error


def _key_of_line(text: str, message: str) -> str:
    """The key, with its section, of the line that the TOML parser stumbled over."""
    lines = text.splitlines()
    found = _LINE.search(message)
    # The parser stops behind the value, which may be at the start of the next line or at the end of the file.
    number = min(int(found["line"]), len(lines)) if found else len(lines)
    while number > 1 and not lines[number - 1].strip():
        number -= 1
    headers = [line.strip() for line in lines[:number] if line.strip().startswith("[")]
    section = headers[-1].strip("[] ") if headers else ""
    line = lines[number - 1] if lines else ""
    key = line.partition("=")[0].strip() if "=" in line else ""
    return f"{section}.{key}".strip(".")


def _from_environment(environment: Mapping[str, str], kind: type[S]) -> dict[str, tuple[str, str]]:
    """``section.key`` to value and the variable's name."""
    found: dict[str, tuple[str, str]] = {}
    for name in sorted(environment):
        if name.startswith(ENVIRONMENT_PREFIX):
            section, _, key = name.removeprefix(ENVIRONMENT_PREFIX).lower().partition("_")
            found[f"{section}.{key}"] = environment[name], name
    return found


def _override(tree: dict[str, Any], kind: type[S], values: Mapping[str, tuple[str, str]]) -> None:
    for path, (text, origin) in values.items():
        section, _, key = path.partition(".")
        value = parse_value(kind, path, text, origin=origin)
        table = tree.setdefault(section, {})
        if isinstance(table, dict):
            # The file's own values are lists where the tree has tuples.
            table[key] = list(value) if isinstance(value, tuple) else value


def _field(kind: type[S], section: str, key: str) -> msgspec.structs.FieldInfo | None:
    sections = {each.name: each.type for each in msgspec.structs.fields(kind)}
    if section not in sections:
        return None
    return next((each for each in msgspec.structs.fields(sections[section]) if each.name == key), None)


def parse_value(kind: type[S], path: str, text: str, *, origin: str) -> Any:
    """A setting's value given as text: lists are separated by commas, booleans are true or false.

    Raises:
        SettingsError: there is no such setting, or this isn't a value of it; names ``origin``.
    """
    section, _, key = path.partition(".")
    field = _field(kind, section, key)
    if field is None:
        raise SettingsError(f"no such setting (from {origin})", key=path)
    is_list = isinstance(field.default, tuple)
    value = [each.strip() for each in text.split(",") if each.strip()] if is_list else text
    try:
        return msgspec.convert(value, field.type, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{_plain(str(error))} (from {origin})", key=path) from error


def _anchored(settings: S, folder: Path) -> S:
    """With absolute paths, also where the default was taken."""
    changed: dict[str, Any] = {}
    for section, key in _PATHS:
        table = changed.get(section, getattr(settings, section, None))
        value = getattr(table, key, None)
        if table is not None and value is not None:
            path = _absolute(value, folder, key=f"{section}.{key}")
            changed[section] = msgspec.structs.replace(table, **{key: path})
    return msgspec.structs.replace(settings, **changed)


def _absolute(value: str, folder: Path, *, key: str) -> str:
    if "\0" in value:
        raise SettingsError("no path holds a NUL character", key=key)
    try:
        return str(folder / Path(value).expanduser())
    except RuntimeError as error:
        raise SettingsError(f"nobody has the home folder that {value!r} begins with", key=key) from error


def _convert(tree: dict[str, Any], kind: type[S]) -> S:
    try:
        return msgspec.convert(tree, kind)
    except msgspec.ValidationError as error:
        found = _AT_PATH.match(str(error))
        path, what = (found["path"] or "", found["what"]) if found else ("", str(error))
        unknown = _UNKNOWN.match(what)
        if unknown:
            raise SettingsError("no such setting", key=f"{path}.{unknown['name']}".strip(".")) from error
        raise SettingsError(_plain(what), key=path) from error


def _plain(what: str) -> str:
    """msgspec's sentence in the words of a settings file."""
    for theirs, ours in (
        ("`object`", "a table"),
        ("`array`", "a list"),
        ("`str`", "text"),
        ("`bool`", "true or false"),
    ):
        what = what.replace(theirs, ours)
    what = what.replace("`int`", "a whole number").replace("`float`", "a number").replace("`null`", "nothing")
    return what[:1].lower() + what[1:]

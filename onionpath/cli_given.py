"""What a command line says of settings, and the options that say it; nothing is read before a command needs it."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from onionpath.cli_state import default_settings_file, default_state_folder
from onionpath.errors import UsageError

if TYPE_CHECKING:
    from onionpath.cli_settings import Chosen, Settings

json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
_SETTINGS_OPTIONS = (
    click.option(
        "--network",
        type=click.Path(),
        metavar="FILE",
        help="The network's trust root.  [env: ONIONPATH_NETWORK]",
    ),
    click.option(
        "--state",
        type=click.Path(),
        metavar="FOLDER",
        help="Where to keep directory and guards between runs.  [env: ONIONPATH_STATE;"
        " default: $XDG_STATE_HOME/onionpath]",
    ),
    click.option(
        "--config",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="The settings file.  [env: ONIONPATH_CONFIG; default: $XDG_CONFIG_HOME/onionpath/config.toml]",
    ),
    click.option(
        "--set",
        "sets",
        multiple=True,
        metavar="KEY=VALUE",
        help="Any other setting, such as hedge=true; `onionpath settings show` lists them.",
    ),
)


@dataclass(frozen=True, slots=True)
class Given:
    """What a command line says of settings; nothing of it is read yet.

    Args:
        config: the settings file; None for the one of the environment, or the usual one.
        flags: key to value as text, and the flag's name.
    """

    config: Path | None
    flags: Mapping[str, tuple[str, str]]

    def also(self, key: str, value: object, flag: str) -> Given:
        """With one flag more, unless it was not given."""
        if value is None:
            return self
        return replace(self, flags={**self.flags, key: (str(value), flag)})

    @property
    def file(self) -> Path:
        """The settings file, which may be missing where nobody named it."""
        return self._named_file or default_settings_file()

    @property
    def _named_file(self) -> Path | None:
        named = os.environ.get("ONIONPATH_CONFIG", "")
        return self.config or (Path(named) if named else None)

    def choose(self) -> Chosen:
        """The settings and their origins.

        Raises:
            SettingsError, UsageError: a source of them is wrong.
        """
        from onionpath.cli_settings import choose_settings

        return choose_settings(
            self.flags,
            os.environ,
            file=self.file,
            is_required=self._named_file is not None,
            state=default_state_folder(),
        )

    def settings(self) -> Settings:
        """The settings."""
        return self.choose().settings


def settings_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options for its settings, which it takes as ``given``."""

    @functools.wraps(command)
    def with_given(
        *, network: str | None, state: str | None, config: Path | None, sets: Sequence[str], **others: Any
    ) -> Any:
        given = Given(config, _pairs(sets)).also("network", network, "--network")
        return command(given=given.also("state", state, "--state"), **others)

    for option in reversed(_SETTINGS_OPTIONS):
        with_given = option(with_given)
    return with_given


def _pairs(sets: Sequence[str]) -> dict[str, tuple[str, str]]:
    found: dict[str, tuple[str, str]] = {}
    for text in sets:
        key, equals, value = text.partition("=")
        if not equals or key in found:
            # The text may hold a proxy's password, so only its key is repeated.
            raise UsageError(f"--set {key}: expected KEY=VALUE, once for each key")
        found[key] = value, f"--set {key}"
    return found

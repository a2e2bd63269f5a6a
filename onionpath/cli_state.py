"""Where the program's own files are: its settings, and what outlives one command.

That is the directory, so that it starts quickly, and the guards: without guards that last, each command would draw new
ones, and soon one of them would be bad.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

PROGRAM = "onionpath"


def default_state_folder() -> Path:
    """By the XDG base directory specification; on other systems where programs keep their data."""
    return _folder("XDG_STATE_HOME", Path(".local") / "state")


def default_settings_file() -> Path:
    """The same for settings."""
    return _folder("XDG_CONFIG_HOME", Path(".config")) / "config.toml"


def _folder(variable: str, below_home: Path) -> Path:
    if sys.platform in ("win32", "darwin"):
        return Path(click.get_app_dir(PROGRAM))
    given = os.environ.get(variable, "")
    # The specification wants relative paths ignored.
    base = Path(given) if os.path.isabs(given) else Path.home() / below_home
    return base / PROGRAM

"""Where the program keeps what outlives one command: the directory, so that it starts quickly, and the guards.

Without guards that last, each command would draw new ones, and soon one of them would be bad.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

PROGRAM = "onionpath"


def default_state_folder() -> Path:
    """By the XDG base directory specification; on other systems where programs keep their data."""
    if sys.platform in ("win32", "darwin"):
        return Path(click.get_app_dir(PROGRAM))
    given = os.environ.get("XDG_STATE_HOME", "")
    # The specification wants relative paths ignored.
    base = Path(given) if os.path.isabs(given) else Path.home() / ".local" / "state"
    return base / PROGRAM

"""``python -m onionpath``, and where the program ``onionpath`` begins."""

from __future__ import annotations

import sys
from typing import NoReturn


def main() -> NoReturn:
    """The program; importing it takes a moment in which a Ctrl-C, too, ends it without a trace."""
    try:
        from onionpath import cli
    except KeyboardInterrupt:
        sys.exit(130)
    cli.main()


if __name__ == "__main__":
    main()

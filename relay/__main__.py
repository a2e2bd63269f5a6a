"""``python -m relay`` is ``onionpath-relay``."""

from __future__ import annotations

from relay.cli import main

main()

"""``python -m onionpath``."""

from onionpath.cli import main

if __name__ == "__main__":
    main()

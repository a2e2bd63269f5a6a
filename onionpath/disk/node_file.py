"""The file with the list of Session nodes through which a client goes; nothing in it is secret."""

from __future__ import annotations

from pathlib import Path

from onionpath.errors import MalformedError, SettingsError
from onionpath.swarm.node_list import MAX_LIST_SIZE, NodeList, parse_nodes


def read_nodes(file: Path) -> NodeList:
    """Read a list as a seed gives it, the answer to ``get_n_service_nodes``.

    Raises:
        SettingsError: it cannot be read, or is no list.
    """
    try:
        with file.open("rb") as opened:
            return parse_nodes(opened.read(MAX_LIST_SIZE + 1))
    except OSError as error:
        raise SettingsError(
            f"cannot read the list of nodes {file}: {error.strerror}", file=str(file)
        ) from error
    except MalformedError as error:
        raise SettingsError(f"{file} is no list of Session nodes: {error}", file=str(file)) from error

"""What all commands of ``onionpath`` share that need a network: their options, a client, and an event loop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from onionpath.cli_state import default_state_folder
from onionpath.errors import (
    MissingDirectoryError,
    SignatureThresholdError,
    UnreachableError,
    UsageError,
    WrongNetworkError,
)
from onionpath.exit_codes import TERMINATED

if TYPE_CHECKING:
    from onionpath.client.client import Client

NO_NETWORK = (
    "there is no public onionpath network yet; in a checkout of onionpath, `./dev run python -m simulations local`"
    " runs one on this machine; name its file with --network FILE or ONIONPATH_NETWORK"
)

network_option = click.option(
    "--network",
    type=click.Path(path_type=Path),
    envvar="ONIONPATH_NETWORK",
    metavar="FILE",
    help="The network's trust root.  [env: ONIONPATH_NETWORK]",
)
state_option = click.option(
    "--state",
    type=click.Path(path_type=Path),
    envvar="ONIONPATH_STATE",
    default=default_state_folder,
    show_default="$XDG_STATE_HOME/onionpath",
    metavar="FOLDER",
    help="Where to keep directory and guards between runs.  [env: ONIONPATH_STATE]",
)
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")


def existing(network: Path | None) -> Path:
    """The network's file, which every command needs."""
    if network is None:
        raise UsageError(NO_NETWORK)
    return network


@asynccontextmanager
async def client_of(network: Path, state: Path | None) -> AsyncIterator[Client]:
    """An entered client."""
    from onionpath.client.client import Client

    client = Client(network, state=state)
    try:
        await client.__aenter__()
    except MissingDirectoryError as error:
        # Nothing was offered that must not be used: there is nothing yet.
        raise UnreachableError(str(error)) from error
    try:
        yield client
    finally:
        await client.__aexit__(None, None, None)


def run_loop(network: Path, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a command's work; SIGTERM ends it as Ctrl-C does."""
    import signal

    import anyio

    terminated = False

    def end(number: int, frame: object) -> None:
        nonlocal terminated
        terminated = True
        signal.raise_signal(signal.SIGINT)

    # SIGTERM ends us as Ctrl-C does, so that what was begun is cleared away; where a shell had Ctrl-C ignored, as it
    # has for jobs in the background of a script, SIGTERM keeps its own way.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGTERM, end)
    try:
        anyio.run(work)
    except KeyboardInterrupt:
        if terminated:
            raise SystemExit(TERMINATED) from None
        raise
    except (SignatureThresholdError, WrongNetworkError) as error:
        raise type(error)(f"{network}: {error}; get this file anew from whoever runs the network") from error

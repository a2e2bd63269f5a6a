"""What all commands of ``onionpath`` share that need a network: a client by the settings, and an event loop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    from onionpath.cli_settings import Settings
    from onionpath.client.client import Client
    from onionpath.directory.trust import TrustRoot

NO_NETWORK = (
    "there is no public onionpath network yet; in a checkout of onionpath, `./dev run python -m simulations local`"
    " runs one on this machine; name its file with --network FILE, ONIONPATH_NETWORK or in the settings file"
)


def network_file(settings: Settings) -> Path:
    """The network's file, which nearly every command needs."""
    if settings.network is None:
        raise UsageError(NO_NETWORK)
    return Path(settings.network)


def new_client(settings: Settings) -> Client:
    """A client that is not entered yet."""
    from onionpath.cli_settings_values import constraints_of
    from onionpath.client.client import Client

    return Client(
        network_file(settings),
        state=Path(settings.state or default_state_folder()),
        constraints=constraints_of(settings),
        hedge=settings.hedge,
        proxy=settings.proxy,
    )


def client_folder(settings: Settings, root: TrustRoot) -> Path:
    """Where the clients of one network keep what is theirs, within the state folder."""
    return Path(settings.state or default_state_folder()) / root.network_id.hex()[:16]


@asynccontextmanager
async def client_of(settings: Settings) -> AsyncIterator[Client]:
    """An entered client."""
    client = new_client(settings)
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

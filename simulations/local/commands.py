"""The two commands over a local network: ``local`` keeps one up, ``demo`` sends a request through one."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

if TYPE_CHECKING:
    from simulations.local.network import LocalNetwork

DEMO_RELAYS = LOCAL_RELAYS = 9
# Two swarms of six, in each of which two may fail; and Session Desktop wants nine nodes at least, twelve at best.
SESSION_RELAYS = 12

relays_range = click.IntRange(3, 200)
authorities_option = click.option(
    "--authorities", type=click.IntRange(1, 9), default=1, show_default=True,
    help="how many agree on documents; two thirds must sign",
)  # fmt: skip
# As many as it takes for one to fail: two of three sign.
DEMO_AUTHORITIES = 3

json_option = click.option("--json", "as_json", is_flag=True, help="one JSON object on standard output")


@click.command()
@click.option(
    "--relays", type=relays_range,
    help=f"how many; by default {LOCAL_RELAYS}, with --session {SESSION_RELAYS}",
)  # fmt: skip
@authorities_option
@click.option(
    "--authority-period", "period_s", type=click.IntRange(1, 86_400), default=60, show_default=True,
    metavar="SECONDS", help="between directory documents",
)  # fmt: skip
@click.option("--folder", type=click.Path(path_type=Path), help="keep everything there; must be new or empty")
@click.option("--website", is_flag=True, help="with an HTTPS website, and a CA of its own")
@click.option(
    "--session", is_flag=True, help="for clients of Session, too: swarms that store, seeds, a file server"
)
@json_option
def local(
    relays: int | None,
    authorities: int,
    period_s: int,
    folder: Path | None,
    website: bool,
    session: bool,
    as_json: bool,
) -> None:
    """Run a whole network on this machine until Ctrl-C: authorities and relays, each a process of its own."""
    from simulations.local.network import LocalNetwork
    from simulations.local.usage import facts, usage

    with _ended_by_signals():
        started_at = time.monotonic()
        network = LocalNetwork(
            folder,
            relays=relays or (SESSION_RELAYS if session else LOCAL_RELAYS),
            authorities=authorities,
            authority_period_s=period_s,
            website=website,
            session=session,
            storage=session,
            tell=_tell,
        )
        with network:
            _tell(f"up after {time.monotonic() - started_at:.1f} s")
            click.echo(json.dumps(facts(network)) if as_json else usage(network))
            _stay(network)


@click.command()
@click.option("--relays", type=relays_range, default=DEMO_RELAYS, show_default=True, help="how many")
@click.option("--keep", is_flag=True, help="leave the network up afterwards, until Ctrl-C")
@json_option
def demo(relays: int, keep: bool, as_json: bool) -> None:
    """Fetch a page through three relays of a network on this machine, and show what each of them could know."""
    from simulations.local.demo import show
    from simulations.local.network import LocalNetwork
    from simulations.local.usage import usage

    with _ended_by_signals():
        started_at = time.monotonic()
        with LocalNetwork(relays=relays, authorities=DEMO_AUTHORITIES, record=True, tell=_tell) as network:
            _tell(f"up after {time.monotonic() - started_at:.1f} s")
            shown = show(network)
            click.echo(json.dumps(shown.as_json()) if as_json else shown.as_text())
            if keep:
                _tell(usage(network))
                _stay(network)
    _tell(f"done after {time.monotonic() - started_at:.1f} s; nothing of it is left")


def _stay(network: LocalNetwork) -> NoReturn:
    """Until a signal, or until a process ends by itself, which is an error."""
    sys.stdout.flush()
    while True:
        network.processes.check(timeout_s=1.0)


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """SIGTERM, and the terminal's end, end the command as a Ctrl-C does, but they are no failure."""

    def end(number: int, frame: object) -> NoReturn:
        # A terminal that closes may say so twice, and the second time must not interrupt the clearing up.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        raise SystemExit(0)

    before = {signal.SIGTERM: signal.signal(signal.SIGTERM, end)}
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup leaves it
        before[signal.SIGHUP] = signal.signal(signal.SIGHUP, end)
    # A shell starts background jobs with SIGINT ignored; here it must end what was started.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _tell(line: str) -> None:
    try:
        click.echo(line, err=True)
    except OSError:
        # Whoever read this is gone, a closed terminal for one. What is to be ended must end nevertheless, and what
        # stands in the buffer must go somewhere, or Python ends with a code of its own.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())

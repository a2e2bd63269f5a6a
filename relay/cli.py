"""``onionpath-relay``: found, check and run a relay, and a small network's authority.

Whatever goes wrong is one line on standard error that says what to do, and an exit code of
docs/guides/exit-codes.md. Commands import what they need themselves, so that ``--help`` answers at once.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from onionpath.errors import OnionPathError, SettingsError
from onionpath.exit_codes import run_program

if TYPE_CHECKING:
    from relay.checkup import Finding
    from relay.founding import Founded
    from relay.serving import Announce, Ready
    from relay.settings import AuthoritySettings, Endpoint, LogSection, RelaySettings

Command = TypeVar("Command", bound=Callable[..., Any])

PROGRAM = "onionpath-relay"
_DURATION = re.compile(r"(?P<count>[1-9][0-9]{0,5})(?P<unit>[smhd])", re.ASCII)
_UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def _seconds(context: click.Context, parameter: click.Parameter, value: str) -> int:
    """Read ``90s``, ``5m``, ``1h`` or ``1d``."""
    found = _DURATION.fullmatch(value)
    if found is None:
        raise click.BadParameter(f"expected a number and s, m, h or d, such as 1h, not {value!r}")
    return int(found["count"]) * _UNIT_S[found["unit"]]


def duration_option(name: str, *, default: str, help: str) -> Callable[[Command], Command]:
    """An option that is given with its unit and arrives in seconds."""
    return click.option(
        name, metavar="DURATION", callback=_seconds, default=default, show_default=True, help=help
    )


SETTINGS_FILE = click.Path(path_type=Path)
set_option = click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="e.g. log.level=debug")
json_option = click.option("--json", "as_json", is_flag=True, help="JSON on standard output")
ready_option = click.option(
    "--ready-fd", type=click.IntRange(min=0), help="write the ready line to this file, too"
)


def _version(context: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        from onionpath.version import VERSION

        click.echo(f"{PROGRAM} {VERSION}")
        context.exit()


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version,
    help="Show the version and exit.",
)  # fmt: skip
@click.pass_context
def cli(context: click.Context) -> None:
    """Run a relay of an onionpath network, or found a network of your own."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help(), err=True)
        context.exit(2)


@cli.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--listen", "listens", multiple=True, metavar="IP:PORT", help="also published, unless set otherwise"
)
@click.option("--trust-root", type=SETTINGS_FILE, help="the network's trust root, copied into FOLDER")
@click.option("--exit", "is_exit", is_flag=True, help="reach websites for others; see the operator's guide")
@set_option
def init(
    folder: Path, listens: tuple[str, ...], trust_root: Path | None, is_exit: bool, sets: tuple[str, ...]
) -> None:
    """Write FOLDER/relay.toml with every default, and make the relay's keys."""
    from relay.founding import found_relay
    from relay.settings import RelaySettings

    values = _typed(_pairs(sets), RelaySettings)
    if listens:
        values["relay.listen"] = listens
    if is_exit:
        values["exit.enabled"] = True
    founded = found_relay(folder, values, trust_root=trust_root, entropy=os.urandom)
    _print_founded(founded, "relay", f"{PROGRAM} check {founded.settings_file}")


@cli.command()
@click.argument("settings", type=SETTINGS_FILE)
@json_option
@set_option
def check(settings: Path, as_json: bool, sets: tuple[str, ...]) -> None:
    """Check everything that can be checked without serving, and print what would run."""
    from relay.checkup import check_relay

    findings = check_relay(_load_relay(settings, sets))
    if as_json:
        checks = [{"name": one.name, "ok": one.error is None, "detail": one.detail} for one in findings]
        click.echo(json.dumps({"ok": all(one.error is None for one in findings), "checks": checks}))
    else:
        for one in findings:
            click.echo(f"{'ok   ' if one.error is None else 'WRONG'} {one.name}: {one.detail}")
    _raise_first(findings)


def _raise_first(findings: Sequence[Finding]) -> None:
    for finding in findings:
        if finding.error is not None:
            raise finding.error


@cli.command()
@click.argument("settings", type=SETTINGS_FILE)
@ready_option
@json_option
@set_option
def run(settings: Path, ready_fd: int | None, as_json: bool, sets: tuple[str, ...]) -> None:
    """Run the relay in the foreground until SIGTERM."""
    loaded = _load_relay(settings, sets)
    _prepare_process(loaded.log)
    from relay.daemon import run_relay

    _serve(lambda: run_relay(loaded, ready=_announcer(ready_fd, as_json)))


@cli.group()
def authority() -> None:
    """Found and run a network's authority."""


@authority.command("init")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--listen", "listens", multiple=True, required=True, metavar="IP:PORT", help="the first is published"
)
@click.option("--advertise", metavar="IP:PORT", help="published instead, if it listens behind NAT")
@click.option("--name", default="onionpath", show_default=True, help="the network's name")
@duration_option("--period", default="1h", help="between documents")
@click.option("--hops", type=click.IntRange(2, 5), default=3, show_default=True, help="relays on every path")
@click.option("--small", type=int, default=8192, show_default=True, help="bytes of a small frame")
@click.option("--large", type=int, default=131_072, show_default=True, help="bytes of a large frame")
@duration_option("--slot", default="5m", help="of the replay memory")
@duration_option("--epoch", default="6h", help="of a packet key")
@click.option("--first-document-relays", type=click.IntRange(1, 20_000), default=3, show_default=True)
@click.option(
    "--private-addresses", is_flag=True, help="a test network: private addresses, all in one subnet"
)
@set_option
def authority_init(
    folder: Path,
    listens: tuple[str, ...],
    advertise: str | None,
    name: str,
    period: int,
    hops: int,
    small: int,
    large: int,
    slot: int,
    epoch: int,
    first_document_relays: int,
    private_addresses: bool,
    sets: tuple[str, ...],
) -> None:
    """Found a network: keys, FOLDER/authority.toml, and FOLDER/network.json, the trust root to give out.

    Hops, sizes, slot, epoch and period stand in the trust root, and stay as they are.
    """
    from onionpath.directory.parameters import Parameters
    from relay.founding import found_authority
    from relay.settings import AuthoritySettings, parse_endpoint

    try:
        parameters = Parameters(
            hops, small, large, slot, epoch, distinct_subnets=not private_addresses, period_s=period
        )
    except OnionPathError as error:
        raise click.UsageError(str(error)) from error

    values = {
        "authority.listen": listens,
        "authority.period_s": period,
        "authority.first_document_relays": first_document_relays,
        "authority.private_addresses": private_addresses,
    } | _typed(_pairs(sets), AuthoritySettings)
    address = parse_endpoint(advertise or listens[0], key="authority.listen")
    founded = found_authority(
        folder, values, name=name, address=address, parameters=parameters, entropy=os.urandom
    )
    _warn_of_private_address(address, private_addresses)
    _print_founded(founded, "authority", f"{PROGRAM} authority run {founded.settings_file}")


def _warn_of_private_address(address: Endpoint, private_addresses: bool) -> None:
    from relay.authority.public import is_public

    if not private_addresses and not is_public(address.host):
        click.echo(
            f"warning: {address.host} is not a public address, and without --private-addresses this authority refuses"
            " every relay whose address is not public (address-not-public)",
            err=True,
        )


@authority.command("run")
@click.argument("settings", type=SETTINGS_FILE)
@ready_option
@json_option
@set_option
def authority_run(settings: Path, ready_fd: int | None, as_json: bool, sets: tuple[str, ...]) -> None:
    """Run the authority in the foreground until SIGTERM."""
    from relay.settings import AuthoritySettings
    from relay.settings_files import load_settings

    with _hint("relay", f"{PROGRAM} run {settings}"):
        loaded = load_settings(settings, AuthoritySettings, environment=os.environ, flags=_pairs(sets))
    _prepare_process(loaded.log)
    from relay.daemon import run_authority

    _serve(lambda: run_authority(loaded, ready=_announcer(ready_fd, as_json)))


def _pairs(sets: Sequence[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in sets:
        key, equals, value = text.partition("=")
        if not equals or key in pairs:
            raise SettingsError(f"--set {text}: expected section.key=value, once for each key", key=key)
        pairs[key] = value
    return pairs


def _typed(pairs: dict[str, str], kind: type[RelaySettings] | type[AuthoritySettings]) -> dict[str, Any]:
    from relay.settings_files import parse_value

    return {key: parse_value(kind, key, text, origin=f"--set {key}") for key, text in pairs.items()}


def _load_relay(file: Path, sets: Sequence[str]) -> RelaySettings:
    from relay.settings import RelaySettings
    from relay.settings_files import load_settings

    with _hint("authority", f"{PROGRAM} authority run {file}"):
        return load_settings(file, RelaySettings, environment=os.environ, flags=_pairs(sets))


@contextmanager
def _hint(section: str, command: str) -> Iterator[None]:
    """A section of the other program's file says which command was meant."""
    try:
        yield
    except SettingsError as error:
        if error.key != section:
            raise
        message = f"{error.file} is the settings file of the other kind of node; use `{command}`"
        raise SettingsError(message, file=error.file, key=error.key) from error


def _print_founded(founded: Founded, what: str, then: str) -> None:
    click.echo(f"{what} {founded.keys.identity.public.hex()}")
    click.echo(f"settings in {founded.settings_file}; next: {then}")


def _prepare_process(log: LogSection) -> None:
    from relay.hygiene import harden_process
    from relay.logs import configure_logs

    configure_logs(log.level, log.format)
    for warning in harden_process():
        click.echo(f"warning: {warning}", err=True)


def _serve(main: Callable[[], Any]) -> None:
    import trio

    trio.run(main)


def _announcer(ready_fd: int | None, as_json: bool) -> Announce:
    """Tells once that we serve: a JSON line to ``ready_fd``, and one on standard output."""

    def announce(ready: Ready) -> None:
        facts = asdict(ready)
        line = json.dumps({"event": "ready", **facts})
        addresses = " and ".join(ready.addresses)
        click.echo(line if as_json else f"ready: {ready.identity} at {addresses}, process {ready.pid}")
        if ready_fd is not None:
            with os.fdopen(ready_fd, "w", encoding="ascii") as file:
                file.write(line + "\n")

    return announce


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The program: runs the command and exits by the table in ``onionpath.exit_codes``."""
    run_program(cli, arguments, name=PROGRAM, explain=_explain)


def _explain(error: BaseException) -> str | None:
    """A fault of ours with its place, which an operator can report without showing what it was about."""
    if isinstance(error, OSError):
        return None
    from relay.logs import describe_error

    return f"a fault of ours: {describe_error(error)}; please report this line"

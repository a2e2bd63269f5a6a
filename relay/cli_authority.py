"""``onionpath-relay authority``: found a network alone or with others, run one of its authorities, and succeed them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack

import click

from onionpath.errors import OnionPathError
from relay.cli_options import (
    PROGRAM,
    SETTINGS_FILE,
    Command,
    announcer,
    duration_option,
    hint,
    json_option,
    pairs,
    prepare_process,
    print_founded,
    ready_option,
    serve,
    set_option,
    typed,
)

if TYPE_CHECKING:
    from onionpath.directory.parameters import Parameters
    from relay.settings import Endpoint


@click.group()
def authority() -> None:
    """Found a network, and run one of its authorities."""


class NetworkOptions(TypedDict):
    """What is the same for a whole network, as the command line has it."""

    name: str
    period: int
    hops: int
    small: int
    large: int
    slot: int
    epoch: int
    private_addresses: bool


_NETWORK_OPTIONS: list[Callable[[Command], Command]] = [
    click.option("--name", default="onionpath", show_default=True, help="the network's name"),
    duration_option("--period", default="1h", help="between documents"),
    click.option(
        "--hops", type=click.IntRange(2, 5), default=3, show_default=True, help="relays on every path"
    ),
    click.option("--small", type=int, default=8192, show_default=True, help="bytes of a small frame"),
    click.option("--large", type=int, default=131_072, show_default=True, help="bytes of a large frame"),
    duration_option("--slot", default="5m", help="of the replay memory"),
    duration_option("--epoch", default="6h", help="of a packet key"),
    click.option(
        "--private-addresses", is_flag=True, help="a test network: private addresses, all in one subnet"
    ),
]


def network_options(command: Command) -> Command:
    """What stands in the trust root."""
    return reduce(lambda done, option: option(done), reversed(_NETWORK_OPTIONS), command)


def _parameters(network: NetworkOptions) -> Parameters:
    from onionpath.directory.parameters import Parameters
    from relay.keys import KeySchedule

    try:
        parameters = Parameters(
            network["hops"],
            network["small"],
            network["large"],
            network["slot"],
            network["epoch"],
            distinct_subnets=not network["private_addresses"],
            period_s=network["period"],
        )
    except OnionPathError as error:
        raise click.UsageError(str(error)) from error
    # Built only to be refused here rather than by every relay.
    KeySchedule(parameters.epoch_s, parameters.slot_s)
    return parameters


@authority.command("init")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--listen", "listens", multiple=True, required=True, metavar="IP:PORT", help="the first is published"
)
@click.option("--advertise", metavar="IP:PORT", help="published instead, if it listens behind NAT")
@click.option("--join", is_flag=True, help="one of several: make no network, only FOLDER/card.json")
@click.option("--first-document-relays", type=click.IntRange(1, 20_000), default=3, show_default=True)
@network_options
@set_option
def authority_init(
    folder: Path,
    listens: tuple[str, ...],
    advertise: str | None,
    join: bool,
    first_document_relays: int,
    sets: tuple[str, ...],
    **network: Unpack[NetworkOptions],
) -> None:
    """Make an authority: keys, FOLDER/authority.toml, and FOLDER/card.json, which others may see.

    Without --join it is a network's only one, and FOLDER/network.json, the trust root to give out, is made as
    well. Hops, sizes, slot, epoch and period stand there, and stay as they are.
    """
    from relay.founding import found_authority
    from relay.settings import AuthoritySettings, parse_endpoint

    parameters = _parameters(network)
    values = {
        "authority.listen": listens,
        "authority.first_document_relays": first_document_relays,
        "authority.private_addresses": network["private_addresses"],
    } | typed(sets, AuthoritySettings)
    address = parse_endpoint(advertise or listens[0], key="authority.listen")
    founded = found_authority(folder, values, address=address, entropy=os.urandom)
    _warn_of_private_address(address, network["private_addresses"])
    then = f"give {founded.card} to whoever founds the network"
    if not join:
        _found(folder / "network.json", (founded.card,), 1, network["name"], parameters)
        then = f"{PROGRAM} authority run {founded.settings_file}"
    print_founded(founded, "authority", then)


@authority.command("found")
@click.argument("root_file", metavar="NETWORK.JSON", type=SETTINGS_FILE)
@click.argument("cards", nargs=-1, required=True, type=SETTINGS_FILE)
@click.option("--threshold", type=click.IntRange(1, 32), help="how many must sign  [default: two thirds]")
@network_options
def authority_found(
    root_file: Path, cards: tuple[Path, ...], threshold: int | None, **network: Unpack[NetworkOptions]
) -> None:
    """Found a network of several authorities from their cards: writes its trust root to NETWORK.JSON.

    Each of them copies it into its folder as network.json; relays and clients are given the same file.
    """
    # Two thirds, rounded up: then a third of them may fail or lie.
    needed = threshold or -(-2 * len(cards) // 3)
    _found(root_file, cards, needed, network["name"], _parameters(network))
    count = "1 authority" if len(cards) == 1 else f"{len(cards)} authorities"
    click.echo(f"{root_file}: {count}, of which {needed} must sign")


def _found(
    root_file: Path, cards: tuple[Path, ...], threshold: int, name: str, parameters: Parameters
) -> None:
    from relay.cards import read_card
    from relay.founding import found_network

    found_network(
        root_file,
        [read_card(card) for card in cards],
        name=name,
        threshold=threshold,
        parameters=parameters,
        entropy=os.urandom,
    )


def _warn_of_private_address(address: Endpoint, private_addresses: bool) -> None:
    from relay.addresses import is_public

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

    with hint("relay", f"{PROGRAM} run {settings}"):
        loaded = load_settings(settings, AuthoritySettings, environment=os.environ, flags=pairs(sets))
    prepare_process(loaded.log)
    from relay.daemon import run_authority

    serve(lambda: run_authority(loaded, ready=announcer(ready_fd, as_json)))


@authority.command("status")
@click.argument("settings", type=SETTINGS_FILE)
@json_option
def authority_status(settings: Path, as_json: bool) -> None:
    """Ask the running authority how it is, or see what a stopped one has stored."""
    from relay.authority.report import look, report
    from relay.settings import AuthoritySettings
    from relay.settings_files import load_settings

    status = look(load_settings(settings, AuthoritySettings, environment=os.environ))
    click.echo(json.dumps(status.as_json()) if as_json else report(status))


@authority.group("succeed")
def succeed() -> None:
    """Change a network's authorities: propose, sign offline, join the signatures."""


@succeed.command("propose")
@click.argument("root_file", metavar="NETWORK.JSON", type=SETTINGS_FILE)
@click.argument("cards", nargs=-1, required=True, type=SETTINGS_FILE)
@click.option("--threshold", type=click.IntRange(1, 32), required=True, help="how many must sign then")
@click.option("--output", type=SETTINGS_FILE, required=True, help="the next version, to be signed")
def succeed_propose(root_file: Path, cards: tuple[Path, ...], threshold: int, output: Path) -> None:
    """Write the next version of the trust root: these authorities, and all else as it is."""
    from relay.authority.succeeding import propose
    from relay.cards import read_card
    from relay.founding import write_new
    from relay.lineage_files import read_roots

    after = propose(read_roots(root_file).newest, [read_card(card) for card in cards], threshold)
    write_new(output, after.encode())
    click.echo(f"{output}: version {after.version}, {len(cards)} authorities, of which {threshold} must sign")


@succeed.command("sign")
@click.argument("root_file", metavar="NETWORK.JSON", type=SETTINGS_FILE)
@click.argument("next_file", metavar="NEXT.JSON", type=SETTINGS_FILE)
@click.option("--state", type=SETTINGS_FILE, required=True, help="the folder of the authority's keys")
@click.option("--output", type=SETTINGS_FILE, required=True, help="this authority's signature")
def succeed_sign(root_file: Path, next_file: Path, state: Path, output: Path) -> None:
    """Sign the next version, as an authority of the present or of the next one; needs no network."""
    from onionpath.directory.succession import sign_succession
    from onionpath.disk.trust_file import read_trust_root
    from relay.founding import write_new
    from relay.keys import load_relay_keys
    from relay.lineage_files import read_roots

    keys = load_relay_keys(state)
    before, after = read_roots(root_file).newest, read_trust_root(next_file)
    write_new(output, sign_succession(before, after, [keys.identity]))


@succeed.command("join")
@click.argument("root_file", metavar="NETWORK.JSON", type=SETTINGS_FILE)
@click.argument("signed", nargs=-1, required=True, type=SETTINGS_FILE)
def succeed_join(root_file: Path, signed: tuple[Path, ...]) -> None:
    """Join the signatures to the succession, and write it beside NETWORK.JSON, where authorities find it."""
    from onionpath.directory.succession import verify_succession
    from relay.authority.succeeding import join_signatures
    from relay.founding import write_new
    from relay.lineage_files import read_roots, succession_file

    before = read_roots(root_file).newest
    joined = join_signatures([file.read_bytes() for file in signed])
    after = verify_succession(joined, before)
    file = succession_file(root_file, after.version)
    write_new(file, joined)
    click.echo(f"{file}: copy it beside the network.json of every authority, and restart them")

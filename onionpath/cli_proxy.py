"""``onionpath proxy`` and ``onionpath run``: the network for programs that know nothing of it."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING

import click

from onionpath.cli_client import client_folder, client_of, network_file, run_loop
from onionpath.cli_given import Given, json_option, settings_options
from onionpath.cli_output import say
from onionpath.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from anyio.abc import ByteStream, Listener

    from onionpath.cli_settings import Settings
    from onionpath.proxy.failures import Failure
    from onionpath.proxy.handshake import Wanted

DEFAULT_LISTEN = "127.0.0.1:9250"
_NOTICES = {
    "address_by_number": "a program asked for an address instead of a name; it may have looked the name up itself, "
    "for all to see: give it socks5h:// or http://, not socks5://",
    "too_many_connections": "programs hold as many connections as this proxy takes; newer ones are hung up on",
    "socks_4": "a program speaks SOCKS 4, which has no names; give it socks5h:// or http://",
}
# By the name of the code that a program is told. No destination is named: what stands on a screen for days, or in a
# log, would be a list of them.
_FAILURES = {
    "NETWORK_UNREACHABLE": "a program got no connection, because the network cannot be used for now; "
    "`onionpath doctor` says why",
    "TTL_EXPIRED": "a program got no connection in time; `onionpath doctor` says whether that is the network's fault",
    "NOT_ALLOWED": "a program asked for an address or port that no exit allows",
    "HOST_UNREACHABLE": "a program asked for a name that the exit cannot resolve",
    "CONNECTION_REFUSED": "a program asked for a website that refuses connections",
    "FAILED": "a program got no answer, and was told why",
}


@click.command()
@click.option(
    "--listen",
    metavar="HOST:PORT",
    help=f"Where programs connect; port 0 takes a free one.  [env: ONIONPATH_LISTEN; default: {DEFAULT_LISTEN}]",
)
@settings_options
@json_option
def proxy(listen: str | None, given: Given, as_json: bool) -> None:
    """Serve SOCKS 5 and HTTP on one port, for programs of this machine, until Ctrl-C.

    Names are resolved by the last relay. A SOCKS user name, with its password, or a user name for HTTP gives its
    connections paths of their own.
    """
    from onionpath.cli_settings_values import parse_listen

    settings = given.also("listen", listen, "--listen").settings()
    host, port = parse_listen(settings.listen)
    run_loop(network_file(settings), lambda: _proxy(settings, host, port, as_json))


async def _proxy(settings: Settings, host: str, port: int, as_json: bool) -> None:
    import anyio

    from onionpath.cli_status_door import tell_forever
    from onionpath.cli_status_process import told
    from onionpath.cli_traffic import Traffic
    from onionpath.proxy.server import ProxyServer

    async with AsyncExitStack() as stack:
        listener, bound = await _listen(host, port)
        stack.push_async_callback(listener.aclose)
        if not _is_loopback(host):
            _warn(f"everybody who can reach {host} can use this proxy, and sees what you send to it")
        client = await stack.enter_async_context(client_of(settings))
        traffic = Traffic()
        server = ProxyServer(traffic.counted(client.open_stream), notice=_notice, failed=_first_failures())
        tasks = await stack.enter_async_context(anyio.create_task_group())
        where = _where(host, bound)
        tell = partial(told, client, server, traffic, where)
        tasks.start_soon(tell_forever, client_folder(settings, client.trust_root), tell)
        _tell(where, as_json)
        await server.serve(listener)


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@settings_options
def run(command: tuple[str, ...], given: Given) -> None:
    """Run COMMAND with a proxy of its own in its environment, and end with its exit code.

    It works for programs that heed HTTP_PROXY, HTTPS_PROXY and ALL_PROXY: curl, git, pip and most others. One that
    does not still connects directly: nothing here can keep it from that.
    """
    settings = given.settings()
    codes: list[int] = []
    run_loop(network_file(settings), lambda: _run(command, settings, codes))
    raise SystemExit(codes[0])


async def _run(command: Sequence[str], settings: Settings, codes: list[int]) -> None:
    import os

    import anyio

    from onionpath.proxy.command import NOT_EXECUTABLE, NOT_FOUND, environment, new_password, run_command
    from onionpath.proxy.handshake import Access
    from onionpath.proxy.server import ProxyServer

    password = new_password()
    async with client_of(settings) as client, anyio.create_task_group() as tasks:
        listener, port = await _listen("127.0.0.1", 0)
        server = ProxyServer(
            client.open_stream, access=Access(password), notice=_notice, failed=_tell_failure
        )
        tasks.start_soon(server.serve, listener)
        variables = environment(os.environ, port=port, password=password)
        codes.append(await run_command(command, variables))
        tasks.cancel_scope.cancel()
    if codes[0] in (NOT_FOUND, NOT_EXECUTABLE):
        _warn(f"{command[0]}: not found, or not to be run")


async def _listen(host: str, port: int) -> tuple[Listener[ByteStream], int]:
    import anyio
    from anyio.abc import SocketAttribute

    try:
        listener = await anyio.create_tcp_listener(local_host=host, local_port=port)
    except OSError as error:
        raise UsageError(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
    return listener, listener.extra(SocketAttribute.local_port)  # noqa: S610  # anyio's, and no SQL is near


def _is_loopback(host: str) -> bool:
    from ipaddress import ip_address

    return ip_address(host).is_loopback


def _where(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _tell(where: str, as_json: bool) -> None:
    if as_json:
        ready = {"event": "ready", "address": where, "socks": f"socks5h://{where}", "http": f"http://{where}"}
        say(json.dumps(ready))
    else:
        say(f"proxy ready at {where}: socks5h://{where} or http://{where}; end it with Ctrl-C")


def _notice(reason: str) -> None:
    if reason in _NOTICES:
        _warn(_NOTICES[reason])


def _tell_failure(wanted: Wanted, failure: Failure) -> None:
    """In one line, whatever a program took for a host; it is the terminal of the person who gave the command."""
    line = f"no connection to {_where(wanted.host, wanted.port)}: {failure.words}"
    _warn("".join(each if each.isprintable() else "?" for each in line))


def _first_failures() -> Callable[[Wanted, Failure], None]:
    """Tells the first failure of each kind, so that a browser's hundred failures are one line."""
    told: set[str] = set()

    def tell(wanted: Wanted, failure: Failure) -> None:
        kind = failure.code.name
        if kind in _FAILURES and kind not in told:
            told.add(kind)
            _warn(f"{_FAILURES[kind]}; this is said once")

    return tell


def _warn(message: str) -> None:
    click.echo(f"warning: {message}", err=True)

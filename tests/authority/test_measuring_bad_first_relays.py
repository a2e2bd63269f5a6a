"""First relays of a path that say nothing, or do not stop talking: a probe ends by itself, and blames them."""

from __future__ import annotations

import os
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import trio
import trio.testing

from onionpath.crypto.certificates import make_link_certificate
from onionpath.directory.address import Address
from onionpath.directory.directory import Relay
from onionpath.directory.parameters import Parameters
from onionpath.errors import Edge
from onionpath.injected import UnixTime
from onionpath.link.frames import Kind, encode_frame
from onionpath.link.tls import client_context, server_context
from relay.authority.echoing import Echoer
from relay.authority.findings import Broken, Outcome
from relay.authority.first_hop import MOST_STRAY_FRAMES
from relay.authority.probe_paths import Probe
from tests.directory.networks import NETWORK_ID, NOW, descriptor

PARAMETERS = Parameters()
Serve = Callable[[trio.SocketStream], Awaitable[None]]
# The clock jumps while nothing happens for so long; bytes over loopback are there sooner.
QUIET_S = 0.02


def probed(serve: Serve, *, key_hash: bytes = bytes(32)) -> tuple[Outcome | None, float]:
    """What a probe finds whose first relay behaves like this, and after how many seconds of the probe's time."""

    async def main() -> tuple[Outcome | None, float]:
        async with trio.open_nursery() as nursery:
            listener, *_ = await nursery.start(trio.serve_tcp, serve, 0)
            port = listener.socket.getsockname()[1]
            probe = Probe((first_at(port, key_hash), *others()), 1, 4)
            echoer = Echoer(PARAMETERS, NETWORK_ID, client_context(), lambda: NOW, os.urandom)
            outcome = await echoer.carry_out(probe)
            seconds = trio.current_time()
            nursery.cancel_scope.cancel()
        return outcome, seconds - started_at

    clock = trio.testing.MockClock(autojump_threshold=QUIET_S)
    started_at = clock.current_time()
    return trio.run(main, clock=clock)


def first_at(port: int, key_hash: bytes) -> Relay:
    return Relay(descriptor(0, addresses=(Address("127.0.0.1", port),), link_key_hash=key_hash), 1000)


def others() -> tuple[Relay, Relay]:
    return Relay(descriptor(1), 1000), Relay(descriptor(2), 1000)


async def silent(stream: trio.SocketStream) -> None:
    await trio.sleep_forever()


def test_a_silent_first_relay_costs_33_seconds_and_is_blamed() -> None:
    outcome, seconds = probed(silent)

    assert Broken(Edge(-1, 0)) == outcome
    assert 33 <= seconds <= 34


def test_a_first_relay_that_goes_on_with_what_nobody_asked_for_is_left(tmp_path: Path) -> None:
    """Otherwise one relay could keep an authority reading for half a minute, as fast as it can send."""
    certificate = make_link_certificate()
    (tmp_path / "certificate.pem").write_bytes(certificate.certificate_pem)
    (tmp_path / "key.pem").write_bytes(certificate.key_pem)
    tls = server_context(tmp_path / "certificate.pem", tmp_path / "key.pem")
    outcome, seconds = probed(talking(tls), key_hash=certificate.key_hash)

    assert Broken(Edge(-1, 0)) == outcome
    assert seconds < 33


def talking(tls: ssl.SSLContext) -> Serve:
    async def talk(stream: trio.SocketStream) -> None:
        secured = trio.SSLStream(stream, tls, server_side=True)
        for _ in range(MOST_STRAY_FRAMES):
            await secured.send_all(encode_frame(PARAMETERS.geometry, Kind.PADDING))
        await trio.sleep_forever()

    return talk


def test_a_relay_whose_keys_are_of_another_time_says_nothing_of_the_network() -> None:
    async def main() -> Outcome | None:
        old = Relay(replace(descriptor(0), packet_keys=descriptor(0, now=UnixTime(1_000_000)).packet_keys), 1)
        echoer = Echoer(PARAMETERS, NETWORK_ID, client_context(), lambda: NOW, os.urandom)
        return await echoer.carry_out(Probe((old, *others()), 1, 0))

    assert trio.run(main) is None

"""What must not be reached is never even connected to."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
import trio
import trio.testing

from onionpath.onion.statuses import Reason
from onionpath.service.exit_policy import DEFAULT_RULES, ExitPolicy, IPAddress
from onionpath.service.hosts import DnsName, parse_host
from relay.addresses import SPECIAL
from relay.exit.dial import Dialer
from relay.exit.interfaces import OwnAddresses, own_addresses, parse_fib_trie, parse_if_inet6

V4, OTHER_V4, V6, OTHER_V6 = "93.184.216.34", "93.184.216.35", "2606:4700::1", "2606:4700::2"


class World:
    """A resolver with one answer for every name, and connections that end as told, each after its delay."""

    def __init__(
        self,
        *answers: str,
        ends: Sequence[float | OSError] = (),
        resolve_s: float = 0,
        rules: Sequence[str] = (),
        listeners: Sequence[tuple[str, int]] = (),
        reachable_private: Sequence[str] = (),
    ) -> None:
        self.answers = [ip_address(answer) for answer in answers]
        self.ends = list(ends)
        self.resolve_s = resolve_s
        self.own: set[IPAddress] = set()
        self.asked: list[str] = []
        self.dialled: list[tuple[str, int]] = []
        self.dialer = Dialer(
            ExitPolicy.parse(rules or DEFAULT_RULES),
            own=lambda: self.own,
            listeners=[(ip_address(host), port) for host, port in listeners],
            reachable_private=[ip_network(text) for text in reachable_private],
            resolver=self.resolve,
            connect=self.connect,
        )

    async def resolve(self, name: DnsName, *, caller: int) -> Sequence[IPAddress]:
        self.asked.append(name.text)
        await trio.sleep(self.resolve_s)
        return self.answers

    async def connect(self, address: IPAddress, port: int) -> trio.SocketStream:
        self.dialled.append((str(address), port))
        end = self.ends.pop(0) if self.ends else 0
        if isinstance(end, OSError):
            raise end
        await trio.sleep(end)
        ours, theirs = trio.socket.socketpair()
        theirs.close()
        return trio.SocketStream(ours)

    def dial(self, host: str = "example.com", port: int = 443) -> Reason | None:
        async def main() -> Reason | None:
            async with self.dialer.dial(parse_host(host.encode()), port, 1) as result:
                return result if isinstance(result, Reason) else None

        return trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def test_a_name_is_resolved_once_and_its_first_address_is_dialled() -> None:
    world = World(V4, V6)

    assert None is world.dial()
    assert ["example.com"] == world.asked
    assert [(V4, 443)] == world.dialled


@pytest.mark.parametrize("special", [entry[0] for entry in SPECIAL])
def test_no_registered_address_is_dialled_even_beside_a_public_one(special: str) -> None:
    """One forbidden answer refuses all: who mixes them in is probing the operator's network."""
    world = World(V4, special.partition("/")[0])

    assert Reason.ADDRESS_FORBIDDEN == world.dial()
    assert [] == world.dialled


@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "fe80::1", "localhost"])
def test_forbidden_hosts_are_neither_resolved_nor_dialled(host: str) -> None:
    world = World(V4)

    assert Reason.ADDRESS_FORBIDDEN == world.dial(host)
    assert ([], []) == (world.asked, world.dialled)


@pytest.mark.parametrize(
    "port", [22, 25, 119, 135, 139, 445, 465, 563, 587, 1214, 4662, 6346, 6699, 6881, 8080]
)
def test_a_port_that_is_not_listed_is_refused_before_resolving(port: int) -> None:
    world = World(V4)

    assert Reason.PORT_REFUSED == world.dial(port=port)
    assert ([], []) == (world.asked, world.dialled)


def test_a_network_that_the_policy_rejects_is_refused_also_when_it_is_translated() -> None:
    rules = ["reject 93.184.216.0/24:*", "accept *:443"]
    for answer in (V4, "64:ff9b::" + V4):
        world = World(answer, rules=rules)
        assert Reason.PORT_REFUSED == world.dial()
        assert [] == world.dialled


def test_addresses_that_the_policy_rejects_are_left_out() -> None:
    world = World(V6, V4, rules=["accept 0.0.0.0/0:443"])

    assert None is world.dial()
    assert [(V4, 443)] == world.dialled


def test_at_most_two_addresses_are_tried_and_one_of_each_family() -> None:
    world = World(V6, OTHER_V6, V4, OTHER_V4, ends=[OSError(), OSError()])

    assert Reason.CONNECTION_REFUSED == world.dial()
    assert [(V6, 443), (V4, 443)] == world.dialled


def test_the_second_address_is_tried_after_half_of_the_time() -> None:
    assert None is World(V6, V4, ends=[60, 4.9]).dial()
    assert Reason.CONNECTION_TIMED_OUT == World(V6, V4, ends=[60, 5.1]).dial()
    assert Reason.CONNECTION_TIMED_OUT == World(V4, ends=[10.1]).dial()
    assert None is World(V4, ends=[9.9]).dial()


def test_a_kernel_that_gives_up_is_a_timeout() -> None:
    assert Reason.CONNECTION_TIMED_OUT == World(V4, ends=[TimeoutError()]).dial()


def test_a_name_without_addresses_and_names_of_local_networks_are_not_found() -> None:
    assert Reason.NAME_NOT_FOUND == World().dial()
    world = World(V4)
    assert Reason.NAME_NOT_FOUND == world.dial("printer.local")
    assert [] == world.asked


def test_a_name_with_an_absurd_number_of_addresses_is_not_found() -> None:
    assert Reason.NAME_NOT_FOUND == World(*[V4] * 65).dial()


def test_a_resolver_that_takes_long_is_given_up_after_five_seconds() -> None:
    assert Reason.NAME_TIMED_OUT == World(V4, resolve_s=5.1).dial()
    assert None is World(V4, resolve_s=4.9).dial()


def test_an_address_that_the_machine_got_later_is_refused_and_one_that_it_lost_is_not() -> None:
    world = World(V4)
    assert None is world.dial()
    world.own = {ip_address(V4)}
    assert Reason.ADDRESS_FORBIDDEN == world.dial()
    world.own = set()
    assert None is world.dial()


@pytest.mark.parametrize(
    ("listener", "answer"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("0.0.0.0", "127.9.9.9"),  # noqa: S104  # nobody listens there
        ("0.0.0.0", "10.0.0.5"),  # noqa: S104
        ("::", "10.0.0.5"),
        ("10.0.0.5", "::ffff:10.0.0.5"),
    ],
)
def test_the_relays_own_listeners_stay_closed_where_the_operator_lets_it_reach_the_machine(
    listener: str, answer: str
) -> None:
    """Whoever connects a relay to itself has it work for him as a client of its own links."""
    private = ["127.0.0.0/8", "10.0.0.0/8", "::ffff:0:0/96"]
    world = World(answer, rules=["accept *:*"], listeners=[(listener, 7740)], reachable_private=private)
    world.own = {ip_address("10.0.0.5")}

    assert Reason.ADDRESS_FORBIDDEN == world.dial(port=7740)
    assert [] == world.dialled
    assert None is world.dial(port=7741)


def test_every_caller_has_a_name_looked_up_for_himself() -> None:
    """What is remembered, or shared while it is under way, tells one caller by its speed what another asks for."""
    world = World(V4, resolve_s=1.0)

    async def ask(caller: int) -> None:
        async with world.dialer.dial(parse_host(b"example.com"), 443, caller):
            pass

    async def main() -> None:
        await ask(1)
        async with trio.open_nursery() as nursery:
            for caller in (1, 2, 2):
                nursery.start_soon(ask, caller)

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    assert ["example.com"] * 4 == world.asked


def test_own_addresses_are_read_again_after_three_seconds(tmp_path: Path) -> None:
    now = 100.0
    own = OwnAddresses(lambda: now, tmp_path)
    (tmp_path / "if_inet6").write_text("00000000000000000000000000000001 01 80 10 80       lo\n")
    assert {ip_address("::1")} == own()
    (tmp_path / "if_inet6").write_text("20010db8000000000000000000000001 02 40 00 80     eth0\n")
    now = 102.9
    assert {ip_address("::1")} == own()
    now = 103.0
    assert {ip_address("2001:db8::1")} == own()


def test_an_advertised_address_is_the_machines_own_though_no_interface_has_it(tmp_path: Path) -> None:
    """Behind a translator the exit would otherwise reach its own operator's network from inside."""
    (tmp_path / "if_inet6").write_text("00000000000000000000000000000001 01 80 10 80       lo\n")
    own = OwnAddresses(lambda: 100.0, tmp_path, advertised=[ip_address(V4)])
    assert {ip_address("::1"), ip_address(V4)} == own()


def test_own_addresses_are_read_from_the_kernels_tables(tmp_path: Path) -> None:
    trie = "Local:\n  |-- 192.0.2.0\n     /24 link UNICAST\n  |-- 192.0.2.7\n     /32 host LOCAL\n"
    table = "00000000000000000000000000000001 01 80 10 80       lo\n"
    (tmp_path / "fib_trie").write_text(trie)
    (tmp_path / "if_inet6").write_text(table)

    assert {ip_address("192.0.2.7")} == parse_fib_trie(trie)
    assert {ip_address("::1")} == parse_if_inet6(table)
    assert {ip_address("192.0.2.7"), ip_address("::1")} == own_addresses(tmp_path)

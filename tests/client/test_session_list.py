"""How a list of Session nodes looks to the choice of paths."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from onionpath.client.https_doors import MAX_DOORS, surplus
from onionpath.client.path_pool import PathPool
from onionpath.client.ready_path import Need
from onionpath.client.session_list import HOPS_TO_NODE, SessionList
from onionpath.crypto.session_channels import SessionPrivateKey
from onionpath.errors import NoPathError
from onionpath.injected import UnixTime
from onionpath.path.constraints import Constraints, subnets_of
from onionpath.path.countries import Countries
from onionpath.swarm.nodes import SessionNode
from tests.directory.networks import identity

NOW = UnixTime(1_800_000_000.0)


def nodes(hosts: Sequence[str]) -> list[SessionNode]:
    return [
        SessionNode(
            identity(f"node {number}").relay_id,
            SessionPrivateKey(bytes([1 + number]) * 32).public,
            host,
            22_021,
        )
        for number, host in enumerate(hosts)
    ]


SPREAD = nodes([f"{20 + number // 2}.{number % 2}.0.1" for number in range(40)])


def hosts_of(listed: SessionList, need: Need, seed: int, constraints: Constraints | None = None) -> list[str]:
    pool = PathPool(random.Random(seed), constraints=constraints or Constraints())
    ready = pool.ready(listed, need, "key", now=NOW)
    return [listed.relays[relay_id].node.host for relay_id in ready.relays]


@pytest.mark.parametrize("seed", range(20))
def test_a_path_to_a_node_ends_there_over_three_others_in_other_networks(seed: int) -> None:
    target = SPREAD[seed]
    hosts = hosts_of(SessionList.of(SPREAD), Need(None, exit=target.relay_id, hops=HOPS_TO_NODE), seed)

    assert (4, target.host) == (len(hosts), hosts[-1])
    assert 4 == len(frozenset().union(*map(subnets_of, hosts)))


def test_a_path_to_a_server_has_three_relays() -> None:
    assert 3 == len(hosts_of(SessionList.of(SPREAD), Need(None), 1))


def test_nodes_of_one_network_do_not_share_a_path() -> None:
    crowded = SessionList.of(nodes([f"20.1.0.{number + 1}" for number in range(9)]))
    with pytest.raises(NoPathError, match="same-network"):
        hosts_of(crowded, Need(None), 1)


def test_countries_are_excluded_by_the_users_table() -> None:
    table = Countries.parse("\n".join(f"{20 + number}.0.0.0/15,NL" for number in range(10)))
    wishes = Constraints(excluded_countries=frozenset({"NL"}), countries=table)
    for seed in range(10):
        hosts = hosts_of(SessionList.of(SPREAD), Need(None), seed, wishes)
        assert all(table.country(host) is None for host in hosts)


def test_the_longest_unused_idle_door_makes_room() -> None:
    ids = [identity(f"node {number}").relay_id for number in range(MAX_DOORS + 1)]

    assert [ids[1]] == surplus({each: int(each == ids[0]) for each in ids})
    assert [] == surplus(dict.fromkeys(ids, 1))
    assert [] == surplus(dict.fromkeys(ids[:MAX_DOORS], 0))

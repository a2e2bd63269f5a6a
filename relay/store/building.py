"""A relay's storage, built from its settings and offered to clients and to the other members of its swarm."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from onionpath.service.calls import Limits, ServiceId
from relay.foundation import Base
from relay.network_keeper import NetworkKeeper
from relay.peers import AsksPeers, PeerCalls
from relay.serving import Node
from relay.settings import RelaySettings
from relay.storage_service import StorageService
from relay.store.disk import DiskStore, open_store
from relay.store.running import RunningMember

FOLDER_NAME = "store"


@asynccontextmanager
async def open_storage(settings: RelaySettings, base: Base) -> AsyncIterator[DiskStore | None]:
    """The store of a relay that stores; None for one that doesn't.

    Raises:
        NewerSchemaError, KeyFileError: it can't be opened.
    """
    if not settings.storage.enabled:
        yield None
        return
    async with open_store(base.state / FOLDER_NAME, settings.storage.store_limits()) as store:
        yield store


def offer_storage(
    store: DiskStore, base: Base, node: Node, keeper: NetworkKeeper, peers: AsksPeers, nursery: trio.Nursery
) -> RunningMember:
    """Begin to store; whoever serves Session's clients takes what this gives as its destination."""
    member = RunningMember(
        base.keys.identity,
        store,
        peers,
        nursery,
        newest=lambda: keeper.directory,
        fetch_soon=keeper.fetch_soon,
        clock=base.clock,
    )
    limits = Limits(timeout_s=base.limits.service_s, has_effects=False)
    node.registry.offer(ServiceId.STORAGE, StorageService(member, limits=limits))
    node.registry.offer(ServiceId.REPLICA, PeerCalls(member.for_members, nursery))
    nursery.start_soon(member.run)
    nursery.start_soon(store.check_every_day)
    return member

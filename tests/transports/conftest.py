"""A network of processes and a website, once for all tests here; browsers of every kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from onionpath.client.client import Client
from simulations.local.network import LocalNetwork
from tests.transports.browsers import KINDS, Browser, Kind, browser
from tests.transports.website import Website, website

Browse = Callable[..., Browser]


@pytest.fixture(scope="session")
def network() -> Iterator[LocalNetwork]:
    with LocalNetwork(relays=4, website=False) as network:
        yield network


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Website]:
    with website(tmp_path_factory.mktemp("website")) as site:
        yield site


@pytest.fixture(autouse=True)
def fresh_site(site: Website) -> None:
    """Its gate is shut, and it remembers no visit."""
    site.gate.clear()
    site.visits.clear()


@pytest.fixture(params=KINDS, ids=str)
def kind(request: pytest.FixtureRequest) -> Kind:
    return request.param


@pytest.fixture
def browse(kind: Kind, network: LocalNetwork, site: Website) -> Iterator[Browse]:
    """Makes browsers that trust the website; ``transport=`` takes options of the transport."""
    with ExitStack() as stack:

        def make(*, transport: dict[str, Any] | None = None, **options: Any) -> Browser:
            settings = {"verify": site.trust()} | (transport or {})
            client = Client(network.trust_root_file)
            return stack.enter_context(browser(kind, client, settings, **options))

        yield make

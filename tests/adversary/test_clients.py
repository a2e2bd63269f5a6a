"""A client as far as its guards: small networks leave it fewer than it may use, and no experiment ends by that."""

import random
from dataclasses import replace

from onionpath.directory.address import Address
from simulations.adversary.clients import Client, Offer
from simulations.adversary.networks import START, Network, generate_uniform


def in_one_place(network: Network) -> Network:
    """The same relays in one network of addresses, so that any of them rules out all others."""
    relays = tuple(
        replace(relay, descriptor=replace(relay.descriptor, addresses=(Address(f"11.0.0.{index}", 443),)))
        for index, relay in enumerate(network.relays, 1)
    )
    return replace(network, relays=relays)


def client_of(network: Network) -> tuple[Client, Offer]:
    offer = Offer.of(network.directory(START), START)
    client = Client(random.Random(2))
    client.take(offer)
    return client, offer


def test_a_client_enters_by_as_many_guards_as_it_may_use() -> None:
    client, offer = client_of(generate_uniform(20, bad=0, seed=1))

    assert 2 == len(client.enter_all(offer))


def test_a_client_whose_guards_are_all_related_enters_by_one() -> None:
    client, offer = client_of(in_one_place(generate_uniform(20, bad=0, seed=1)))

    assert 1 == len(client.enter_all(offer))


def test_a_path_whose_other_relays_are_related_to_all_guards_has_none() -> None:
    network = in_one_place(generate_uniform(20, bad=0, seed=1))
    client, offer = client_of(network)

    assert None is client.enter(offer, beside=[network.relays[0].relay_id])

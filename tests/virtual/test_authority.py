from __future__ import annotations

from simulations.virtual.network import virtual_network
from simulations.virtual.requests import Ending, echo

PERIOD_S = 600


def test_an_authority_that_is_down_for_less_than_a_documents_validity_is_not_missed() -> None:
    network = virtual_network(relays=5, period_s=PERIOD_S)
    client = network.client()
    network.kill("authority")
    endings = []
    for _ in range(28):
        network.advance(minutes=1)
        endings.append(client.request(echo()).ending)
    network.restart("authority")
    for _ in range(20):
        network.advance(minutes=1)
        endings.append(client.request(echo()).ending)

    assert {Ending.ANSWERED} == set(endings)
    assert len(network.authority.signed) >= 2


def test_after_a_documents_end_clients_stop_and_a_new_one_brings_them_back() -> None:
    network = virtual_network(relays=5, period_s=PERIOD_S)
    client = network.client()
    network.kill("authority")
    network.advance(seconds=3 * PERIOD_S + 31)
    assert Ending.NO_DIRECTORY is client.request(echo()).ending

    network.restart("authority")
    network.advance(minutes=2)

    assert client.request(echo()).is_answered


def test_an_authority_signs_no_number_twice_across_its_deaths() -> None:
    network = virtual_network(relays=5, period_s=PERIOD_S)
    for _ in range(6):
        network.kill("authority")
        network.advance(seconds=1.0)
        network.restart("authority")
        network.advance(seconds=PERIOD_S / 3)

    first = network.authority.signed[0]
    assert [first, first + 1, first + 2] == network.authority.signed


def test_a_relay_with_its_snapshot_serves_although_no_authority_answers() -> None:
    network = virtual_network(relays=3, period_s=PERIOD_S)
    client = network.client()
    network.kill("authority")
    for number in range(3):
        network.kill(number)
        network.restart(number)
    network.advance(seconds=5.0)

    assert client.request(echo()).is_answered


def test_relays_fetch_from_each_other_while_the_authority_cannot_be_reached() -> None:
    network = virtual_network(relays=4, period_s=PERIOD_S)
    network.part(3, "authority")
    network.advance(seconds=PERIOD_S + 120)

    keeper, newest = network.relay(3).keeper, network.newest_directory()

    assert keeper is not None
    assert newest is keeper.directory
    assert 2 == len(network.authority.signed)


def test_a_relay_whose_clock_is_an_hour_wrong_is_out_until_its_clock_is_right() -> None:
    network = virtual_network(relays=5, period_s=PERIOD_S)
    network.skew(3, 3_600.0)
    network.advance(minutes=45)
    client = network.client()
    # Relays that still list it have asked it for documents.
    served = network.relay(3).counts.get("served", 0)
    endings = [client.request(echo(isolation=str(number))).ending for number in range(6)]
    assert {Ending.ANSWERED} == set(endings)
    assert served == network.relay(3).counts.get("served", 0)

    network.skew(3, 0.0)
    network.kill(3)
    network.restart(3)
    network.advance(minutes=75)

    for number in range(12):
        client.request(echo(isolation=f"again {number}"))
    assert network.relay(3).counts.get("served", 0) + network.relay(3).counts.get("forwarded", 0)

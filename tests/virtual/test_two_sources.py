"""In virtual time, too, relays and clients ask two for each document; authorities that sign twice take in neither."""

from __future__ import annotations

from dataclasses import replace

from onionpath.directory.directory import Directory, assemble
from onionpath.directory.document import UnverifiedDocument, sign_document
from onionpath.directory.evidence import decode_evidence, verify_evidence
from onionpath.directory.trust import TrustRoot
from onionpath.service.directory import Publication
from simulations.virtual.network import VirtualNetwork, virtual_network
from simulations.virtual.relays import VirtualRelay

PERIOD_S = 600


def directory_of(relay: VirtualRelay) -> Directory:
    assert relay.keeper is not None
    assert relay.keeper.directory is not None
    return relay.keeper.directory


def root_of(network: VirtualNetwork) -> TrustRoot:
    return network.authority._world.root


def signed_twice(network: VirtualNetwork, directory: Directory) -> Directory:
    """Another document of the same number."""
    document = directory.document
    relays = tuple(replace(listing, weight=7) for listing in document.relays)
    other = replace(document, relays=relays)
    envelope = sign_document(other, [network.authority._keys.identity])
    verified = UnverifiedDocument(envelope).verify(root_of(network), now=network.authority.now(), seen=None)
    return assemble(verified, directory.envelopes.values())


def test_a_relay_keeps_the_evidence_and_its_old_document() -> None:
    network = virtual_network(relays=2, period_s=PERIOD_S)
    returning, other = network.relay(0), network.relay(1)
    old = directory_of(returning)
    network.advance(seconds=PERIOD_S + 60)
    new = directory_of(other)
    network.kill(0)
    returning.disk.directory = old
    assert other.keeper is not None
    other.keeper._service.replace(Publication.of(signed_twice(network, new)))
    network.restart(0)
    network.advance(seconds=60)

    number = old.document.number
    assert number + 1 == new.document.number
    assert number == directory_of(returning).document.number
    assert [number + 1] == list(returning.disk.evidence)
    assert verify_evidence(decode_evidence(returning.disk.evidence[number + 1]), root_of(network)).guilty

    network.advance(seconds=PERIOD_S)
    assert number + 2 == directory_of(returning).document.number


def test_a_client_uses_neither_of_two_documents_and_goes_on_with_the_next() -> None:
    network = virtual_network(relays=4, period_s=PERIOD_S)
    client = network.client(refreshes=False)
    old = directory_of(network.relay(0))
    network.advance(seconds=PERIOD_S + 60)
    new = directory_of(network.relay(0))
    other = Publication.of(signed_twice(network, new))
    for number in range(2):
        keeper = network.relay(number).keeper
        assert keeper is not None
        keeper._service.replace(other)
    network.world.heap.spawn(client._directory.refresh_forever())
    network.advance(seconds=PERIOD_S / 2)

    assert client.directory is not None
    assert old.document.number == client.directory.document.number
    evidence = client._directory.evidence
    assert evidence is not None
    assert new.document.number == verify_evidence(evidence, root_of(network)).number

    network.advance(seconds=PERIOD_S)
    assert new.document.number < client.directory.document.number

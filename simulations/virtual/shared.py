"""What all nodes of a simulation may share because it is equal: directories, and what is derived from them.

A thousand relays hold one and the same directory once, not a thousand copies of it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import NamedTuple

from onionpath.crypto.identity import RelayId
from onionpath.directory.directory import Directory
from onionpath.link.neighbour import Neighbour
from onionpath.service.directory import Publication

KEPT = 8


class SharedDirectories:
    """The newest directories, each once.

    Args:
        spare_descriptors: let a node that fetches skip the descriptors that another node has fetched and parsed;
            the document itself is always carried and verified. In a large network, parsing is most of the work.
    """

    def __init__(self, *, spare_descriptors: bool) -> None:
        self._spare_descriptors = spare_descriptors
        self._known: OrderedDict[bytes, Directory] = OrderedDict()
        self._neighbours: OrderedDict[int, Mapping[RelayId, Neighbour]] = OrderedDict()
        self._hashes: OrderedDict[int, Mapping[RelayId, bytes]] = OrderedDict()
        self._publications: OrderedDict[tuple[int, int, int], _Published] = OrderedDict()

    def intern(self, directory: Directory) -> Directory:
        """The first directory with this very document and as many descriptors, for which this one can stand."""
        if directory.missing:
            return directory
        known = self._known.setdefault(directory.document.envelope, directory)
        while len(self._known) > KEPT:
            _, dropped = self._known.popitem(last=False)
            self._neighbours.pop(id(dropped), None)
            self._hashes.pop(id(dropped), None)
        return known

    def basis(self, directory: Directory | None) -> Directory | None:
        """What a node that has ``directory`` fetches from: its own document, and descriptors that somebody has."""
        if not self._spare_descriptors or directory is None or not self._known:
            return directory
        newest = next(reversed(self._known.values()))
        document = replace(directory.document, relays=newest.document.relays)
        return Directory(document, newest.relays, newest.envelopes, newest.missing)

    def neighbours(self, directory: Directory) -> Mapping[RelayId, Neighbour]:
        """Where each relay listens."""
        found = self._neighbours.get(id(directory))
        if found is None:
            relays = directory.relays.items()
            found = {relay_id: Neighbour.of_relay(relay.descriptor) for relay_id, relay in relays}
            if self._is_kept(directory):
                self._neighbours[id(directory)] = found
        return found

    def key_hashes(self, directory: Directory) -> Mapping[RelayId, bytes]:
        """What a switch is told."""
        found = self._hashes.get(id(directory))
        if found is None:
            relays = directory.relays.items()
            found = MappingProxyType({relay_id: relay.descriptor.link_key_hash for relay_id, relay in relays})
            if self._is_kept(directory):
                self._hashes[id(directory)] = found
        return found

    def publication(
        self, directory: Directory, before: Directory | None, earlier: Publication | None
    ) -> Publication:
        """What a directory service hands out that handed out ``earlier`` until now."""
        key = (id(directory), id(before), id(earlier))
        found = self._publications.get(key)
        if found is None:
            made = Publication.of(directory, before=before, earlier=earlier)
            found = self._publications[key] = _Published(made, directory, before, earlier)
            while len(self._publications) > KEPT:
                self._publications.popitem(last=False)
        return found.made

    def _is_kept(self, directory: Directory) -> bool:
        return self._known.get(directory.document.envelope) is directory


class _Published(NamedTuple):
    """A publication with what it was made of, which keeps their ids from being given to others."""

    made: Publication
    directory: Directory
    before: Directory | None
    earlier: Publication | None

"""What ``init`` and ``found`` write: settings files with every default, lasting keys, cards, and a trust root."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from onionpath.directory.address import Address
from onionpath.directory.parameters import Parameters
from onionpath.directory.trust import Authority, TrustRoot
from onionpath.disk.private_files import sync_dir
from onionpath.disk.trust_file import read_trust_root
from onionpath.errors import SettingsError
from onionpath.injected import Entropy
from relay.cards import encode_card
from relay.keys import NodeKeys, ensure_relay_keys
from relay.settings import AuthoritySettings, Endpoint, RelaySettings
from relay.settings_files import load_settings
from relay.settings_text import example_settings

RELAY_FILE = "relay.toml"
AUTHORITY_FILE = "authority.toml"
ROOT_FILE = "network.json"
CARD_FILE = "card.json"


class Founded(NamedTuple):
    """What now lies in the folder."""

    settings_file: Path
    keys: NodeKeys

    @property
    def card(self) -> Path:
        """An authority's, beside its settings."""
        return self.settings_file.with_name(CARD_FILE)


def found_relay(
    folder: Path, values: Mapping[str, Any], *, trust_root: Path | None, entropy: Entropy
) -> Founded:
    """Make a relay's folder; keys and a settings file that are there already are kept.

    Args:
        values: ``section.key`` to value, instead of the defaults.
        trust_root: copied into the folder after it was checked.

    Raises:
        SettingsError: a value is wrong, or it would have to change a settings file that exists.
        KeyFileError: the state folder is open to others, or damaged.
    """
    root = None if trust_root is None else read_trust_root(trust_root).encode()
    file = _write_settings(folder / RELAY_FILE, RelaySettings, values)
    if root is not None:
        write_new(folder / ROOT_FILE, root)
    settings = load_settings(file, RelaySettings, environment={})
    return Founded(file, ensure_relay_keys(settings.state, entropy))


def found_authority(
    folder: Path, values: Mapping[str, Any], *, address: Endpoint, entropy: Entropy
) -> Founded:
    """Make an authority's folder, with its card: what others must know of it, and nothing secret.

    Args:
        values: as in ``found_relay``.
        address: where relays, clients and other authorities reach it.

    Raises:
        SettingsError, KeyFileError: as in ``found_relay``; also if there is a trust root already.
    """
    if address.port == 0 or address.is_unspecified:
        raise SettingsError(f"{address} is no address that others can reach", key="authority.listen")
    if os.path.lexists(folder / ROOT_FILE):
        raise SettingsError(f"{folder / ROOT_FILE} exists already: a network is founded once")
    file = _write_settings(folder / AUTHORITY_FILE, AuthoritySettings, values)
    keys = ensure_relay_keys(load_settings(file, AuthoritySettings, environment={}).state, entropy)
    card = Authority(keys.identity.public, Address(address.host, address.port), keys.link.key_hash)
    write_new(folder / CARD_FILE, encode_card(card))
    return Founded(file, keys)


def found_network(
    file: Path,
    cards: Sequence[Authority],
    *,
    name: str,
    threshold: int,
    parameters: Parameters,
    entropy: Entropy,
) -> TrustRoot:
    """Make a network: a new id, its authorities, and what is the same for everybody in it for ever.

    Args:
        file: where the trust root is written; all authorities must have the same.
        name: the network's name, for people.

    Raises:
        SettingsError: the file exists. MalformedError: too few must sign, or two authorities share something.
    """
    if os.path.lexists(file):
        raise SettingsError(
            f"{file} exists already: a network is founded once; name another file to found another network",
            file=str(file),
        )
    root = TrustRoot(entropy(32), name, tuple(cards), threshold=threshold, parameters=parameters)
    write_new(file, root.encode())
    return root


def _write_settings(
    file: Path, kind: type[RelaySettings | AuthoritySettings], values: Mapping[str, Any]
) -> Path:
    if os.path.lexists(file):
        if values:
            raise SettingsError(
                f"{file} exists already; edit {', '.join(sorted(values))} there", file=str(file)
            )
        return file
    file.parent.mkdir(parents=True, exist_ok=True)
    write_new(file, example_settings(kind, values).encode())
    try:
        load_settings(file, kind, environment={})
    except SettingsError:
        # What was asked for is impossible, so nothing was founded.
        file.unlink()
        raise
    return file


def write_new(file: Path, content: bytes) -> None:
    """A file that holds no secret; it is never overwritten.

    Raises:
        SettingsError: it exists, or cannot be written.
    """
    try:
        with file.open("xb") as opened:
            opened.write(content)
            opened.flush()
            os.fsync(opened.fileno())
        sync_dir(file.parent)
    except OSError as error:
        raise SettingsError(f"{file}: cannot be written: {error.strerror}", file=str(file)) from error

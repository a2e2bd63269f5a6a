"""What ``init`` writes: a settings file with every default, lasting keys, and an authority's trust root."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from onionpath.directory.address import Address
from onionpath.directory.parameters import Parameters
from onionpath.directory.trust import MAX_ROOT_SIZE, Authority, TrustRoot
from onionpath.errors import OnionPathError, SettingsError
from onionpath.injected import Entropy
from relay.files import sync_dir
from relay.keys import KeySchedule, NodeKeys, ensure_relay_keys
from relay.settings import AuthoritySettings, Endpoint, RelaySettings
from relay.settings_files import load_settings
from relay.settings_text import example_settings

RELAY_FILE = "relay.toml"
AUTHORITY_FILE = "authority.toml"
ROOT_FILE = "network.json"


class Founded(NamedTuple):
    """What now lies in the folder."""

    settings_file: Path
    keys: NodeKeys


def read_trust_root(file: Path) -> TrustRoot:
    """Read and check a trust root.

    Raises:
        SettingsError: the file is missing or isn't one.
    """
    try:
        with file.open("rb") as opened:
            return TrustRoot.decode(opened.read(MAX_ROOT_SIZE + 1))
    except OSError as error:
        raise SettingsError(
            f"{file}: the trust root cannot be read: {error.strerror}; its authority gives it out",
            file=str(file),
            key="network.trust_root",
        ) from error
    except OnionPathError as error:
        raise SettingsError(f"{file}: {error}", file=str(file), key="network.trust_root") from error


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
        _write_new(folder / ROOT_FILE, root)
    settings = load_settings(file, RelaySettings, environment={})
    return Founded(file, ensure_relay_keys(settings.state, entropy))


def found_authority(
    folder: Path,
    values: Mapping[str, Any],
    *,
    name: str,
    address: Endpoint,
    parameters: Parameters,
    entropy: Entropy,
) -> Founded:
    """Make the folder of a network's only authority, and with it the network: a new id and its trust root.

    Args:
        values: as in ``found_relay``.
        name: the network's name, for people.
        address: where relays and clients reach the authority.
        parameters: what is the same for everybody in the network, for ever.

    Raises:
        SettingsError, KeyFileError: as in ``found_relay``; also if there is a trust root already.
    """
    if address.port == 0 or address.is_unspecified:
        raise SettingsError(f"{address} is no address that others can reach", key="authority.listen")
    # Built only to be refused here rather than by every relay.
    KeySchedule(parameters.epoch_s, parameters.slot_s)
    if os.path.lexists(folder / ROOT_FILE):
        raise SettingsError(f"{folder / ROOT_FILE} exists already: a network is founded once")
    file = _write_settings(folder / AUTHORITY_FILE, AuthoritySettings, values)
    keys = ensure_relay_keys(load_settings(file, AuthoritySettings, environment={}).state, entropy)
    authority = Authority(keys.identity.public, Address(address.host, address.port), keys.link.key_hash)
    root = TrustRoot(entropy(32), name, (authority,), threshold=1, parameters=parameters)
    _write_new(folder / ROOT_FILE, root.encode())
    return Founded(file, keys)


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
    _write_new(file, example_settings(kind, values).encode())
    try:
        load_settings(file, kind, environment={})
    except SettingsError:
        # What was asked for is impossible, so nothing was founded.
        file.unlink()
        raise
    return file


def _write_new(file: Path, content: bytes) -> None:
    """A file that holds no secret; it is never overwritten."""
    try:
        with file.open("xb") as opened:
            opened.write(content)
            opened.flush()
            os.fsync(opened.fileno())
        sync_dir(file.parent)
    except OSError as error:
        raise SettingsError(f"{file}: cannot be written: {error.strerror}", file=str(file)) from error

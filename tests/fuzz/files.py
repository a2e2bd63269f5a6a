"""What is read from disk, from a shell or inside a stream's request, as functions for ``targets``.

A file that is damaged, or that somebody else wrote, ends in a sentence that names it, never in a traceback.
"""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

import msgspec

from onionpath.cli_url import parse_url
from onionpath.crypto.identity import IdentityKey
from onionpath.directory.directory import decode_directory, decode_seen
from onionpath.directory.trust import TrustRoot
from onionpath.errors import MalformedError
from onionpath.path.path_memory_lines import Whole, decode_memory, encode_memory
from onionpath.service.exit_policy import ExitPolicy
from onionpath.service.hosts import DnsName, parse_host
from relay.authority.agreement import Agreement
from relay.keys import decode_seed
from relay.replay_files import _decode, _encode
from relay.settings import AuthoritySettings, RelaySettings
from relay.settings_files import load_settings
from simulations.local.frame_records import FrameRecord, read_frames
from tests.directory.networks import NETWORK_ID, NOW, identity, root

SEED_HEADER = "onionpath packet key, keep it secret"


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    # Its owner lives as long as the process, and removes it at the end.
    return tempfile.TemporaryDirectory(prefix="onionpath-fuzz-")


def _file_of(data: bytes) -> Path:
    file = Path(_folder().name) / "input"
    file.write_bytes(data)
    return file


def relay_settings(data: bytes) -> None:
    """What loads can also be used: none of the values that are computed from it may fail later."""
    settings = load_settings(_file_of(data), RelaySettings, environment={})
    # These open nothing; they only refuse what no system call takes.
    for path in (settings.state, settings.trust_root):
        path.exists()
    settings.limits.switch_limits()
    ExitPolicy.parse(settings.exit.policy)
    if not settings.listen or not settings.published:
        raise AssertionError("settings without an address were taken")


def authority_settings(data: bytes) -> None:
    settings = load_settings(_file_of(data), AuthoritySettings, environment={})
    settings.state.exists()
    if not settings.listen:
        raise AssertionError("settings without an address were taken")


def host(data: bytes) -> bytes:
    """A host has one spelling."""
    read = parse_host(data)
    return (read.text if isinstance(read, DnsName) else str(read)).encode()


def url(data: bytes) -> None:
    """What ``onionpath get`` makes of its argument: an address that is read again as itself."""
    # Whatever a shell passes on is text: bytes that are not UTF-8 come as lone surrogates.
    asked = parse_url(data.decode("utf-8", "surrogateescape"))
    if parse_url(str(asked)) != asked:
        raise AssertionError("an address changes when it is written")


def replay_state(data: bytes) -> bytes:
    state = _decode(data)
    if state is None:
        raise MalformedError("the relay calls this damaged and refuses the slots that it may concern")
    return _encode(state)


def key_file(data: bytes) -> bytes:
    seed = decode_seed(SEED_HEADER, data, file=Path("a.key"))
    return f"{SEED_HEADER}\n{seed.hex()}\n".encode()


@cache
def signer() -> tuple[IdentityKey, TrustRoot]:
    return identity("authority", 0), root()


def authority_state(data: bytes) -> None:
    key, trust = signer()
    Agreement(identity=key, root=trust, state=data, entropy=bytes)


def snapshot(data: bytes) -> None:
    """A directory on disk proves by its signatures what it is, both to judge it and to remember its number."""
    trust = signer()[1]
    seen = decode_seen(data, trust)
    decode_directory(data, trust, now=NOW, seen=seen)


def path_memory(data: bytes) -> bytes:
    """A client's guards; damage is an answer here and no error, and never invents a guard."""
    match decode_memory(data, NETWORK_ID):
        case Whole(memory):
            return encode_memory(memory, NETWORK_ID)
    raise MalformedError("not whole")


def frame_records(data: bytes) -> None:
    for record in read_frames(_file_of(data)):
        again = msgspec.json.decode(msgspec.json.encode(record), type=FrameRecord)
        if again != record:
            raise AssertionError("a frame record changes when it is written")

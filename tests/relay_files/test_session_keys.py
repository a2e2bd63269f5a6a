"""The keys for Session's clients: their own, made once, and private."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from onionpath.crypto.certificates import make_link_certificate
from onionpath.directory.session_door import SessionDoor
from onionpath.errors import KeyFileError
from relay.keys import ensure_relay_keys
from relay.session.keys import ensure_session_keys, has_session_keys, load_session_keys


def test_session_keys_are_made_once_and_loaded_ever_after(tmp_path: Path) -> None:
    assert not has_session_keys(tmp_path)
    first = ensure_session_keys(tmp_path / "state", os.urandom)

    assert first == ensure_session_keys(tmp_path / "state", os.urandom)
    assert first == load_session_keys(tmp_path / "state")
    assert {0o600} == {path.stat().st_mode & 0o777 for path in (tmp_path / "state").iterdir()}


def test_no_key_for_sessions_clients_is_one_of_the_relay_s_own(tmp_path: Path) -> None:
    """The weaker format must not open, or pass for, what the stronger one protects."""
    relay = ensure_relay_keys(tmp_path / "state", os.urandom)
    session = ensure_session_keys(tmp_path / "state", os.urandom)

    assert relay.link.key_hash != session.certificate.key_hash
    assert relay.identity.reveal() != session.private.reveal()


def test_the_door_says_what_clients_need(tmp_path: Path) -> None:
    keys = ensure_session_keys(tmp_path / "state", os.urandom)

    assert SessionDoor(keys.private.public, 443, keys.certificate.key_hash) == keys.door(443)


def test_a_relay_s_identity_is_no_session_key(tmp_path: Path) -> None:
    state = tmp_path / "state"
    ensure_relay_keys(state, os.urandom)
    ensure_session_keys(state, os.urandom)
    (state / "session.key").write_bytes((state / "identity.key").read_bytes())

    with pytest.raises(KeyFileError, match=r"session\.key: is damaged or no file of \"onionpath session key"):
        ensure_session_keys(state, os.urandom)


def test_a_session_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    ensure_session_keys(tmp_path / "state", os.urandom)
    (tmp_path / "state" / "session.key").chmod(0o644)

    with pytest.raises(KeyFileError, match="chmod"):
        load_session_keys(tmp_path / "state")


def test_a_certificate_of_another_key_is_refused_and_says_what_helps(tmp_path: Path) -> None:
    ensure_session_keys(tmp_path / "state", os.urandom)
    (tmp_path / "state" / "session.pem").write_bytes(make_link_certificate().certificate_pem)

    with pytest.raises(KeyFileError, match=r"remove both and start the relay again"):
        load_session_keys(tmp_path / "state")


def test_a_kill_between_key_and_certificate_is_mended(tmp_path: Path) -> None:
    before = ensure_session_keys(tmp_path / "state", os.urandom)
    (tmp_path / "state" / "session.pem").unlink()

    assert before.private == ensure_session_keys(tmp_path / "state", os.urandom).private


def test_session_keys_on_disk_are_not_what_is_shown(tmp_path: Path) -> None:
    keys = ensure_session_keys(tmp_path / "state", os.urandom)

    seed = keys.private.reveal().hex()
    assert seed in (tmp_path / "state" / "session.key").read_text()
    assert seed not in repr(keys)
    assert "PRIVATE" not in repr(keys)

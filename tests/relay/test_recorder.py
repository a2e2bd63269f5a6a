"""What an observer of a relay's links could note, for experiments on one machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from onionpath.crypto.identity import IdentityKey
from onionpath.errors import SettingsError
from onionpath.injected import UnixTime
from onionpath.link.frames import Kind
from relay.recorder import FrameRecorder


def test_links_and_frames_are_written_down_as_they_happen(tmp_path: Path) -> None:
    file = tmp_path / "frames"
    peer = IdentityKey(bytes(32)).relay_id
    recorder = FrameRecorder(file, lambda: UnixTime(7.5))
    recorder.linked(3, address="127.0.0.1:9", called=peer)
    recorder.proven(3, peer)
    recorder.saw(3, sent=True, kind=Kind.REQUEST, size=8192)

    lines = [json.loads(line) for line in file.read_text().splitlines()]
    recorder.close()

    assert ["linked", "proven", "frame"] == [line["event"] for line in lines]
    assert {7.5} == {line["at"] for line in lines}
    assert peer.hex() == lines[0]["called"] == lines[1]["relay"]
    assert {"sent": True, "kind": "request", "size": 8192}.items() <= lines[2].items()
    assert 0o600 == file.stat().st_mode & 0o777


def test_a_file_that_cannot_be_written_is_a_settings_error(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "elsewhere")
    for file in (tmp_path / "missing" / "frames", link):
        with pytest.raises(SettingsError, match="cannot write") as caught:
            FrameRecorder(file, lambda: UnixTime(0.0))
        assert "simulation.record_frames" == caught.value.key

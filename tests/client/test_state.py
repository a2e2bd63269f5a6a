"""What outlives a client: its guards, in a file that several programs may share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from onionpath.cli_state import default_state_folder
from onionpath.client.client import Client
from onionpath.crypto.identity import RelayId
from onionpath.errors import KeyFileError
from onionpath.path.path_memory import PathMemory
from onionpath.service.calls import ServiceId
from tests.client.worlds import World


def file_in(state: Path) -> Path:
    (file,) = state.glob("*/guards")
    return file


async def memory_after_a_call(world: World, state: Path | None) -> PathMemory:
    async with Client(world.root, state=state) as client:
        await client.call(ServiceId.ECHO, b"x")
        return client._pool.memory


def names(memory: PathMemory) -> tuple[list[RelayId], set[RelayId]]:
    return [each.relay_id for each in memory.guards], {each.relay_id for each in memory.middles}


async def test_a_client_that_starts_again_has_the_guards_and_middles_of_before(
    world: World, tmp_path: Path
) -> None:
    first = await memory_after_a_call(world, tmp_path)

    for _ in range(3):
        assert names(first) == names(await memory_after_a_call(world, tmp_path))


async def test_two_clients_at_once_agree_on_their_first_guard(world: World, tmp_path: Path) -> None:
    async with Client(world.root, state=tmp_path) as one, Client(world.root, state=tmp_path) as other:
        assert one._pool.memory.guards[0].relay_id == other._pool.memory.guards[0].relay_id


async def test_guards_are_written_before_the_first_path(world: World, tmp_path: Path) -> None:
    async with Client(world.root, state=tmp_path) as client:
        assert file_in(tmp_path).stat().st_size > 0
        assert client.status().state_problem is None
    assert 0o600 == file_in(tmp_path).stat().st_mode & 0o777


async def test_what_was_counted_is_written_at_the_end(world: World, tmp_path: Path) -> None:
    await memory_after_a_call(world, tmp_path)
    async with Client(world.root, state=tmp_path) as client:
        assert 1 == sum(each.bias.attempts for each in client._pool.memory.guards)


async def test_a_damaged_line_is_told_and_the_other_guards_stay(world: World, tmp_path: Path) -> None:
    before = await memory_after_a_call(world, tmp_path)
    file = file_in(tmp_path)
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([*lines[:2], b"x" + lines[2][1:], *lines[3:]]))

    async with Client(world.root, state=tmp_path) as client:
        assert "1 lines" in (client.status().state_problem or "")
        assert before.guards[0].relay_id == client._pool.memory.guards[0].relay_id


@pytest.mark.skipif(os.name != "posix", reason="modes of files are POSIX")
async def test_a_file_that_others_can_write_is_refused_with_a_remedy(world: World, tmp_path: Path) -> None:
    await memory_after_a_call(world, tmp_path)
    file_in(tmp_path).chmod(0o666)

    with pytest.raises(KeyFileError, match="chmod 600"):
        await memory_after_a_call(world, tmp_path)


async def test_without_a_folder_nothing_is_written(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    await memory_after_a_call(world, None)

    assert [] == os.listdir(tmp_path)


@pytest.mark.parametrize(
    ("given", "folder"),
    [
        ("/somewhere", "/somewhere/onionpath"),
        ("", "~/.local/state/onionpath"),
        ("not/absolute", "~/.local/state/onionpath"),
    ],
)
def test_commands_keep_their_state_where_xdg_says(
    given: str, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_STATE_HOME", given)

    assert Path(folder).expanduser() == default_state_folder()

"""What the kernel tells others of a running relay."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulations.local.network import LocalNetwork
from tests.leaks.canaries import hits
from tests.leaks.programs import RelayProgram, relay_program
from tests.leaks.test_processes import keys_in

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def network() -> Iterator[LocalNetwork]:
    with LocalNetwork(relays=3, website=False) as network:
        yield network


@pytest.fixture(scope="module")
def program(network: LocalNetwork, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RelayProgram]:
    network.relays[0].stop()
    with relay_program(network.relays[0], tmp_path_factory.mktemp("program") / "log") as program:
        yield program


def test_no_key_stands_in_its_arguments_environment_or_output(
    network: LocalNetwork, program: RelayProgram
) -> None:
    told = Path(f"/proc/{program.process.pid}")
    keys = keys_in(network.folder)

    assert len(keys) > 10
    for name in ("cmdline", "environ"):
        content = (told / name).read_bytes()
        assert content
        assert [] == hits(content, keys)
    assert [] == hits(program.log.encode(), keys)


def test_it_leaves_no_core(program: RelayProgram) -> None:
    limits = Path(f"/proc/{program.process.pid}/limits").read_text()

    assert [("0", "0")] == re.findall(r"^Max core file size\s+(\S+)\s+(\S+)", limits, re.MULTILINE)


@pytest.mark.skipif(os.geteuid() == 0, reason="the kernel gives what is root's to root all the same")
def test_others_of_its_user_may_not_look_inside(program: RelayProgram) -> None:
    """What is not dumpable belongs to root in /proc, and its memory to nobody."""
    assert 0 == os.stat(f"/proc/{program.process.pid}/mem").st_uid
    with pytest.raises(PermissionError):
        os.open(f"/proc/{program.process.pid}/mem", os.O_RDONLY)


def test_only_its_owner_may_write_or_read_what_it_makes(program: RelayProgram) -> None:
    status = Path(f"/proc/{program.process.pid}/status").read_text()

    assert "0077" == re.findall(r"^Umask:\s+(\d+)", status, re.MULTILINE)[0]

"""Two libraries with the same names: what a program is given is of the one that it asked with."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import httpcore
import httpcore2
import httpx
import httpx2
import pytest

from onionpath.errors import UsageError
from onionpath.transports.libraries import library_of
from simulations.local.network import LocalNetwork
from tests.transports.website import Website

pytestmark = pytest.mark.processes

ROOT = Path(__file__).parents[2]
PAIRS = [(httpx, httpcore), (httpx2, httpcore2)]


def run(program: str, *arguments: str) -> str:
    """What a Python program of its own prints."""
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, *arguments],
        capture_output=True, text=True, timeout=60, cwd=ROOT, check=False,
    )  # fmt: skip
    assert (0, "") == (ran.returncode, ran.stderr)
    return ran.stdout.strip()


@pytest.mark.parametrize(("http", "core"), PAIRS, ids=["httpx", "httpx2"])
def test_a_request_says_whose_it_is(http: ModuleType, core: ModuleType) -> None:
    class OurRequest(http.Request):
        """As programs derive them."""

    for kind in (http.Request, OurRequest):
        library = library_of(kind("GET", "https://website.localhost/"))
        assert (http, core) == (library.http, library.core)


def test_anything_else_is_refused() -> None:
    with pytest.raises(UsageError, match="str is no request"):
        library_of("GET / HTTP/1.1")


@pytest.mark.slow
def test_the_twins_do_without_httpx() -> None:
    assert "False" == run("import sys, onionpath.httpx2; print('httpx' in sys.modules)")


ALIASED = """
import sys
import httpx2
httpx2.alias_httpx()
import anyio, httpx, onionpath

async def main(network, url):
    async with onionpath.Client(network) as client:
        async with httpx.AsyncClient(transport=onionpath.OnionTransport(client)) as http:
            response = await http.get(url)
            print(type(response).__module__.partition(".")[0], response.text)

anyio.run(main, *sys.argv[1:])
"""


@pytest.mark.slow
def test_one_that_stands_in_for_the_other_is_known(network: LocalNetwork, site: Website) -> None:
    """``alias_httpx`` gives ``import httpx`` the other module."""
    assert "httpx2 hello" == run(ALIASED, str(network.trust_root_file), f"{site.plain_url}/")

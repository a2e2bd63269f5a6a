"""A request that Session's own code has made, byte for byte as an exit of the original posts it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from onionpath.crypto.session_channels import Cipher, SessionPrivateKey
from onionpath.injected import SteadyClock
from onionpath.lsrpc.gateway import SessionGateway
from onionpath.onion.session_v4 import V4Response, decode_v4_response
from tests.lsrpc.worlds import EchoApp, clock, post

FILE = Path(__file__).parents[1] / "vectors" / "session" / "onion_requests.json"


def server_vector() -> dict[str, Any]:
    (vector,) = (each for each in json.loads(FILE.read_text())["vectors"] if "server" in each)
    return dict(vector)


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_the_app_reads_what_sessions_client_wrote_and_the_client_can_open_the_response() -> None:
    vector, app = server_vector(), EchoApp()
    key = SessionPrivateKey(bytes.fromhex(vector["server"]["x25519_sec"]))
    gateway = SessionGateway(app, key, clock=SteadyClock(clock(), clock(0)))

    response = await post(gateway, bytes.fromhex(vector["server_decrypt"]["posted_body"]))

    (scope,) = app.scopes
    assert ("GET", "/room/some-room", "") == (
        scope["method"], scope["path"], scope["query_string"].decode()
    )  # fmt: skip
    assert [[b"host", b"example.org"], [b"some-header", b"12345"]] == scope["headers"]
    ephemeral = SessionPrivateKey(bytes.fromhex(vector["final_eph_sec"]))
    opened = ephemeral.secret_to(key.public, Cipher.XCHACHA20).open(response.content)
    assert V4Response(200, {"content-type": "text/plain"}, b"echo ") == decode_v4_response(opened)
    assert b'l52:{"code":200,"headers":{"content-type":"text/plain"}}5:echo e' == opened

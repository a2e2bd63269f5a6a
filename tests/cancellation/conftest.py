"""Relays on trio, unless a test says otherwise; the client's tests choose their loops themselves."""

from __future__ import annotations

import pytest


@pytest.fixture
def anyio_backend() -> str:
    return "trio"

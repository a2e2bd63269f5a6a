"""Services are awaited by the relay, which runs on trio."""

import pytest


@pytest.fixture
def anyio_backend() -> str:
    return "trio"

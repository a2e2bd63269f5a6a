"""The relay runs on trio alone."""

import pytest


@pytest.fixture
def anyio_backend() -> str:
    return "trio"

"""The relay runs on trio alone; and both ends of a thousand connections are files of this one process."""

import resource
from collections.abc import Iterator

import pytest

FILES = 4_096


@pytest.fixture
def anyio_backend() -> str:
    return "trio"


@pytest.fixture(scope="module", autouse=True)
def enough_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

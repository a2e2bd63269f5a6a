"""The relay runs on trio alone; its certificate is made once for all tests."""

from pathlib import Path

import pytest

from tests.session.doors import CertificateFiles, make_certificate_files


@pytest.fixture
def anyio_backend() -> str:
    return "trio"


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> CertificateFiles:
    folder: Path = tmp_path_factory.mktemp("door")
    return make_certificate_files(folder)

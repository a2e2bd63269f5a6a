"""Where the website listens, which certificates it has, and the names under which it is found."""

from __future__ import annotations

from pathlib import Path

from onionpath.errors import UsageError
from simulations.local.process_settings import ProcessSettings

# A name of its own, so that it is easy to see who has learned it; exits know *.localhost without a query.
HOST_NAME = "website.localhost"
ADDRESS = "127.0.0.1"


class WebsiteSettings(ProcessSettings, frozen=True, forbid_unknown_fields=True):
    """The content of ``website.json``.

    Args:
        port, wrong_port: the second one shows a certificate of an authority that nobody trusts.
        notes: file for what the website saw, or None.
    """

    port: int
    wrong_port: int
    certificate: str
    wrong_certificate: str
    notes: str | None


def make_certificates(folder: Path) -> tuple[Path, Path, Path]:
    """Found two certificate authorities: the trusted one's certificate, and a server's from each.

    Raises:
        UsageError: trustme isn't installed.
    """
    try:
        import trustme
    except ImportError as error:
        raise UsageError("a local website needs trustme: install onionpath[simulations]") from error

    trusted, other = trustme.CA(), trustme.CA()
    ca_file, right, wrong = folder / "ca.pem", folder / "server.pem", folder / "wrong.pem"
    trusted.cert_pem.write_to_path(str(ca_file))
    for authority, file in ((trusted, right), (other, wrong)):
        server = authority.issue_cert(HOST_NAME, "localhost", ADDRESS)
        server.private_key_and_cert_chain_pem.write_to_path(str(file))
        file.chmod(0o600)
    return ca_file, right, wrong

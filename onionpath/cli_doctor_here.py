"""The part of ``onionpath doctor`` that needs nobody else: settings, environment, files and their modes."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from onionpath.cli_client import client_folder, network_file
from onionpath.cli_findings import Finding, FoundError, noting, odd, well, wrong
from onionpath.cli_given import Given
from onionpath.cli_settings import Settings
from onionpath.cli_settings_values import constraints_of
from onionpath.cli_status_disk import read_guards
from onionpath.directory.trust import TrustRoot
from onionpath.disk.evidence_files import EvidenceFiles
from onionpath.disk.trust_file import read_trust_root
from onionpath.errors import KeyFileError

# What other programs heed, and we do not: who sets the environment would decide who sees our connections.
PROXY_VARIABLES = ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY")


@dataclass(frozen=True, slots=True)
class Patient:
    """What the rest of the examination needs."""

    settings: Settings
    root: TrustRoot


def examine_here(given: Given, findings: list[Finding]) -> Patient | None:
    """Note what is found; None if nothing further can be examined."""
    try:
        settings = _settings(given, findings)
        findings.append(examine_environment(os.environ, settings))
        root = _network(settings, findings)
    except FoundError:
        return None
    folder = client_folder(settings, root)
    findings.append(examine_folder(folder))
    findings.append(_guards(folder, root))
    findings.append(_evidence(folder))
    return Patient(settings, root)


def _settings(given: Given, findings: list[Finding]) -> Settings:
    with noting("settings", findings):
        chosen = given.choose()
        constraints_of(chosen.settings)
    origins = sorted(set(chosen.origins.values()) - {"default"})
    findings.append(well("settings", f"from {', '.join(origins)}" if origins else "all are defaults"))
    return chosen.settings


def examine_environment(environment: Mapping[str, str], settings: Settings) -> Finding:
    """Whether it names proxies for nothing."""
    ignored = sorted(name for name in environment if name.upper() in PROXY_VARIABLES and environment[name])
    if not ignored:
        return well("environment", "names no proxy that would be ignored")
    if settings.proxy is not None:
        return well("environment", f"{', '.join(ignored)} is ignored, and the setting proxy is used")
    return odd(
        "environment",
        f"{', '.join(ignored)} is ignored: relays are connected directly",
        "if relays should be reached through that proxy, put it into the setting proxy",
    )


def _network(settings: Settings, findings: list[Finding]) -> TrustRoot:
    with noting("network file", findings):
        root = read_trust_root(network_file(settings))
    signers = f"{root.threshold} of {len(root.authorities)} authorities must sign"
    findings.append(well("network file", f"network {root.name}: {signers}"))
    return root


def examine_folder(folder: Path) -> Finding:
    """Whether the folder is ours alone."""
    name = "state folder"
    try:
        found = folder.stat()
    except FileNotFoundError:
        return well(name, f"{folder} is made when it is needed")
    except OSError as error:
        return wrong(name, KeyFileError(f"{folder}: {error.strerror}", file=str(folder)))
    if os.name != "posix":
        return well(name, str(folder))
    if found.st_uid != os.geteuid():
        remedy = f"chown -R {os.geteuid()} {folder}"
        return wrong(name, KeyFileError(f"{folder} belongs to somebody else", file=str(folder)), remedy)
    if stat.S_IMODE(found.st_mode) & 0o077:
        remedy = f"chmod 700 {folder}"
        # It tells who the guards are, which is what an adversary would have to find out.
        return wrong(name, KeyFileError(f"{folder} is open to others", file=str(folder)), remedy)
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        remedy = f"chmod 700 {folder}"
        return wrong(name, KeyFileError(f"{folder} cannot be written", file=str(folder)), remedy)
    return well(name, f"{folder} is private")


def _guards(folder: Path, root: TrustRoot) -> Finding:
    memory, problem = read_guards(folder, root)
    if problem is not None:
        return odd("guards on disk", problem, "keep the folder on a disk that doesn't lose what was written")
    confirmed = sum(each.confirmed_at is not None for each in memory.guards)
    return well("guards on disk", f"{len(memory.guards)}, and {confirmed} confirmed by a path that worked")


def _evidence(folder: Path) -> Finding:
    files = EvidenceFiles(folder).files()
    if not files:
        return well("evidence", "none that authorities contradicted themselves")
    file = files[-1]
    return odd(
        "evidence",
        f"{file}: authorities have signed two documents of one number",
        f"`onionpath network verify {file}` says who; tell those who run the network",
    )

"""What the text of a setting means: addresses, relays, networks and countries; strictly."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from onionpath.errors import MalformedError, SettingsError, UsageError

if TYPE_CHECKING:
    from onionpath.cli_settings import Settings
    from onionpath.crypto.identity import RelayId
    from onionpath.path.constraints import Constraints, IPNetwork

_COUNTRY = re.compile(r"[A-Z]{2}")
_PORT = re.compile(r"0|[1-9][0-9]{0,4}", re.ASCII)


def parse_listen(text: str) -> tuple[str, int]:
    """Read ``192.0.2.1:9250`` or ``[2001:db8::1]:9250``; port 0 takes a free one.

    Raises:
        UsageError: it is no such address.
    """
    host, _, digits = text.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        address = None
    brackets = f"[{bare}]" if address is not None and address.version == 6 else bare
    if address is None or host != brackets or not _PORT.fullmatch(digits):
        raise UsageError(f"where to listen is ADDRESS:PORT, such as 127.0.0.1:9250, not {text!r}")
    if int(digits) > 65_535:
        raise UsageError(f"there is no port {digits}")
    return bare, int(digits)


def constraints_of(settings: Settings) -> Constraints:
    """Whom the settings keep from all paths.

    Raises:
        SettingsError: the table of countries cannot be read, or countries are excluded and there is none.
    """
    from onionpath.path.constraints import Constraints

    if settings.exclude_countries and settings.countries is None:
        # Nobody would be excluded, and the person would believe otherwise.
        raise SettingsError(
            "exclude_countries needs to know who is where: set countries to a file of network,country",
            key="countries",
        )
    return Constraints(
        excluded_relays=frozenset(map(_relay, settings.exclude_relays)),
        excluded_networks=tuple(map(_network, settings.exclude_networks)),
        excluded_countries=frozenset(settings.exclude_countries),
        countries=_countries(settings.countries),
    )


def without_password(url: str) -> str:
    """A proxy's address as it may be shown."""
    parts = urlsplit(url)
    where = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{'***@' if '@' in parts.netloc else ''}{where}"


def check_value(key: str, value: Any) -> None:
    """Refuse what cannot be meant.

    Raises:
        UsageError: says why.
    """
    if key in _CHECKS and value is not None:
        _CHECKS[key](value)


def _relay(text: str) -> RelayId:
    from onionpath.crypto.identity import parse_relay_id

    try:
        return parse_relay_id(bytes.fromhex(text))
    except (ValueError, MalformedError) as error:
        raise UsageError(f"{text!r} is no relay's identity of 64 hex digits") from error


def _network(text: str) -> IPNetwork:
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise UsageError(f"{text!r} is no network such as 192.0.2.0/24: {error}") from error


def _country(text: str) -> None:
    if not _COUNTRY.fullmatch(text):
        raise UsageError(f"{text!r} is no country of two capital letters, such as NL")


def _countries(file: str | None) -> Any:
    from onionpath.path.countries import Countries

    if file is None:
        return Countries()
    try:
        return Countries.parse(Path(file).read_text(encoding="utf-8"))
    except OSError as error:
        raise _wrong_countries(file, f"cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, UsageError) as error:
        raise _wrong_countries(file, str(error)) from error


def _wrong_countries(file: str, why: str) -> SettingsError:
    return SettingsError(f"{file}: {why}", file=file, key="countries")


def _proxy(url: str) -> None:
    from onionpath.client.dial import ProxyDial

    ProxyDial(url)


def _each(check: Callable[[str], object]) -> Callable[[Sequence[str]], None]:
    def check_all(texts: Sequence[str]) -> None:
        for text in texts:
            check(text)

    return check_all


_CHECKS: dict[str, Callable[[Any], object]] = {
    "proxy": _proxy,
    "listen": parse_listen,
    "exclude_relays": _each(_relay),
    "exclude_networks": _each(_network),
    "exclude_countries": _each(_country),
}

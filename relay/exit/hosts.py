"""The host grammar stands in ``onionpath.service.hosts``, where clients read it too."""

from __future__ import annotations

from onionpath.service.hosts import DnsName, Host, parse_host

__all__ = ["DnsName", "Host", "parse_host"]

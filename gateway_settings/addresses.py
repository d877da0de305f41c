"""Addresses as settings give them: where a service listens, and from where it is reached."""

from __future__ import annotations

import ipaddress
from typing import NamedTuple

from gateway_settings.values import words

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
EVERYWHERE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, nothing is bound
"""What a service is bound to that listens on every address of this machine, and where it is reached on it."""


class Address(NamedTuple):
    """Where a service listens: a host without brackets, empty for every address of this machine, and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        """Return ``host:port``, with an IPv6 address in brackets."""
        return f"{bracketed(self.host)}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches what is bound here."""
        return is_loopback(self.host)

    @property
    def reachable(self) -> Address:
        """Where a client on this machine reaches what is bound here."""
        return self._replace(host=EVERYWHERE.get(self.host, self.host))


def bind_address(text: str) -> Address:
    """Parse ``host:port``; an IPv6 address stands in brackets; port 0 lets the system choose.

    :raises ValueError: with what is wrong.
    """
    host, separator, port = text.strip().rpartition(":")
    if not separator or not (port.isascii() and port.isdecimal()) or int(port) > 65535:
        raise ValueError(f"{text!r} is not host:port with a port from 0 to 65535")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        ipaddress.IPv6Address(host)
    elif ":" in host or "[" in host or "]" in host:
        raise ValueError(f"{text!r}: an IPv6 address stands in brackets")
    return Address(host, int(port))


def networks(text: str) -> tuple[Network, ...]:
    """Parse a comma-separated list of addresses and networks, such as 172.20.0.0/16.

    :raises ValueError: with what is wrong.
    """
    try:
        return tuple(ipaddress.ip_network(word) for word in words(text))
    except ValueError as error:
        raise ValueError(f"{error}; addresses and networks such as 172.20.0.0/16 are taken") from None


def is_loopback(host: str) -> bool:
    """Tell whether a host, with or without brackets, is this machine's own loopback."""
    host = host.strip("[]").lower()
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def bracketed(host: str) -> str:
    """Return a host as it stands in a URL."""
    return f"[{host}]" if ":" in host else host

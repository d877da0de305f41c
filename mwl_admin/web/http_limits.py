"""What one process of the site grants to those who call it."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TypeAlias

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

HEAD_BYTES = 32 * 1024
"""Longest request line and header fields together."""
STRANGERS_BODY_BYTES = 64 * 1024
"""Longest body that is read from someone who isn't known yet, and of which no part leaves the memory."""
API_BODY_BYTES = 1024 * 1024
"""Longest body of a known client of the API, and of a form of somebody who is logged in."""
SLOWEST_BYTES_PER_SECOND = 8 * 1024
"""Pace below which a transfer is broken off, once its grace has passed."""
LINGER_SECONDS = 2.0
"""How long what a refused client still sends is thrown away, so that it can read why (RFC 9112 section 9.6)."""


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """Bounds of one process; seconds and bytes."""

    connections: int = 512
    connections_per_address: int = 100
    head_seconds: float = 10
    transfer_seconds: float = 20
    keepalive_seconds: float = 5
    upload_bytes: int = 20 * 1024 * 1024
    buffered_bytes: int = 256 * 1024 * 1024
    trusted: tuple[Network, ...] = ()

    def is_trusted(self, address: str) -> bool:
        """Whether an address is a reverse proxy's, which speaks for many and bounds them itself."""
        try:
            parsed = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        mapped = getattr(parsed, "ipv4_mapped", None) or parsed
        return any(mapped in network for network in self.trusted)

    @property
    def longest_body(self) -> int:
        """The longest body that anybody may send: a file to be imported, and the form around it."""
        return max(self.upload_bytes + STRANGERS_BODY_BYTES, API_BODY_BYTES)

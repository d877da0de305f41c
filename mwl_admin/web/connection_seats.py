"""Who holds how many connections, and whose is given up when there are too many."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

from mwl_admin.web.http_limits import HttpLimits


class SeatedConnection(Protocol):
    """A connection, as far as its seat is concerned."""

    holder: str

    @property
    def is_waiting(self) -> bool:
        """Whether it can be given up: nobody works for it."""

    @property
    def is_idle(self) -> bool:
        """Whether it waits for the next request, of which nothing has come."""


S = TypeVar("S", bound=SeatedConnection)


class NoSeat(Exception):
    """There is no seat for one more; the text tells why."""


class ConnectionSeats(Generic[S]):
    """Connections by the address that holds them, the oldest first. For one thread."""

    def __init__(self, limits: HttpLimits) -> None:
        self._limits = limits
        self._held: dict[str, dict[S, None]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[S]:
        return (one for held in list(self._held.values()) for one in list(held))

    def holder(self, address: str) -> str:
        """Return who an address counts as: itself, an IPv6 host's network, or nobody in particular for a proxy."""
        if not address or self._limits.is_trusted(address):
            return ""
        try:
            parsed = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return address
        if isinstance(parsed, ipaddress.IPv4Address):
            return address
        # a host has a /64 to itself as a rule, and may call from each of its addresses
        return str(parsed.ipv4_mapped or ipaddress.ip_network((parsed, 64), strict=False))

    def make_room(self, holder: str) -> S | None:
        """Return the connection to be given up for one more of ``holder``; None when there is room.

        :raises Full: when there is none to be given up.
        """
        own = self._held.get(holder, {})
        if holder and len(own) >= self._limits.connections_per_address:
            idle = next((one for one in own if one.is_idle), None)
            if idle is None:
                raise NoSeat(f"{len(own)} connections of this address are open")
            return idle
        if self._count < self._limits.connections:
            return None
        given_up = self._of_the_greediest(len(own)) or next((one for one in self if one.is_idle), None)
        if given_up is None:
            raise NoSeat(f"{self._count} connections are open")
        return given_up

    def take(self, one: S) -> None:
        self._held.setdefault(one.holder, {})[one] = None
        self._count += 1

    def leave(self, one: S) -> None:
        held = self._held.get(one.holder, {})
        if one in held:
            del held[one]
            self._count -= 1
            if not held:
                del self._held[one.holder]

    def _of_the_greediest(self, fewer: int) -> S | None:
        """Return the longest waiting connection of the address with most, of those that have more than ``fewer``."""
        strangers = (held for holder, held in self._held.items() if holder and len(held) > fewer)
        for held in sorted(strangers, key=len, reverse=True):
            waiting = next((one for one in held if one.is_waiting), None)
            if waiting is not None:
                return waiting
        return None

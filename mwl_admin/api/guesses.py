"""Tokens that are not known, counted by the address that sends them: too many end before the database is asked."""

from __future__ import annotations

import ipaddress
import threading
import time
from collections import OrderedDict

from mwl_admin.models.client import hashed

MAX_ADDRESSES = 10_000
MAX_PROVEN = 10_000


class Guesses:
    """How many more wrong tokens each address may send: a bucket that fills steadily.

    An address that has sent too many is refused whatever it sends, but for a token that it has proven before: a
    hospital's systems may share an address with whoever guesses. Each web worker counts for itself. Of addresses and
    proven tokens the ones unused longest are forgotten, so that neither grows without bound.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._proven: OrderedDict[tuple[str, str], None] = OrderedDict()

    def wait(self, address: str, token: str, per_minute: int, now: float | None = None) -> float:
        """Return 0 when the token may be looked up, or the seconds to wait."""
        now = time.monotonic() if now is None else now
        source = _network(address)
        with self._lock:
            left = self._now_left(source, per_minute, now)
            if left >= 1 or (source, hashed(token)) in self._proven:
                return 0.0
            return (1 - left) * 60 / per_minute

    def wrong(self, address: str, per_minute: int, now: float | None = None) -> None:
        """Count a token that is not known."""
        now = time.monotonic() if now is None else now
        source = _network(address)
        with self._lock:
            self._left[source] = (max(self._now_left(source, per_minute, now) - 1, 0.0), now)
            self._left.move_to_end(source)
            if len(self._left) > MAX_ADDRESSES:
                self._left.popitem(last=False)

    def right(self, address: str, token: str) -> None:
        """Remember that this token is known and comes from this address."""
        proven = (_network(address), hashed(token))
        with self._lock:
            self._proven[proven] = None
            self._proven.move_to_end(proven)
            if len(self._proven) > MAX_PROVEN:
                self._proven.popitem(last=False)

    def _now_left(self, source: str, per_minute: int, now: float) -> float:
        left, since = self._left.get(source, (float(per_minute), now))
        return min(float(per_minute), left + (now - since) * per_minute / 60)

    def clear(self) -> None:
        """Forget all addresses."""
        with self._lock:
            self._left.clear()
            self._proven.clear()

    def __len__(self) -> int:
        return len(self._left) + len(self._proven)


def _network(address: str) -> str:
    """Return what is counted as one address: of IPv6 the network of one subscriber, who may use all of it."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return ""
    return str(ipaddress.ip_network((address, 64), strict=False)) if parsed.version == 6 else address


GUESSES = Guesses()

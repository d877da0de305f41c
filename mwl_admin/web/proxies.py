"""Who really asks, behind a reverse proxy: its headers are believed when it is a known one, and from nobody else."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence

from django.conf import settings
from django.http import HttpRequest, HttpResponse

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_SAID_BY_PROXIES = (
    "HTTP_FORWARDED",
    "HTTP_X_FORWARDED_FOR",
    "HTTP_X_FORWARDED_HOST",
    "HTTP_X_FORWARDED_PORT",
    "HTTP_X_FORWARDED_PROTO",
    "HTTP_X_FORWARDED_SSL",
    "HTTP_X_REAL_IP",
)


class TrustedProxies:
    """Middleware: ``REMOTE_ADDR`` is the client's address, and what strangers say of themselves is gone.

    A request from one of ``WEB_TRUSTED_PROXIES`` takes the address of ``X-Forwarded-For`` and keeps
    ``X-Forwarded-Proto``, which Django asks for the scheme. Any other request loses these headers, so that nobody gives
    himself another's address or claims HTTPS.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        trusted: Sequence[Network] = settings.WEB_TRUSTED_PROXIES
        peer = _parse(request.META.get("REMOTE_ADDR", ""))
        if peer is not None and _is_in(peer, trusted):
            request.META["REMOTE_ADDR"] = str(_client(peer, request.META.get("HTTP_X_FORWARDED_FOR", ""), trusted))
        else:
            for name in _SAID_BY_PROXIES:
                request.META.pop(name, None)
        return self._get_response(request)


def _client(peer: Address, forwarded_for: str, trusted: Sequence[Network]) -> Address:
    """Return the right-most address that is no proxy of ours: each proxy adds its peer's, all left of it is hearsay."""
    client = peer
    for text in reversed(forwarded_for.split(",")):
        address = _parse(text)
        if address is None:
            return client
        client = address
        if not _is_in(client, trusted):
            return client
    return client


def _is_in(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)


def _parse(text: str) -> Address | None:
    """Return an address; some proxies add a port, and IPv4 over an IPv6 socket is IPv4."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return (address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None) or address

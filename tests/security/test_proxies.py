"""Who says where a request comes from: known reverse proxies only."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from mwl_admin.web.proxies import TrustedProxies

PROXY, STRANGER = "172.20.0.9", "198.51.100.7"
TRUSTED = [ipaddress.ip_network("172.20.0.0/24"), ipaddress.ip_network("fd00::/64")]


def seen(settings: Any, peer: str, **headers: str) -> HttpRequest:
    """Return a request as the site sees it."""
    settings.WEB_TRUSTED_PROXIES = TRUSTED
    requests: list[HttpRequest] = []

    def answer(request: HttpRequest) -> HttpResponse:
        requests.append(request)
        return HttpResponse()

    TrustedProxies(answer)(RequestFactory().get("/", REMOTE_ADDR=peer, headers=headers))
    return requests[0]


@pytest.mark.parametrize(
    ("forwarded_for", "client"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("203.0.113.66, 192.0.2.1", "192.0.2.1"),
        ("203.0.113.66, 192.0.2.1, 172.20.0.5", "192.0.2.1"),
        ("192.0.2.1:50123", "192.0.2.1"),
        ("[2001:db8::1]:50123", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("172.20.0.5, 172.20.0.6", "172.20.0.5"),
        ("203.0.113.66, nonsense", PROXY),
        ("203.0.113.66, unknown, 172.20.0.5", "172.20.0.5"),
        ("", PROXY),
    ],
)
def test_a_known_proxy_tells_the_address_and_what_the_client_added_itself_does_not_count(
    settings: Any, forwarded_for: str, client: str
) -> None:
    assert seen(settings, PROXY, X_Forwarded_For=forwarded_for).META["REMOTE_ADDR"] == client


@pytest.mark.parametrize("peer", [PROXY, "fd00::9", f"::ffff:{PROXY}"])
def test_a_known_proxy_tells_the_scheme(settings: Any, peer: str) -> None:
    assert seen(settings, peer, X_Forwarded_Proto="https").is_secure()
    assert not seen(settings, peer, X_Forwarded_Proto="http").is_secure()


@pytest.mark.parametrize("peer", [STRANGER, "127.0.0.1", "2001:db8::1", ""])
def test_a_stranger_is_where_he_is_and_claims_no_https(settings: Any, peer: str) -> None:
    request = seen(settings, peer, X_Forwarded_For="192.0.2.1", X_Forwarded_Proto="https", X_Forwarded_Host="x.example")
    assert request.META["REMOTE_ADDR"] == peer
    assert not request.is_secure()
    assert not [name for name in request.META if "FORWARDED" in name]

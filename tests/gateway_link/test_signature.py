"""Signed requests between site and receiver: nothing altered, old, repeated or unsigned is trusted."""

from __future__ import annotations

import pytest

from gateway_link.signature import TOLERANCE_SECONDS, Nonces, Unsigned, sign, verify

SECRET = "a secret of the two"
TARGET = "/api/receiver/devices?since=3"
NOW = 1_800_000_000.0


def test_what_was_signed_is_trusted() -> None:
    headers = sign(SECRET, "POST", TARGET, b"{}", now=NOW)
    assert verify(SECRET, "POST", TARGET, headers, b"{}", now=NOW + 5).timestamp == NOW


@pytest.mark.parametrize(
    ("secret", "method", "target", "body", "why"),
    [
        ("another", "POST", TARGET, b"{}", "does not match"),
        ("", "POST", TARGET, b"{}", "No secret"),
        (SECRET, "GET", TARGET, b"{}", "does not match"),
        (SECRET, "POST", "/api/receiver/devices", b"{}", "does not match"),
        (SECRET, "POST", TARGET, b"{ }", "does not match"),
    ],
)
def test_whatever_was_altered_is_refused(secret: str, method: str, target: str, body: bytes, why: str) -> None:
    headers = sign(SECRET, "POST", TARGET, b"{}", now=NOW)
    with pytest.raises(Unsigned, match=why):
        verify(secret, method, target, headers, body, now=NOW)


@pytest.mark.parametrize("lost", ["X-Gateway-Timestamp", "X-Gateway-Nonce", "X-Gateway-Signature"])
def test_a_request_without_one_of_the_headers_is_refused(lost: str) -> None:
    headers = sign(SECRET, "GET", TARGET, now=NOW)
    del headers[lost]
    with pytest.raises(Unsigned):
        verify(SECRET, "GET", TARGET, headers, now=NOW)


@pytest.mark.parametrize("seconds", [-TOLERANCE_SECONDS - 1, TOLERANCE_SECONDS + 1])
def test_an_old_request_or_one_of_the_future_is_refused(seconds: int) -> None:
    headers = sign(SECRET, "GET", TARGET, now=NOW)
    with pytest.raises(Unsigned, match="too old, or the clocks differ"):
        verify(SECRET, "GET", TARGET, headers, now=NOW + seconds)


def test_a_repeat_is_refused_for_as_long_as_its_time_stamp_would_be_trusted() -> None:
    nonces = Nonces()
    signed = verify(SECRET, "GET", TARGET, sign(SECRET, "GET", TARGET, now=NOW), now=NOW)
    nonces.use(signed, now=NOW)
    with pytest.raises(Unsigned, match="made before"):
        nonces.use(signed, now=NOW + TOLERANCE_SECONDS)

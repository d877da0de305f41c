"""What a TLS server lets a client choose, found out by `openssl s_client` as a stranger would."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field

VERSIONS = {"TLS 1.0": "-tls1", "TLS 1.1": "-tls1_1", "TLS 1.2": "-tls1_2", "TLS 1.3": "-tls1_3"}
_ANYTHING = "ALL:COMPLEMENTOFALL:@SECLEVEL=0"
"""Every cipher that the client has, the null and anonymous ones too, with keys and digests of any weakness."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What a server accepted: versions by their names, and TLS 1.2's cipher suites by OpenSSL's."""

    versions: set[str] = field(default_factory=set)
    ciphers: set[str] = field(default_factory=set)


def scan(port: int, *credentials: str) -> Offer:
    """Try each version, and each cipher suite of TLS 1.2; ``credentials`` are options with a client certificate."""
    offer = Offer()
    for version, option in VERSIONS.items():
        if _shakes_hands(port, option, "-cipher", _ANYTHING, *credentials):
            offer.versions.add(version)
    for cipher in _ciphers():
        if _shakes_hands(port, "-tls1_2", "-cipher", f"{cipher}:@SECLEVEL=0", *credentials):
            offer.ciphers.add(cipher)
    return offer


def weak(offer: Offer) -> set[str]:
    """Return what should not be there: no forward secrecy, no authenticated encryption, nobody authenticated."""
    old = offer.versions & {"TLS 1.0", "TLS 1.1"}
    good = ("ECDHE-RSA-", "ECDHE-ECDSA-", "DHE-RSA-")
    sealed = ("GCM", "CHACHA20", "CCM")
    return old | {
        name for name in offer.ciphers if not (name.startswith(good) and any(word in name for word in sealed))
    }


def _ciphers() -> list[str]:
    done = subprocess.run(
        ["openssl", "ciphers", "-s", "-tls1_2", _ANYTHING], capture_output=True, text=True, check=True, timeout=20
    )
    return [name for name in done.stdout.strip().split(":") if not name.startswith("TLS_")]


def _shakes_hands(port: int, *options: str) -> bool:
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", "localhost", *options],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    # an alert after the client's side is done is a refusal too
    return done.returncode == 0 and "Cipher is (NONE)" not in done.stdout and "alert" not in done.stderr

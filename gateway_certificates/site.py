"""The certificate that the reverse proxy serves the site by: the department's, or one of its own making."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from gateway_certificates.files import CertificateRefused, load_chain, load_key, replace
from gateway_certificates.making import Issued, alternative_names, make_self_signed
from gateway_settings.addresses import is_loopback
from gateway_settings.private import make_folder

DAYS = 800
"""Browsers take no certificate of more than 825 days, whoever vouches for it."""
_RENEW_BEFORE = datetime.timedelta(days=60)
_WARN_BEFORE = datetime.timedelta(days=30)

SERVED = "site.pem"
"""Chain and key in one file, as HAProxy reads them."""
STRICT = "hsts"
"""The names for which browsers are told to come by HTTPS only (RFC 6797), one a line."""


def prepare(folder: Path, hosts: Sequence[str], certificate: Path | None, key: Path | None) -> list[str]:
    """Write what the proxy reads into ``folder``; return lines for whoever starts it.

    ``hosts`` are the site's names as Django takes them. A department's ``certificate`` that is absent or empty is none.

    :raises Refused: when the department's certificate can't be used.
    """
    make_folder(folder)
    if _has_content(certificate) or _has_content(key):
        if not (_has_content(certificate) and _has_content(key)) or certificate is None or key is None:
            raise CertificateRefused("a certificate and its private key are both needed: one of the two is missing")
        return _take(folder, hosts, certificate, key)
    return _make(folder, hosts)


def _take(folder: Path, hosts: Sequence[str], certificate: Path, key: Path) -> list[str]:
    chain, private_key = load_chain(certificate), load_key(key)
    if chain[0].public_key() != private_key.public_key():
        raise CertificateRefused(f"{key} is not the private key of the first certificate in {certificate}")
    covered = [host for host in nameable(hosts) if _covers(chain[0], host)]
    links = b"".join(link.public_bytes(serialization.Encoding.PEM) for link in chain)
    replace(folder / SERVED, links + Issued(chain[0], private_key).key_pem())
    _be_strict(folder, [host for host in covered if not is_loopback(host)])
    lines = [f"the site is served by the department's certificate, {_described(chain[0])}"]
    left = chain[0].not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    if left < _WARN_BEFORE:
        lines.append(
            f"WARNING: this certificate {'is no longer valid' if left < datetime.timedelta(0) else 'ends soon'}"
        )
    missing = [host for host in nameable(hosts) if not is_loopback(host) and host not in covered]
    if missing:
        lines.append(f"WARNING: this certificate is not for {', '.join(missing)}")
    return lines


def _make(folder: Path, hosts: Sequence[str]) -> list[str]:
    _be_strict(folder, [])  # a browser that insists on HTTPS lets nobody past a certificate that it does not know
    names = nameable(hosts) or ["localhost"]
    kept = _own(folder / SERVED, names)
    if kept is None:
        made = make_self_signed(names, DAYS)
        replace(folder / SERVED, made.certificate_pem() + made.key_pem())
        kept = made.certificate
    return [
        f"the site is served by a certificate of its own making, {_described(kept)}",
        "browsers ask staff once whether they trust it; give the department's in .env (HTTPS_CERTIFICATE_PATH)",
    ]


def _own(path: Path, names: Sequence[str]) -> x509.Certificate | None:
    """Return the certificate of an earlier start that is still good for these names, if there is one."""
    try:
        certificate = load_chain(path)[0]
        load_key(path)
    except CertificateRefused:
        return None
    expires = certificate.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    is_own = certificate.issuer == certificate.subject and _names_of(certificate) == set(alternative_names(names))
    return certificate if is_own and expires > _RENEW_BEFORE else None


def _be_strict(folder: Path, hosts: Sequence[str]) -> None:
    replace(folder / STRICT, "".join(f"{host.lower()}\n" for host in hosts).encode())


def nameable(hosts: Sequence[str]) -> list[str]:
    """Return what a certificate can name; Django's leading dot stands for a name and all below it, * for any."""
    named: list[str] = []
    for host in hosts:
        if host.startswith("."):
            named += [host[1:], f"*{host}"]
        elif host != "*":
            named.append(host)
    return list(dict.fromkeys(named))


def _covers(certificate: x509.Certificate, host: str) -> bool:
    names = _names_of(certificate)
    wildcard = x509.DNSName(f"*.{host.partition('.')[2]}")
    return alternative_names([host])[0] in names or wildcard in names


def _names_of(certificate: x509.Certificate) -> set[x509.GeneralName]:
    try:
        return set(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return set()


def _described(certificate: x509.Certificate) -> str:
    fingerprint = certificate.fingerprint(hashes.SHA256()).hex(":").upper()
    return f"valid until {certificate.not_valid_after_utc:%Y-%m-%d}, SHA-256 {fingerprint}"


def _has_content(path: Path | None) -> bool:
    try:
        # a device such as /dev/null, which stands for "none" in compose.yaml, has no size
        return path is not None and (path.stat().st_size > 0 or path.is_dir())
    except FileNotFoundError:
        return False

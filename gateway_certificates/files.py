"""Where certificates and keys are kept: PEM files for their owner alone, and none that is overwritten."""

from __future__ import annotations

import datetime
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from gateway_certificates.making import Issued, PrivateKey
from gateway_settings.private import make_folder


class CertificateRefused(Exception):
    """Something can't be done as it was asked for; the text is one line that says why."""


@dataclass(frozen=True, slots=True)
class Store:
    """``tls`` is what services read: their certificate and key, and the authority's certificate.

    ``authority`` holds the authority's key and the devices' files: services have no business there.
    """

    tls: Path
    authority: Path

    @property
    def authority_certificate(self) -> Path:
        return self.tls / "ca.pem"

    @property
    def authority_key(self) -> Path:
        return self.authority / "ca.key"

    @property
    def server_certificate(self) -> Path:
        return self.tls / "server.pem"

    @property
    def server_key(self) -> Path:
        return self.tls / "server.key"

    def device(self, ae_title: str) -> tuple[Path, Path]:
        """Return where a device's certificate and key are: an AE title may hold what a file's name can't."""
        name = quote(ae_title, safe="")
        return self.authority / "devices" / f"{name}.pem", self.authority / "devices" / f"{name}.key"

    def certificates(self) -> list[Path]:
        """Return the certificates that are there: the authority's, the server's, the devices' by name."""
        fixed = [path for path in (self.authority_certificate, self.server_certificate) if path.exists()]
        return [*fixed, *sorted((self.authority / "devices").glob("*.pem"))]

    def load_authority(self) -> Issued:
        """Return the authority.

        :raises CertificateRefused: where there is none.
        """
        if not self.authority_certificate.exists() or not self.authority_key.exists():
            raise CertificateRefused(
                f"there is no authority in {self.authority} yet; make one by: python -m gateway_certificates ca"
            )
        return Issued(load_chain(self.authority_certificate)[0], load_key(self.authority_key))


def write_new(issued: Issued, certificate: Path, key: Path) -> None:
    """Write a certificate and its key into new files.

    :raises CertificateRefused: one of the two files is there already.
    """
    for path in (certificate, key):
        if path.exists():
            raise CertificateRefused(
                f"{path} is there already and is not overwritten; --renew sets it aside and makes another one"
            )
        make_folder(path.parent)
    # The key first: a certificate that is there can be used.
    _write(key, issued.key_pem())
    _write(certificate, issued.certificate_pem())


def set_aside(paths: Sequence[Path], now: datetime.datetime) -> None:
    """Give files that are there another name, which tells when that was; their content stays."""
    for path in paths:
        if path.exists():
            path.rename(path.with_name(f"{path.name}.until-{now:%Y%m%d-%H%M%S}"))


def replace(path: Path, content: bytes) -> None:
    """Write a file for its owner alone, so that a reader finds the old or the new content and nothing between."""
    aside = path.with_name(f"{path.name}.new")
    aside.unlink(missing_ok=True)
    _write(aside, content)
    aside.replace(path)


def _write(path: Path, content: bytes) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise CertificateRefused(f"{path} can't be written: {error.strerror}") from error


def load_chain(path: Path) -> list[x509.Certificate]:
    """Return the certificates in a PEM file, the holder's own one first.

    :raises CertificateRefused: when it can't be read.
    """
    try:
        return x509.load_pem_x509_certificates(_content(path))
    except ValueError as error:
        raise CertificateRefused(f"{path} holds no certificate in PEM form") from error


def load_key(path: Path) -> PrivateKey:
    """Return the private key in a PEM file that no password protects.

    :raises CertificateRefused: when it can't be read.
    """
    try:
        key = serialization.load_pem_private_key(_content(path), password=None)
    except TypeError as error:
        raise CertificateRefused(
            f"{path} is protected by a password; nobody is there to type it when a service starts"
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise CertificateRefused(f"{path} holds no private key in PEM form") from error
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise CertificateRefused(f"{path} holds a key that is neither RSA nor of an elliptic curve")
    return key


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CertificateRefused(f"{path} can't be read by user {os.geteuid()}: {error.strerror}") from error

"""Makes X.509 certificates (RFC 5280) that DICOM devices and browsers take. Pure: nothing here touches a file."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

RSA_BITS = 3072
"""Good beyond 2030 (NIST SP 800-57), and what old DICOM toolkits can read; many of them know no elliptic curve."""
_CLOCKS_DIFFER = datetime.timedelta(hours=1)
"""A certificate is valid from a little before it is made: a scanner's clock may be late."""


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate with its private key."""

    certificate: x509.Certificate
    key: PrivateKey

    def certificate_pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def key_pem(self) -> bytes:
        """Return the key, unencrypted (PKCS #8): a service starts without anybody at hand to type a password."""
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


def make_authority(name: str, days: int) -> Issued:
    """Return the department's authority, which signs its servers and devices and no further authority."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)
    subject = _named(name)
    builder = (
        _builder(subject, subject, key, days)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(certificates=True), critical=True)
    )
    return Issued(builder.sign(key, hashes.SHA256()), key)


def make_server(authority: Issued, names: Sequence[str], days: int) -> Issued:
    """Return a certificate of a service that is reached by ``names``: host names and addresses, the first one first.

    It is a client's too: the receiver calls devices when it reports a Storage Commitment.
    """
    usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    return _issue(authority, names[0], alternative_names(names), usages, days)


def make_device(authority: Issued, ae_title: str, names: Sequence[str], days: int) -> Issued:
    """Return a device's certificate: its common name is the AE title, by which the listener knows whose it is."""
    usages = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
    return _issue(authority, ae_title, alternative_names(names), usages, days)


def make_self_signed(names: Sequence[str], days: int) -> Issued:
    """Return a certificate of a site that nobody else vouches for: staff are asked once whether they trust it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _named(names[0])
    builder = _leaf(_builder(subject, subject, key, days), alternative_names(names), [ExtendedKeyUsageOID.SERVER_AUTH])
    return Issued(builder.sign(key, hashes.SHA256()), key)


def alternative_names(names: Sequence[str]) -> list[x509.GeneralName]:
    """Return host names and addresses as a certificate states them.

    :raises ValueError: for what is neither.
    """
    return [_alternative_name(name) for name in names]


def _alternative_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name.strip("[]")))
    except ValueError:
        pass
    labels = name.removeprefix("*.").split(".")
    if not name.isascii() or not all(label and label.replace("-", "").isalnum() for label in labels):
        raise ValueError(f"{name!r} is neither a host name nor an address")
    return x509.DNSName(name)


def _issue(
    authority: Issued,
    common_name: str,
    names: list[x509.GeneralName],
    usages: list[x509.ObjectIdentifier],
    days: int,
) -> Issued:
    key = rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)
    builder = _builder(_named(common_name), authority.certificate.subject, key, days)
    signer = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
        authority.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    )
    builder = _leaf(builder, names, usages).add_extension(signer, critical=False)
    return Issued(builder.sign(authority.key, hashes.SHA256()), key)


def _builder(subject: x509.Name, issuer: x509.Name, key: PrivateKey, days: int) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCKS_DIFFER)
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _leaf(
    builder: x509.CertificateBuilder, names: list[x509.GeneralName], usages: list[x509.ObjectIdentifier]
) -> x509.CertificateBuilder:
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return (
        builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    )


def _usage(*, certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True, key_cert_sign=certificates, crl_sign=certificates, content_commitment=False,
        key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _named(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])

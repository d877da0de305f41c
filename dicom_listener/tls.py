"""TLS for a listener: the BCP 195 (RFC 9325) profile of PS3.15 Annex B, versions 1.2 and 1.3 only."""

from __future__ import annotations

import hashlib
import ssl
from typing import TYPE_CHECKING

from dicom_listener.access import Certificate
from gateway_settings.environment import BadSetting

if TYPE_CHECKING:
    from dicom_listener.config import TlsFiles

_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:!aNULL:!eNULL:!SHA1"
"""For TLS 1.2: forward secrecy and authenticated encryption only. TLS 1.3 has nothing weaker to switch off."""


def server_context(files: TlsFiles, prefix: str) -> ssl.SSLContext:
    """Return the context of a server.

    :raises BadSetting: for files that don't work.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    # an end without notice is the connection's end and no more: DICOM has its own ends, so that nothing can be cut
    # short unseen, and an A-ABORT can still be sent to a peer whose time is over
    context.options |= ssl.OP_IGNORE_UNEXPECTED_EOF
    try:
        context.load_cert_chain(files.certificate, files.private_key)
    except (ssl.SSLError, OSError) as error:
        raise BadSetting(
            f"{prefix}TLS_CERTIFICATE_PATH: certificate or private key cannot be used ({error})"
        ) from error
    if files.client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        try:
            context.load_verify_locations(files.client_ca)
        except (ssl.SSLError, OSError) as error:
            raise BadSetting(f"{prefix}TLS_CLIENT_CA_PATH: holds no certificate that can be used ({error})") from error
    return context


def client_certificate(sock: ssl.SSLSocket, *, any_title: bool) -> Certificate | None:
    """Return the certificate that the client of a finished handshake has proved to hold, None when none is asked for.

    ``any_title`` is what the settings say (:class:`~dicom_listener.config.TlsFiles`).
    """
    encoded = sock.getpeercert(binary_form=True)
    verified = sock.getpeercert()  # empty where the certificate was not verified
    if not encoded or not verified:
        return None
    subject: tuple[tuple[tuple[str, str], ...], ...] = verified.get("subject", ())  # type: ignore[assignment]
    names = [value for attributes in subject for name, value in attributes if name == "commonName"]
    return Certificate(hashlib.sha256(encoded).hexdigest(), names[0] if len(names) == 1 else "", any_title=any_title)

"""The peers' file: devices that the receiver knows without a site.

The file is TOML, one table for each peer::

    [[peer]]
    ae_title = "CT1"
    enabled = true                            # false: turned away
    addresses = ["192.0.2.7", "10.1.0.0/16"]  # where it may call from; anywhere when left out
    certificates = ["<SHA-256>"]              # with TLS: the client certificates that it may show
    rights = ["store"]                        # what it may do; store when left out
    host = "192.0.2.7"                        # where Storage Commitment results go
    port = 104
    sop_classes = ["CTImageStorage"]          # what it may store; everything when left out
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from dicom_listener.devices import Device
from gateway_settings.addresses import networks
from gateway_settings.values import ae_title
from pacs_receiver.sop_classes import sop_class_named

STORE = "store"
RIGHTS = frozenset({STORE, "query", "retrieve"})
"""What a device can be allowed to do (docs/devices.md)."""

_KEYS = {
    "ae_title": str,
    "enabled": bool,
    "addresses": list,
    "certificates": list,
    "rights": list,
    "host": str,
    "port": int,
    "sop_classes": list,
}
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")


class BadPeersFile(ValueError):
    """The peers' file can't be used; the text is one line with line number and reason"""


@dataclass(frozen=True, slots=True)
class Peer:
    """A device as the receiver knows it; an empty set of SOP classes restricts nothing. ``port`` 0: it isn't called."""

    device: Device
    host: str = ""
    port: int = 0
    sop_classes: frozenset[str] = frozenset()
    rights: frozenset[str] = frozenset({STORE})

    @property
    def can_be_called(self) -> bool:
        return bool(self.host and self.port)

    def may(self, right: str) -> bool:
        return right in self.rights


def fingerprints(values: Iterable[object]) -> frozenset[str]:
    """Parse SHA-256 fingerprints of certificates, with colons or without.

    :raises ValueError: when one is none.
    """
    found = frozenset(str(value).replace(":", "").strip().lower() for value in values)
    for value in found:
        if _FINGERPRINT.fullmatch(value) is None:
            raise ValueError("a certificate is named by the 64 hexadecimal digits of its SHA-256")
    return found


def rights(values: Iterable[object]) -> frozenset[str]:
    """Parse rights.

    :raises ValueError: when one is none.
    """
    found = frozenset(map(str, values))
    if not found <= RIGHTS:
        raise ValueError(f"rights are out of {', '.join(sorted(RIGHTS))}")
    return found


def parse(text: str) -> dict[str, Peer]:
    """Read a peers' file.

    :raises BadPeersFile: when it can't be understood.
    """
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadPeersFile(_with_line_first(str(error), len(text.splitlines()))) from error
    unknown = sorted(set(content) - {"peer"})
    if unknown:
        raise BadPeersFile(f"line {_line_of(text, 0, unknown[0])}: {unknown[0]!r} is not known, only [[peer]] is")
    entries = content.get("peer", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise BadPeersFile(f"line {_line_of(text, 0, 'peer')}: peers are written as [[peer]]")
    peers: dict[str, Peer] = {}
    for number, entry in enumerate(entries):
        peer = _peer(text, number, entry)
        title = peer.device.ae_title
        if title in peers:
            raise BadPeersFile(f"line {_line_of(text, number, 'ae_title')}: {title!r} occurs twice")
        peers[title] = peer
    return peers


def _peer(text: str, number: int, entry: Mapping[str, Any]) -> Peer:
    for key, value in entry.items():
        expected = _KEYS.get(key)
        if expected is None:
            raise BadPeersFile(f"line {_line_of(text, number, key)}: {key!r} is not known")
        if not isinstance(value, expected) or (isinstance(value, bool) and expected is not bool):
            raise BadPeersFile(f"line {_line_of(text, number, key)}: {key} is not of the right type")
    key = "ae_title"
    try:
        title = ae_title(entry.get("ae_title", ""))
        key = "addresses"
        addresses = networks(",".join(map(str, entry.get("addresses", []))))
        key = "certificates"
        certificates = fingerprints(entry.get("certificates", []))
        key = "rights"
        allowed = rights(entry.get("rights", [STORE]))
        key = "sop_classes"
        classes = frozenset(sop_class_named(str(name)) for name in entry.get("sop_classes", []))
        key = "port"
        port = entry.get("port", 0)
        if not 0 <= port <= 65535:
            raise ValueError("not a port")
        if bool(entry.get("host")) != bool(port):
            raise ValueError("host and port are needed together")
    except ValueError as error:
        raise BadPeersFile(f"line {_line_of(text, number, key)}: {error}") from error
    device = Device(title, entry.get("enabled", True), addresses, certificates)
    return Peer(device, entry.get("host", ""), port, classes, allowed)


def _with_line_first(message: str, last: int) -> str:
    found = re.search(r"^(.*) \(at (?:line (\d+), column \d+|end of document)\)$", message, re.DOTALL)
    # what the message quotes may be a line break
    return f"line {found[2] or last}: {found[1]}".replace("\n", " ") if found else message


def _line_of(text: str, number: int, key: str) -> int:
    """Find the line of a key in the file's peer ``number``, or of that peer's first line."""
    seen = -1
    start = 1
    for line_number, line in enumerate(text.splitlines(), 1):
        if re.match(r"\s*\[\[\s*peer\s*\]\]", line):
            seen += 1
            if seen == number:
                start = line_number
        elif (seen == number or key == "peer" or seen < 0) and re.match(rf"""\s*\[*\s*["']?{re.escape(key)}\b""", line):
            return line_number
    return start

"""Who the receiver knows: the peers' file, read again on SIGHUP and when it changes.

The file is TOML, one table for each peer::

    [[peer]]
    ae_title = "CT1"
    addresses = ["192.0.2.7", "10.1.0.0/16"]  # where it may call from; anywhere when left out
    host = "192.0.2.7"                        # where Storage Commitment results go
    port = 104
    sop_classes = ["CTImageStorage"]          # what it may store; everything when left out
"""

from __future__ import annotations

import ipaddress
import logging
import re
import threading
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dicom_listener.access import AccessRule, Caller, Reason, Rejected
from dicom_listener.config import Network, ae_title, networks
from pacs_receiver.sop_classes import sop_class_named

log = logging.getLogger(__name__)

_KEYS = {"ae_title": str, "addresses": list, "host": str, "port": int, "sop_classes": list}


class BadPeersFile(ValueError):
    """The peers' file can't be used; the text is one line with line number and reason"""


@dataclass(frozen=True, slots=True)
class Peer:
    """One known application entity; an empty tuple or set restricts nothing."""

    ae_title: str
    addresses: tuple[Network, ...] = ()
    host: str = ""
    port: int = 0
    sop_classes: frozenset[str] = frozenset()

    @property
    def can_be_called(self) -> bool:
        return bool(self.host and self.port)

    def may_call_from(self, address: str) -> bool:
        if not self.addresses:
            return True
        parsed = ipaddress.ip_address(address.partition("%")[0])
        parsed = getattr(parsed, "ipv4_mapped", None) or parsed
        return any(parsed in network for network in self.addresses)


def parse(text: str) -> dict[str, Peer]:
    """Read a peers' file. Raises :class:`BadPeersFile`."""
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise BadPeersFile(_with_line_first(str(exc), len(text.splitlines()))) from exc
    unknown = sorted(set(content) - {"peer"})
    if unknown:
        raise BadPeersFile(f"line {_line_of(text, 0, unknown[0])}: {unknown[0]!r} is not known, only [[peer]] is")
    entries = content.get("peer", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise BadPeersFile(f"line {_line_of(text, 0, 'peer')}: peers are written as [[peer]]")
    peers: dict[str, Peer] = {}
    for number, entry in enumerate(entries):
        peer = _peer(text, number, entry)
        if peer.ae_title in peers:
            raise BadPeersFile(f"line {_line_of(text, number, 'ae_title')}: {peer.ae_title!r} occurs twice")
        peers[peer.ae_title] = peer
    return peers


def _peer(text: str, number: int, entry: Mapping[str, Any]) -> Peer:
    for key, value in entry.items():
        expected = _KEYS.get(key)
        if expected is None:
            raise BadPeersFile(f"line {_line_of(text, number, key)}: {key!r} is not known")
        if not isinstance(value, expected) or isinstance(value, bool):
            raise BadPeersFile(f"line {_line_of(text, number, key)}: {key} is not of the right type")
    key = "ae_title"
    try:
        title = ae_title(entry.get("ae_title", ""))
        key = "addresses"
        addresses = networks(",".join(map(str, entry.get("addresses", []))))
        key = "sop_classes"
        classes = frozenset(sop_class_named(str(name)) for name in entry.get("sop_classes", []))
        key = "port"
        port = entry.get("port", 0)
        if not 0 <= port <= 65535:
            raise ValueError("not a port")
        if bool(entry.get("host")) != bool(port):
            raise ValueError("host and port are needed together")
    except ValueError as exc:
        raise BadPeersFile(f"line {_line_of(text, number, key)}: {exc}") from exc
    return Peer(title, addresses, entry.get("host", ""), port, classes)


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


class PeerBook:
    """The peers in force. Reading is cheap; a changed file is noticed at the next look."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._stamp: tuple[int, int, int] | None = None
        self._peers: dict[str, Peer] = {}
        if path is not None:
            self._peers = parse(path.read_text(encoding="utf-8"))
            self._stamp = self._look()

    def get(self, title: str) -> Peer | None:
        """Return the peer with this AE title."""
        return self._current().get(title)

    def reload(self) -> None:
        """Read the file again now; when it is wrong, say so and keep what was in force."""
        with self._lock:
            self._stamp = self._look()
            self._read()

    def _current(self) -> dict[str, Peer]:
        if self._path is None:
            return self._peers
        stamp = self._look()
        if stamp != self._stamp:
            with self._lock:
                if stamp != self._stamp:
                    self._stamp = stamp
                    self._read()
        return self._peers

    def _look(self) -> tuple[int, int, int] | None:
        try:
            status = self._path.stat() if self._path else None
        except OSError:
            return None
        return (status.st_mtime_ns, status.st_size, status.st_ino) if status else None

    def _read(self) -> None:
        if self._path is None:
            return
        try:
            self._peers = parse(self._path.read_text(encoding="utf-8"))
        except (BadPeersFile, OSError, UnicodeDecodeError) as exc:
            log.error("the peers' file is wrong, what was in force stays: %s: %s", self._path, exc)
            return
        log.info("peers read from %s: %d", self._path, len(self._peers))

    def rule(self, otherwise: AccessRule, *, unknown: bool) -> AccessRule:
        """Return an access rule: a known AE title may only call from its addresses, others if ``unknown`` says so."""

        def allowed(caller: Caller) -> Rejected | None:
            peer = self.get(caller.calling_ae)
            if peer is None and not unknown:
                return Rejected(Reason.CALLING_AE, "calling AE title is not among the peers")
            if peer is not None and not peer.may_call_from(caller.address):
                return Rejected(Reason.CALLING_AE, "address is none of this peer's")
            return otherwise(caller)

        return allowed

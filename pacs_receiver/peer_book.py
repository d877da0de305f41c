"""Who is known to the receiver now: the peers' file, read again on SIGHUP and when it changes."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from dicom_listener.access import AccessRule, Caller, Rejected
from dicom_listener.devices import judge
from pacs_receiver.peers import STORE, BadPeersFile, Peer, parse

log = logging.getLogger(__name__)

Stamp = tuple[int, int, int]


class PeerBook:
    """The peers in force. Reading is cheap; a changed file is noticed at the next look."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._stamp: Stamp | None = None
        self._peers: dict[str, Peer] = {}
        if path is not None:
            self._peers = parse(path.read_text(encoding="utf-8"))
            self._stamp = look(path)

    def get(self, title: str) -> Peer | None:
        """Return the peer with this AE title."""
        return self._current().get(title)

    def may_store(self, title: str) -> bool:
        """Tell whether an AE title that was let in may store: strangers may, devices unless it was taken from them."""
        peer = self.get(title)
        return peer is None or peer.may(STORE)

    def reload(self) -> None:
        """Read the file again now; when it is wrong, say so and keep what was in force."""
        with self._lock:
            self._stamp = look(self._path)
            self._read()

    def _current(self) -> dict[str, Peer]:
        if self._path is None:
            return self._peers
        stamp = look(self._path)
        if stamp != self._stamp:
            with self._lock:
                if stamp != self._stamp:
                    self._stamp = stamp
                    self._read()
        return self._peers

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
        """Return the rule of docs/devices.md, then ``otherwise``; ``unknown``: strangers are served."""

        def allowed(caller: Caller) -> Rejected | None:
            peer = self.get(caller.calling_ae)
            return judge(peer.device if peer else None, caller, unknown=unknown) or otherwise(caller)

        return allowed


def look(path: Path | None) -> Stamp | None:
    """Return what tells one version of a file from the next; None when it isn't there."""
    try:
        status = path.stat() if path else None
    except OSError:
        return None
    return (status.st_mtime_ns, status.st_size, status.st_ino) if status else None

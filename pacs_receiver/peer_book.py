"""Who is known to the receiver now: the peers' file, and the site's list as it was fetched last.

Each is read again when it changes. Where both name an AE title, the peers' file holds.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from dicom_listener.access import AccessRule, Caller, Rejected
from dicom_listener.devices import judge
from pacs_receiver.peers import STORE, Peer, parse
from pacs_receiver.registry import KeptRegistry, Registry

logger = logging.getLogger(__name__)

T = TypeVar("T")

AsBefore = Callable[[Caller], bool]
"""Tells whether a caller that nobody entered is served all the same, as it was before an update (docs/devices.md)."""


class _Watched(Generic[T]):
    """What a file says. Asking is cheap; a change is noticed at the next question, a wrong file changes nothing."""

    def __init__(self, path: Path | None, what: str, read: Callable[[Path], T], nothing: T) -> None:
        self._path = path
        self._what = what
        self._read = read
        self._lock = threading.Lock()
        self._stamp: tuple[int, int, int] | None = None
        self._value = nothing

    def get(self) -> T:
        if self._path is not None:
            stamp = self._look(self._path)
            if stamp != self._stamp:
                with self._lock:
                    if stamp != self._stamp:
                        self._stamp = stamp
                        self._take(self._path)
        return self._value

    def reload(self) -> None:
        """Read the file now; when it is wrong, say so and keep what was in force."""
        if self._path is not None:
            with self._lock:
                self._stamp = self._look(self._path)
                self._take(self._path)

    def _look(self, path: Path) -> tuple[int, int, int] | None:
        try:
            status = path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino

    def _take(self, path: Path) -> None:
        try:
            self._value = self._read(path)
        except (ValueError, OSError) as error:
            fields = {"what": self._what, "path": str(path), "because": str(error)}
            logger.error("a list of devices is wrong, what was in force stays", extra={"fields": fields})


@dataclass(frozen=True, slots=True)
class Known:
    """How many devices each source names, and which AE titles staff decided to leave unknown."""

    from_file: int
    from_site: int
    refused: frozenset[str]


class PeerBook:
    """The devices in force. ``path`` is the peers' file, ``site`` where the site's list is kept; either may be None."""

    def __init__(self, path: Path | None, site: Path | None = None) -> None:
        nobody: Mapping[str, Peer] = {}
        self._file = _Watched(path, "the peers' file", _peers_of, nobody)
        self._site = _Watched(site, "the site's list", _registry_of, Registry())
        if path is not None:
            parse(path.read_text(encoding="utf-8"))  # at start a wrong file is a wrong setting

    def get(self, title: str) -> Peer | None:
        """Return the device with this AE title."""
        return self._file.get().get(title) or self._site.get().devices.get(title)

    def known(self) -> Known:
        """Return what `status` says of the devices."""
        registry = self._site.get()
        return Known(len(self._file.get()), len(registry.devices), registry.refused)

    def refuses(self, title: str) -> bool:
        """Tell whether staff decided that this AE title stays unknown."""
        return title in self._site.get().refused

    def may_store(self, title: str) -> bool:
        """Tell whether an AE title that was let in may store: strangers may, devices unless it was taken from them."""
        peer = self.get(title)
        return peer is None or peer.may(STORE)

    def reload(self) -> None:
        """Read the peers' file again now; the site's list is replaced whole, and noticed anyway."""
        self._file.reload()

    def rule(self, otherwise: AccessRule, *, unknown: bool, as_before: AsBefore | None = None) -> AccessRule:
        """Return the rule of docs/devices.md, then ``otherwise``; ``unknown``: strangers are served."""

        def allowed(caller: Caller) -> Rejected | None:
            peer = self.get(caller.calling_ae)
            served = unknown and not self.refuses(caller.calling_ae)
            rejected = judge(peer.device if peer else None, caller, unknown=served)
            if rejected and peer is None and not unknown and as_before is not None and as_before(caller):
                rejected = judge(None, caller, unknown=True)
            return rejected or otherwise(caller)

        return allowed


def _peers_of(path: Path) -> Mapping[str, Peer]:
    peers = parse(path.read_text(encoding="utf-8"))
    logger.info("peers read", extra={"fields": {"path": str(path), "peers": len(peers)}})
    return peers


def _registry_of(path: Path) -> Registry:
    return KeptRegistry(path).read()[1]

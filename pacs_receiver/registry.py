"""The devices that staff keep on the site: the list as the receiver fetched it last, kept for when the site is away."""

from __future__ import annotations

import ipaddress
import json
import logging
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dicom_listener.devices import Device
from gateway_settings.addresses import Network
from gateway_settings.values import ae_title
from pacs_receiver.peers import RIGHTS, Peer, fingerprints
from pacs_receiver.site_link import SiteAway, SiteLink

logger = logging.getLogger(__name__)

_DEVICES_LIMIT = 10_000
_MODE = 0o600
_FOLDER_MODE = 0o700


class BadRegistry(ValueError):
    """A list of devices that can't be understood; the text says what is wrong with it"""


@dataclass(frozen=True, slots=True)
class Registry:
    """The site's list: devices by AE title, and the AE titles that staff decided to leave unknown."""

    devices: Mapping[str, Peer] = field(default_factory=dict)
    refused: frozenset[str] = frozenset()


def parse(text: str | bytes) -> Registry:
    """Read a list in the form of docs/devices.md; keys that are new to this version are left alone.

    :raises BadRegistry: when a part can't be understood: such a list says nothing at all.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadRegistry("it is no JSON") from error
    if not isinstance(content, dict) or not isinstance(content.get("devices"), list):
        raise BadRegistry("it has no devices")
    entries = content["devices"]
    if len(entries) > _DEVICES_LIMIT:
        raise BadRegistry(f"it has more than {_DEVICES_LIMIT} devices")
    devices: dict[str, Peer] = {}
    for number, entry in enumerate(entries, 1):
        try:
            peer = _peer(entry)
        except (ValueError, TypeError, KeyError) as error:
            raise BadRegistry(f"device {number} has no usable {_key_of(error)}") from error
        if peer.device.ae_title in devices:
            raise BadRegistry(f"device {number} has the AE title of another")
        devices[peer.device.ae_title] = peer
    refused = content.get("refused", [])
    if not isinstance(refused, list) or not all(isinstance(title, str) for title in refused):
        raise BadRegistry("refused is no list of AE titles")
    return Registry(devices, frozenset(refused))


class _Unusable(ValueError):
    """A value that can't be used; the text is its key"""


def _key_of(error: Exception) -> str:
    return str(error) if isinstance(error, _Unusable) else "form"


def _peer(entry: Any) -> Peer:
    title = _of_type(entry, "ae_title", str, None)
    addresses = _of_type(entry, "addresses", list, [])
    certificates = _of_type(entry, "certificates", list, [])
    rights = _of_type(entry, "rights", list, None)
    port = _of_type(entry, "port", int, 0)
    try:
        key = "ae_title"
        title = ae_title(title)
        key = "addresses"
        networks = tuple(_network(address) for address in addresses)
        key = "certificates"
        bound = fingerprints(certificates)
        key = "rights"
        allowed = RIGHTS & frozenset(map(str, rights))  # rights of a newer site are no rights here
    except ValueError as error:
        raise _Unusable(key) from error
    if not 0 <= port <= 65535:
        raise _Unusable("port")
    device = Device(title, _of_type(entry, "enabled", bool, None), networks, bound)
    return Peer(device, host=_of_type(entry, "host", str, ""), port=port, rights=allowed)


def _network(address: object) -> Network:
    if not isinstance(address, str):
        raise ValueError("not an address")  # numbers would be taken for addresses
    return ipaddress.ip_network(address.strip(), strict=False)


def _of_type(entry: Any, key: str, kind: type, default: Any) -> Any:
    """Return a value of the type that it must have; ``default`` None: it must be there."""
    value = entry.get(key, default) if isinstance(entry, dict) else None
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise _Unusable(key)
    return value


@dataclass(slots=True)
class KeptRegistry:
    """The file that holds the list with its ETag. It is replaced whole: readers see the old one or the new one."""

    path: Path

    def read(self) -> tuple[str, Registry]:
        """Return ETag and list.

        :raises OSError: when they can't be read.
        :raises BadRegistry: when they are damaged.
        """
        try:
            kept = json.loads(self.path.read_bytes())
            etag, text = str(kept["etag"]), str(kept["list"])
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise BadRegistry("the kept list is damaged") from error
        return etag, parse(text)

    def write(self, etag: str, text: str) -> None:
        """Keep a list durably."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=_FOLDER_MODE)
        new = self.path.with_name(self.path.name + ".new")
        fd = os.open(new, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC, _MODE)
        with os.fdopen(fd, "wb") as file:
            file.write(json.dumps({"etag": etag, "list": text}).encode())
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.path)
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


class RegistryFetcher:
    """Fetches the site's list and keeps it. Safe for threads; a trouble is logged once, until there is another."""

    def __init__(self, link: SiteLink, kept: KeptRegistry) -> None:
        self._link = link
        self._kept = kept
        self._lock = threading.Lock()
        self._trouble = ""
        self._etag = ""
        self._devices = 0
        self._known = False

    def refresh(self) -> int:
        """Fetch the list now; return how many devices it has. What is in force stays when there is none.

        :raises SiteAway: when the site gives none.
        :raises BadRegistry: when it can't be understood.
        """
        with self._lock:
            try:
                self._refresh()
            except (SiteAway, BadRegistry) as error:
                self._note(f"{error}")
                raise
            self._note("")
            return self._devices

    def keep_fresh(self) -> None:
        """Fetch the list, as a job that is repeated."""
        try:
            self.refresh()
        except (SiteAway, BadRegistry):
            return  # logged already

    def _refresh(self) -> None:
        self._remember_kept()
        answer = self._link.ask("GET", headers={"If-None-Match": self._etag} if self._etag else {})
        if answer.status == 304 and self._known:
            return
        text = answer.body.decode("utf-8", "replace")
        registry = parse(text)
        self._kept.write(answer.etag, text)
        self._etag, self._devices, self._known = answer.etag, len(registry.devices), True
        logger.info("the site's list of devices is in force", extra={"fields": {"devices": self._devices}})

    def _remember_kept(self) -> None:
        if self._known:
            return
        try:
            self._etag, registry = self._kept.read()
        except (OSError, BadRegistry):
            return
        self._devices, self._known = len(registry.devices), True

    def _note(self, trouble: str) -> None:
        if trouble and trouble != self._trouble:
            fields = {"because": trouble}
            logger.warning(
                "the site's list of devices could not be had, what was in force stays", extra={"fields": fields}
            )
        self._trouble = trouble

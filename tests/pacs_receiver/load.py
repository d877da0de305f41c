"""Senders that keep a receiver busy and remember what it acknowledged."""

from __future__ import annotations

import contextlib
import hashlib
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from tests.clients import raw
from tests.pacs_receiver.images import CT, EXPLICIT, encode, image, uid
from tests.pacs_receiver.testdata import data_set_of

SIZES = (512, 4096, 65_536, 524_288)
CONTEXT = 1


def connect(port: int, calling: str = "LOAD") -> raw.RawPeer:
    """Open an association that can store CT images on context 1."""
    peer = raw.RawPeer.connect(port, timeout=60)
    try:
        peer.associate(
            raw.association_request(
                called=b"PACS", calling=calling.encode(), contexts=[raw.context_item(CONTEXT, CT, (EXPLICIT,))]
            )
        )
    except BaseException:
        peer.sock.close()
        raise
    return peer


def store(peer: raw.RawPeer, instance: str, data: bytes) -> int:
    """Store one data set; return the status. Raises EOFError or OSError when the receiver goes away."""
    peer.send_message(CONTEXT, raw.store(1, instance, CT), data)
    return peer.read_message().status


@dataclass
class Acknowledged:
    """What got Success: SOP Instance UID to the SHA-256 of the data set; and the same of all that was ever sent."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    digests: dict[str, bytes] = field(default_factory=dict)
    sent: dict[str, bytes] = field(default_factory=dict)
    refused: list[int] = field(default_factory=list)
    studies: set[str] = field(default_factory=set)

    def add(self, instance: str, data: bytes) -> None:
        with self.lock:
            self.digests[instance] = hashlib.sha256(data).digest()

    def __len__(self) -> int:
        return len(self.digests)


class Load:
    """Threads that store new instances for as long as the context lasts, and come back when the receiver was away.

    An instance whose answer did not come is sent again, as a modality does.
    """

    def __init__(self, port: Callable[[], int], acknowledged: Acknowledged, *, senders: int = 4) -> None:
        self._port = port
        self._acknowledged = acknowledged
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._send, args=(number,)) for number in range(senders)]
        self.failures: list[Exception] = []

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _send(self, number: int) -> None:
        chance = random.Random(number)
        unanswered: list[tuple[str, bytes]] = []
        while not self._stop.is_set():
            try:
                with connect(self._port(), f"LOAD{number}") as peer:
                    self._store_until_cut_off(peer, chance, unanswered)
            except (EOFError, OSError):
                self._stop.wait(0.05)
            except Exception as error:
                self.failures.append(error)
                raise

    def _store_until_cut_off(
        self, peer: raw.RawPeer, chance: random.Random, unanswered: list[tuple[str, bytes]]
    ) -> None:
        study, series = uid(), uid()
        while not self._stop.is_set():
            if not unanswered:
                ds = image(study=study, series=series, size=chance.choice(SIZES))
                data = encode(ds)
                self._acknowledged.sent[ds.SOPInstanceUID] = hashlib.sha256(data).digest()
                unanswered.append((ds.SOPInstanceUID, data))
            instance, data = unanswered[-1]
            status = store(peer, instance, data)
            if status == 0:
                unanswered.pop()
                self._acknowledged.add(instance, data)
            else:
                self._acknowledged.refused.append(status)
                self._stop.wait(0.02)
        with contextlib.suppress(EOFError, OSError):
            peer.release()


def stored_digests(storage: Path) -> dict[str, bytes]:
    """SOP Instance UID to the SHA-256 of the data set, of every stored file."""
    return {path.stem: hashlib.sha256(data_set_of(path)).digest() for path in storage.glob("??/*/*/*.dcm")}


def temporary_files(storage: Path) -> list[Path]:
    """Whatever is left of an instance that was being received."""
    return [path for path in (storage / "incoming").glob("*/*") if path.name != ".lock"]

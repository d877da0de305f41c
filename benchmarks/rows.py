"""The rows of the table: what is done, by whom, and what is aimed at."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, SecondaryCaptureImageStorage, generate_uid

from benchmarks import clients, data
from benchmarks.servers import (
    Discard,
    Gateway,
    GatewayOnPostgres,
    GatewayWithoutFsync,
    Orthanc,
    Server,
    StockPynetdicom,
    Storescp,
    StorescpFork,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

Measure = Callable[[Server, Path], float]


@dataclass(frozen=True, slots=True)
class Target:
    """At least ``factor`` times as fast as the server ``peer``, for the server ``ours``."""

    ours: type[Server]
    peer: type[Server]
    factor: float


@dataclass(frozen=True, slots=True)
class Bound:
    """A figure of ours that must stay below ``limit``, in the row's unit."""

    ours: type[Server]
    limit: float


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. ``measure(server, data folder)`` returns a figure in ``unit``; smaller is better."""

    key: str
    title: str
    unit: str
    servers: tuple[type[Server], ...]
    measure: Measure
    targets: tuple[Target, ...] = ()
    bounds: tuple[Bound, ...] = field(default=())


def _bulk(kind: data.Kind, count: int, associations: int = 1) -> Measure:
    def measure(server: Server, folder: Path) -> float:
        if associations == 1:
            return clients.dcmsend(server.port, [data.make(kind, count, folder)])
        folders = [data.make(kind, count, folder / f"client-{number}") for number in range(associations)]
        return clients.dcmsend(server.port, folders)

    return measure


def _small_instance(number: int) -> tuple[bytes, bytes]:
    """Return command PDU and data PDU of one 4 KB instance."""
    dataset = data.instance(data.SMALL, generate_uid(None), generate_uid(None), number)
    encoded = _encoded(dataset)
    command = clients.command_pdu(
        clients.STORE_COMMAND_FIELD, SecondaryCaptureImageStorage, dataset.SOPInstanceUID, has_data=True
    )
    return command, clients.p_data(encoded, 2)


def _encoded(dataset: Dataset) -> bytes:
    from pydicom.filebase import DicomBytesIO
    from pydicom.filewriter import write_dataset

    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_dataset(buffer, dataset)
    value: bytes = buffer.getvalue()
    return value


def _one_image_per_association(server: Server, _: Path) -> float:
    count = 200
    request = clients.association_request(SecondaryCaptureImageStorage)
    instances = [_small_instance(number) for number in range(count)]

    def once(number: int) -> None:
        peer = clients.Peer(server.port)
        peer.associate(request)
        peer.send(b"".join(instances[number]))
        peer.expect_success()
        peer.release()

    return clients.timed(count, once)


def _set_up_and_release(server: Server, _: Path) -> float:
    request = clients.association_request(CTImageStorage)

    def once(_: int) -> None:
        peer = clients.Peer(server.port)
        peer.associate(request)
        peer.release()

    clients.timed(10, once)
    return clients.timed(200, once) / 200 * 1000


def _nagle(server: Server, _: Path) -> float:
    count = 50
    instances = [_small_instance(number) for number in range(count)]
    peer = clients.Peer(server.port, nodelay=False)
    peer.associate(clients.association_request(SecondaryCaptureImageStorage))

    def once(number: int) -> None:
        command, dataset = instances[number]
        peer.send(command)
        peer.send(dataset[:12])  # as stacks do that write a PDU's header and body one after the other
        peer.send(dataset[12:])
        peer.expect_success()

    seconds = clients.timed(count, once)
    peer.release()
    return seconds / count * 1000


def _idle(server: Server, _: Path) -> float:
    request = clients.association_request(CTImageStorage)
    peers = []
    for _number in range(100):
        peer = clients.Peer(server.port)
        peer.associate(request)
        peers.append(peer)
    time.sleep(1)
    before, started = server.cpu_seconds(), time.perf_counter()
    time.sleep(5)
    share = (server.cpu_seconds() - before) / (time.perf_counter() - started)
    for peer in peers:
        peer.release()
    return share * 100


def _two_gigabytes(server: Server, _: Path) -> float:
    """Return by how many MB the server's resident memory grew at most while it received 2 GB in one instance."""
    size = 2_000_000_000
    dataset = data.instance(data.SMALL, generate_uid(None), generate_uid(None), 0)
    del dataset.PixelData
    dataset.NumberOfFrames = size // 3200
    head = _encoded(dataset) + b"\xe0\x7f\x10\x00OW\x00\x00" + size.to_bytes(4, "little")
    peer = clients.Peer(server.port)
    peer.associate(clients.association_request(SecondaryCaptureImageStorage))
    before = largest = server.resident()
    command = clients.command_pdu(
        clients.STORE_COMMAND_FIELD, SecondaryCaptureImageStorage, dataset.SOPInstanceUID, has_data=True
    )
    peer.send(command + clients.p_data(head, 0))
    piece = clients.p_data(bytes(100_000), 0)
    pieces = size // 100_000
    for number in range(pieces):
        peer.send(piece if number < pieces - 1 else clients.p_data(bytes(100_000), 2))
        if number % 1000 == 0:
            largest = max(largest, server.resident())
    peer.expect_success()
    largest = max(largest, server.resident())
    peer.release()
    return (largest - before) / 1e6


def _five_hundred(server: Server, _: Path) -> float:
    """Return the memory of all processes in MB with 500 associations open, each of which got an echo answered."""
    request = clients.association_request(clients.VERIFICATION)
    echo = clients.command_pdu(clients.ECHO_COMMAND_FIELD, clients.VERIFICATION)
    peers = []
    for _number in range(500):
        peer = clients.Peer(server.port)
        peer.associate(request)
        peers.append(peer)
    for peer in peers:
        peer.send(echo)
    for peer in peers:
        peer.expect_success()
    memory = server.memory() / 1e6
    for peer in peers:
        peer.release()
    return memory


_BULK = (Gateway, GatewayOnPostgres, GatewayWithoutFsync, Storescp, Orthanc, StockPynetdicom, Discard)

ROWS = (
    Row(
        "ct", "400 CT of 525 KB, one association", "s", _BULK, _bulk(data.CT, 400),
        (
            Target(Gateway, Storescp, 1.0), Target(Gateway, Orthanc, 3.0), Target(GatewayWithoutFsync, Storescp, 1.25),
            Target(GatewayOnPostgres, Storescp, 1.0), Target(GatewayOnPostgres, Orthanc, 3.0),
        ),
    ),
    Row(
        "mg", "24 mammograms of 17 MB", "s", _BULK, _bulk(data.MG, 24),
        (
            Target(Gateway, Storescp, 1.5), Target(Gateway, Orthanc, 4.0),
            Target(GatewayOnPostgres, Storescp, 1.5), Target(GatewayOnPostgres, Orthanc, 4.0),
        ),
    ),
    Row(
        "small", "1,000 instances of 4 KB", "s", _BULK, _bulk(data.SMALL, 1000),
        (
            Target(Gateway, Storescp, 0.5), Target(GatewayWithoutFsync, Storescp, 0.8), Target(Gateway, Orthanc, 1.0),
            Target(GatewayOnPostgres, Storescp, 0.5), Target(GatewayOnPostgres, Orthanc, 1.0),
        ),
    ),
    Row(
        "four", "4 associations at once, 400 CT each", "s",
        (Gateway, GatewayOnPostgres, GatewayWithoutFsync, StorescpFork, Orthanc), _bulk(data.CT, 400, 4),
        (Target(Gateway, StorescpFork, 0.9), Target(GatewayOnPostgres, StorescpFork, 0.9)),
    ),
    Row(
        "each", "one 4 KB image per association, 200 associations", "s",
        (Gateway, GatewayWithoutFsync, Storescp, Orthanc, StockPynetdicom), _one_image_per_association,
        (Target(Gateway, StockPynetdicom, 5.0),),
    ),
    Row(
        "setup", "association set-up and release", "ms", (Gateway, Storescp, Orthanc, StockPynetdicom),
        _set_up_and_release, bounds=(Bound(Gateway, 1.5),),
    ),
    Row(
        "nagle", "a 4 KB instance from a client with Nagle's algorithm on", "ms",
        (Gateway, Storescp, Orthanc, StockPynetdicom), _nagle, bounds=(Bound(Gateway, 5.0),),
    ),
    Row(
        "idle", "100 idle associations, share of one core", "%", (Gateway, StorescpFork, Orthanc, StockPynetdicom),
        _idle, bounds=(Bound(Gateway, 2.0),),
    ),
    Row(
        "large", "one instance of 2 GB, growth of resident memory", "MB", (Gateway,), _two_gigabytes,
        bounds=(Bound(Gateway, 64.0),),
    ),
    Row(
        "open", "500 associations open at once, memory of all processes", "MB", (Gateway,), _five_hundred,
        bounds=(Bound(Gateway, 400.0),),
    ),
)  # fmt: skip


def chosen(keys: Iterable[str]) -> tuple[Row, ...]:
    """Return the rows with these keys, all when there are none.

    :raises KeyError: for one that does not exist.
    """
    wanted = list(keys)
    if unknown := set(wanted) - {row.key for row in ROWS}:
        raise KeyError(", ".join(sorted(unknown)))
    return tuple(row for row in ROWS if not wanted or row.key in wanted)


def flush_disk() -> None:
    """Write back what earlier runs left in memory, so that no run pays for another."""
    subprocess.run(["sync"], check=True)

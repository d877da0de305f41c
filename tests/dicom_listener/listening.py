"""The listener's real accept loop and association threads inside the test's process, around the toy service."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dicom_listener.access import AccessRule, rule_from
from dicom_listener.config import Limits, ListenerConfig
from dicom_listener.seats import Seats
from dicom_listener.server import Server
from dicom_listener.service import Service
from dicom_listener.workers import listen
from gateway_settings.addresses import Address
from tests.clients.raw import RawPeer
from tests.dicom_listener.toy_service import Toy
from tests.waiting import wait_until

LIMITS = Limits(
    associations=20,
    associations_per_address=20,
    waiting_per_address=64,
    first_pdu=10,
    idle=20,
    pdu=10,
    release=1,
    stop=10,
    max_pdu_length=32768,
    command_set=4096,
    identifier=65536,
    messages=1024 * 1024,
    nesting=8,
)


def config_with(folder: Path, *, limits: Limits = LIMITS, **changes: Any) -> ListenerConfig:
    config = ListenerConfig(
        name="toy",
        prefix="TOY",
        ae_title="TOY",
        bind=Address("127.0.0.1", 0),
        health_bind=Address("127.0.0.1", 0),
        workers=1,
        metrics_dir=folder / "metrics",
        limits=limits,
        tls=None,
        require_called_ae=False,
        calling_ae_titles=frozenset(),
        networks=(),
        require_user_identity=False,
        user_identities_file=None,
        log_level="INFO",
        log_format="text",
    )
    return replace(config, **changes)


@dataclass
class Listening:
    """A listener that runs: where, the toy behind it, and what tells whether it has come to rest."""

    port: int
    toy: Toy
    seats: Seats
    server: Server
    failures: list[BaseException]

    def peer(self, timeout: float = 60) -> RawPeer:
        return RawPeer.connect(self.port, timeout)

    def associated(self, request: bytes | None = None) -> RawPeer:
        """A peer with an open association."""
        peer = self.peer()
        peer.associate(request)
        return peer

    def is_at_rest(self) -> bool:
        """No association, no seat, no place, no open sink, no thread of an association."""
        threads = [thread for thread in threading.enumerate() if thread.name.startswith("association-")]
        places = len(self.server._lobby) or self.seats.waiting.taken()
        return not (self.server._associations or self.seats.taken() or places or self.toy.incoming or threads)

    def wait_until_at_rest(self) -> None:
        wait_until(self.is_at_rest, what="every association has ended and left nothing")
        assert not (self.toy.folder / "ended-twice").exists(), "a sink was ended twice"
        assert not self.failures, self.failures

    def assert_works(self) -> None:
        """The next association is served as if nothing had happened."""
        with self.associated() as peer:
            assert peer.store(b"after all", instance="1.2.99").status == 0
            peer.release()
        assert self.toy.stored.pop("1.2.99") == b"after all"


@contextmanager
def listening(
    folder: Path,
    *,
    limits: Limits = LIMITS,
    service: Service | None = None,
    access: AccessRule | None = None,
    health_token: str = "",
    **changes: Any,
) -> Iterator[Listening]:
    """Run the listener until the block ends; ``changes`` are those of its configuration."""
    config = config_with(folder, limits=limits, **changes)
    toy = Toy(folder / "toy")
    listener = listen(config.bind, "TOY_BIND")
    listener.setblocking(False)
    seats = Seats(limits, 1)
    master, held_open = os.pipe()
    server = Server(
        config,
        service or toy.service(access or rule_from(config)),
        listener,
        seats=seats,
        tls=None,
        master=master,
        health_token=health_token,
    )
    failures: list[BaseException] = []
    running = Listening(listener.getsockname()[1], toy, seats, server, failures)
    server._listen()
    server._selector.register(master, 1, lambda _: None)
    ended = threading.Event()

    def turn() -> None:
        try:
            while not ended.is_set():
                server._turn()
        except Exception as error:
            failures.append(error)
            raise

    thread = threading.Thread(target=turn, name="accept-loop")
    thread.start()
    try:
        yield running
    finally:
        ended.set()
        os.write(held_open, b"x")
        thread.join(10)
        for association in tuple(server._associations):
            association.end_now()
        server._reception.close(silent_only=False)
        server._selector.close()
        listener.close()
        with contextlib.suppress(OSError):
            os.close(master)
        os.close(held_open)
        wait_until(lambda: not server._associations, what="associations have ended")
        seats.close()


def metric(counter: Any, *labels: str) -> float:
    """Return what a counter of this process stands at."""
    child = counter.labels(*labels) if labels else counter
    return float(child._value.get())


def socket_pair() -> tuple[socket.socket, socket.socket]:
    """Two connected TCP sockets."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        accepted, _ = server.accept()
    return client, accepted

"""What the accept loop does when the system, a peer or the service itself fails."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from dicom_listener import metrics, server
from dicom_listener.association import Association
from dicom_listener.connection import Connection
from tests.clients.raw import ABORT_BY_USER, association_request, context_item
from tests.dicom_listener.conftest import Listen
from tests.dicom_listener.listening import LIMITS, Listening, metric, socket_pair
from tests.waiting import wait_until

Lines = Callable[[], list[str]]


class FailingListener:
    """Stands before the listening socket and fails as often as told."""

    def __init__(self, sock: socket.socket, number: int, times: int) -> None:
        self._sock = sock
        self._number = number
        self.left = times

    def accept(self) -> Any:
        if self.left:
            self.left -= 1
            raise OSError(self._number, "a fault")
        return self._sock.accept()

    def fileno(self) -> int:
        return self._sock.fileno()


@pytest.mark.parametrize(
    "number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.EPROTO, errno.ENETDOWN, errno.EPERM]
)
def test_no_error_of_accept_ends_the_service(listener: Listening, number: int) -> None:
    failing = FailingListener(listener.server._listener, number, times=2)
    before = metric(metrics.ACCEPT_ERRORS)
    listener.server._listener = failing  # type: ignore[assignment]
    listener.assert_works()
    assert failing.left == 0
    assert metric(metrics.ACCEPT_ERRORS) == before + 2
    listener.wait_until_at_rest()


def test_an_arrival_that_speaks_when_it_is_dropped_harms_nobody(listen: Listen) -> None:
    listener = listen(limits=replace(LIMITS, waiting_per_address=1))
    with listener.peer() as first, listener.peer():
        assert first.is_ended()
    client, accepted = socket_pair()
    listener.server._reception._ready(accepted)  # its event was taken in the same turn as the one that dropped it
    client.close()
    accepted.close()
    listener.assert_works()
    listener.wait_until_at_rest()


@pytest.mark.parametrize("cut", [0, 1, 6, 9])
def test_an_abort_in_the_place_of_a_request_is_read_to_its_end(listener: Listening, cut: int) -> None:
    with listener.peer() as peer:
        peer.send(ABORT_BY_USER[:cut])
        peer.send(ABORT_BY_USER[cut:])
        assert peer.sock.recv(1) == b"", "closed in order, not reset"
    listener.wait_until_at_rest()


def test_the_oldest_connection_without_an_association_makes_room(listen: Listen, log_lines: Lines) -> None:
    listener = listen(limits=replace(LIMITS, waiting_per_address=3))
    before = metric(metrics.LIMITED, "waiting")
    peers = [listener.peer() for _ in range(5)]
    wait_until(lambda: metric(metrics.LIMITED, "waiting") == before + 2)
    assert peers[0].is_ended()
    assert peers[1].is_ended()
    for peer in peers[2:]:
        peer.associate()
        peer.release()
    for peer in peers:
        peer.sock.close()
    wait_until(lambda: any("made room for others" in line and "most_from=127.0.0.1" in line for line in log_lines()))


def test_connections_far_beyond_the_limit_get_no_thread(listen: Listen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_SPARE_THREADS", 1)
    listener = listen(limits=replace(LIMITS, associations=1))
    before = metric(metrics.LIMITED, "connections")
    with listener.associated(), listener.peer() as second, listener.peer() as third:
        second.send(association_request())
        wait_until(lambda: len(listener.server._associations) == 2)
        third.send(association_request())
        assert third.is_ended()
        assert metric(metrics.LIMITED, "connections") == before + 1


def test_a_fault_of_the_service_is_an_abort_and_leaves_nothing(
    listener: Listening, monkeypatch: pytest.MonkeyPatch, log_lines: Lines
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("secret")

    shared = listener.server._shared
    failing = replace(shared, service=replace(shared.service, echoed=fail))
    monkeypatch.setattr(listener.server, "_shared", failing)
    with listener.associated() as peer:
        peer.echo()
        assert peer.read_pdu().abort == (2, 0)
    listener.wait_until_at_rest()
    failing = replace(shared, service=replace(shared.service, transfer_syntaxes=fail))
    monkeypatch.setattr(listener.server, "_shared", failing)
    with listener.peer() as peer:
        peer.send(association_request())
        assert peer.read_pdu().abort == (2, 0)
    listener.wait_until_at_rest()
    assert listener.seats.taken() == 0, "a seat was lost"
    assert sum("association failed" in line and "error=RuntimeError" in line for line in log_lines()) == 2
    assert not any("secret" in line for line in log_lines())


def test_a_thread_that_cannot_be_started_costs_one_connection(
    listener: Listening, monkeypatch: pytest.MonkeyPatch, log_lines: Lines
) -> None:
    def fail(_: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr("threading.Thread.start", fail)
        with listener.peer() as peer:
            peer.send(association_request())
            assert peer.is_ended()
    listener.assert_works()
    listener.wait_until_at_rest()
    assert any("cannot start a thread" in line for line in log_lines())


def test_a_closed_connection_cannot_be_cut_again() -> None:
    client, accepted = socket_pair()
    connection = Connection(accepted)
    connection.close()
    connection.cut()
    connection.expire()
    connection.stop_if_idle()
    client.close()


def test_an_ipv4_peer_of_an_ipv6_socket_has_its_usual_address(listen: Listen) -> None:
    listener = listen(bind=("::", 0))
    with listener.associated():
        [association] = listener.server._associations
        assert association.address == "127.0.0.1"


def test_associations_are_numbered(listener: Listening) -> None:
    with listener.associated(association_request(contexts=[context_item(1, "1.2.840.10008.1.1")])) as peer:
        [association] = listener.server._associations
        assert isinstance(association, Association)
        assert association.id > 0
        assert (association.calling_ae, association.called_ae) == ("RAW", "TOY")
        assert (association.address, association.port) == peer.sock.getsockname()
        assert association.link.peer_max_pdu == 16384

"""Slow clients of one address, of every kind: nobody else at the DICOM port or at `/health` notices them."""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import requests
import trustme

from tests.clients.raw import (
    COMMAND,
    LAST,
    RawPeer,
    association_request,
    echo,
    find,
    identifier,
    item,
    p_data,
    pdv,
    store,
)
from tests.dicom_listener.toy_process import ToyProcess
from tests.security.crowd import Crowd, Say, took_at_most
from tests.waiting import wait_until

Start = Callable[..., ToyProcess]
REQUEST = association_request()
LONGEST = struct.pack(">BxL", 1, 256 * 1024) + REQUEST[6:]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a listener of one worker, the usual limits for the rest."""
    started: list[ToyProcess] = []

    def begin(**settings: str) -> ToyProcess:
        toy = ToyProcess(tmp_path / f"toy-{len(started)}", {"TOY_WORKERS": "1", **settings})
        started.append(toy)
        toy.start()
        return toy

    yield begin
    for toy in started:
        toy.kill()


# -- what each of them does: something at once, and then single bytes


def say(at_once: bytes, then: bytes = b"") -> Say:
    def begin(sock: socket.socket) -> bytes:
        sock.sendall(at_once)
        return then

    return begin


def associated(at_once: bytes, then: bytes = b"") -> Say:
    """The same in an association."""

    def begin(sock: socket.socket) -> bytes:
        RawPeer(sock).send(REQUEST)
        if RawPeer(sock).read_pdu().kind == 2:
            sock.sendall(at_once)
        return then

    return begin


def never_reading(sock: socket.socket) -> bytes:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.sendall(REQUEST + p_data(pdv(5, COMMAND | LAST, find()), pdv(5, LAST, identifier("9999"))))
    return b""


WITHOUT_ASSOCIATION = {
    "silent": say(b""),
    "one byte": say(b"\x01"),
    "half a request": say(REQUEST[: len(REQUEST) // 2]),
    "a request byte by byte": say(b"", REQUEST[:-1]),
    "a huge length": say(struct.pack(">BxL", 1, 0xFFFFFFFF), b"\0"),
    "the longest request": say(LONGEST, item(0x77, bytes(1000))),
    "no request": say(struct.pack(">BxL", 4, 0xFFFFFFFF), b"\0"),
    "rejected": say(association_request(called=b"OTHER"), b"\x04"),
    "rejected and silent": say(association_request(called=b"OTHER")),
}
WITH_ASSOCIATION = {
    "silent": associated(b""),
    "half a command": associated(p_data(pdv(1, COMMAND | LAST, echo()))[:40]),
    "a command byte by byte": associated(b"", p_data(pdv(1, COMMAND | LAST, echo()))),
    "an image byte by byte": associated(
        p_data(pdv(3, COMMAND | LAST, store())), p_data(pdv(3, 0, b"x" * 20))
    ),
    "never reading": never_reading,
}  # fmt: skip


def c_echo(toy: ToyProcess) -> None:
    with toy.associated() as peer:
        peer.echo()
        peer.release()


def everybody_else_is_served(toy: ToyProcess) -> None:
    """The figure: `/health` and C-ECHO from another address within a second."""
    with took_at_most(1, "/health") as health, took_at_most(1, "C-ECHO") as dicom:
        for _ in range(5):
            health(lambda: requests.get(toy.health_url, timeout=20).raise_for_status())
            dicom(lambda: c_echo(toy))


@pytest.mark.parametrize("kind", WITHOUT_ASSOCIATION)
def test_slow_clients_without_an_association_cost_few_places(start: Start, kind: str) -> None:
    toy = start(TOY_REQUIRE_CALLED_AE="1")
    with Crowd(toy.port, 200, WITHOUT_ASSOCIATION[kind]) as crowd:
        everybody_else_is_served(toy)
        [worker] = toy.workers()
        assert worker.num_threads() <= 1 + 64 + 2
        assert worker.num_fds() < 64 + 2 * 64 + 40
        wait_until(lambda: crowd.cut_off > 100, timeout=60, what="the oldest make room")
        everybody_else_is_served(toy)
    assert "a process died" not in toy.log_text()
    toy.assert_works()


@pytest.mark.parametrize("kind", WITH_ASSOCIATION)
def test_slow_clients_with_an_association_do_not_keep_others_out(start: Start, kind: str) -> None:
    toy = start()
    with Crowd(toy.port, 200, WITH_ASSOCIATION[kind]):
        wait_until(lambda: toy.health()["associations"] >= 150, timeout=60)
        everybody_else_is_served(toy)
    assert "a process died" not in toy.log_text()
    toy.assert_works()


def test_slow_clients_take_no_more_seats_than_an_address_has(start: Start) -> None:
    toy = start(TOY_MAX_ASSOCIATIONS="100", TOY_MAX_ASSOCIATIONS_PER_ADDRESS="60", TOY_REQUIRE_CALLED_AE="1")
    with Crowd(toy.port, 200, WITH_ASSOCIATION["an image byte by byte"]):
        wait_until(lambda: toy.health()["associations"] == 60, timeout=60)
        everybody_else_is_served(toy)
        assert toy.workers()[0].num_threads() <= 1 + 60 + 64 + 2


@pytest.mark.parametrize("workers", ["1", "3"])
@pytest.mark.parametrize("kind", ["silent", "one byte"])
def test_twelve_hundred_connections_of_one_address(start: Start, kind: str, workers: str) -> None:
    toy = start(TOY_WORKERS=workers)
    with Crowd(toy.port, 1200, WITHOUT_ASSOCIATION[kind]):
        everybody_else_is_served(toy)
        files = sum(worker.num_fds() for worker in toy.workers())
        assert files < 64 + 45 * int(workers), "the limit holds for all workers together"
    toy.assert_works()
    assert "connections without an association made room for others" in toy.log_text()


def test_a_patient_client_is_not_cut_off_by_others_of_its_address(start: Start) -> None:
    toy = start()
    with toy.associated() as peer:
        crowd = [toy.peer() for _ in range(200)]
        peer.echo()
        assert peer.store(b"x" * 100_000).status == 0
        peer.release()
        for other in crowd:
            other.sock.close()


# -- TLS


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an authority, and a server's certificate and key."""
    folder = tmp_path_factory.mktemp("authority")
    authority = trustme.CA(key_type=trustme.KeyType.RSA)
    authority.cert_pem.write_to_path(folder / "authority.pem")
    issued = authority.issue_cert("localhost", key_type=trustme.KeyType.RSA)
    issued.cert_chain_pems[0].write_to_path(folder / "server.pem")
    issued.private_key_pem.write_to_path(folder / "server.key")
    return folder


def hello(context: ssl.SSLContext) -> bytes:
    """A client's first flight."""
    outgoing = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


@pytest.mark.parametrize("kind", ["silent", "one byte", "half a hello", "a hello only", "a hello byte by byte"])
def test_slow_tls_clients_cost_few_places(start: Start, authority: Path, kind: str) -> None:
    context = ssl.create_default_context(cafile=authority / "authority.pem")
    first = hello(context)
    begin = {
        "silent": say(b""),
        "one byte": say(first[:1]),
        "half a hello": say(first[:100]),
        "a hello only": say(first),
        "a hello byte by byte": say(b"", first[:-1]),
    }[kind]
    toy = start(
        TOY_TLS_CERTIFICATE_PATH=str(authority / "server.pem"), TOY_TLS_PRIVATE_KEY_PATH=str(authority / "server.key")
    )

    def c_echo_over_tls() -> None:
        plain = socket.create_connection(("127.0.0.1", toy.port), 20)
        with RawPeer(context.wrap_socket(plain, server_hostname="localhost")) as peer:
            peer.associate()
            peer.echo()
            peer.release()

    with Crowd(toy.port, 200, begin):
        with took_at_most(1, "/health") as health, took_at_most(1, "C-ECHO") as dicom:
            for _ in range(5):
                health(lambda: requests.get(toy.health_url, timeout=20).raise_for_status())
                dicom(c_echo_over_tls)
        assert toy.workers()[0].num_threads() <= 3, "no thread before the request is complete"
    assert "a process died" not in toy.log_text()
    c_echo_over_tls()


# -- /health


def listens(process: psutil.Process, port: int) -> bool:
    return any(one.status == psutil.CONN_LISTEN and one.laddr.port == port for one in process.net_connections("tcp"))


@pytest.mark.parametrize(
    "begin",
    [
        pytest.param(say(b""), id="silent"),
        pytest.param(say(b"G"), id="one byte"),
        pytest.param(say(b"GET /health HTTP/1.1\r\n", b"X: y\r\n"), id="headers without end"),
        pytest.param(say(b"GET /" + b"x" * 5000, b"x"), id="a long path"),
        pytest.param(say(b"POST /health HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n", b"x"), id="a body"),
        pytest.param(say(b"GET /health HTTP/1.1\r\n\r\n"), id="complete, again and again"),
        pytest.param(say(b"GET /metrics HTTP/1.1\r\n\r\n"), id="costly, again and again"),
    ],
)
def test_slow_clients_of_the_health_port(start: Start, begin: Say) -> None:
    toy = start()
    health_port = int(toy.base_url.rpartition(":")[2])
    with Crowd(health_port, 200, begin):
        everybody_else_is_served(toy)
        [health] = [child for child in toy.master.children() if listens(child, health_port)]
        assert health.num_threads() <= 4
        wait_until(lambda: health.num_fds() < 100, what="the oldest made room")
    assert toy.is_healthy()


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /health HTTP/1.1\r\n\r\n", 200),
        (b"HEAD /health HTTP/1.0\r\n\r\n", 200),
        (b"GET /metrics HTTP/1.0\r\n\r\n", 200),
        (b"GET / HTTP/1.1\r\n\r\n", 404),
        (b"GET /../health HTTP/1.1\r\n\r\n", 404),
        (b"GET\r\n\r\n", 404),
        (b"\r\n\r\n", 405),
        (b"\xff\xfe\r\n\r\n", 405),
        (b"DELETE /health HTTP/1.1\r\n\r\n", 405),
        (b"GET /" + b"x" * 100_000, 431),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_the_health_port_answers_whatever_is_asked(start: Start, request_: bytes, status: int) -> None:
    toy = start()
    health_port = int(toy.base_url.rpartition(":")[2])
    with RawPeer.connect(health_port) as peer:
        peer.send(request_)
        answer = peer.ends_with()
    assert answer.startswith(f"HTTP/1.0 {status} ".encode())
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"Content-Length: %d\r\n" % len(body) in head or request_.startswith(b"HEAD")

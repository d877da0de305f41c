"""The site's commands to the receiver: signed, once each, and not to be stopped by strangers (docs/devices.md)."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from gateway_link.signature import sign
from pacs_receiver.command_server import CommandServer
from pacs_receiver.commands import Commands, Declined, Reply, TryLater
from pacs_receiver.config import database_url as parse_database_url
from pacs_receiver.database import connect, migrate
from tests.pacs_receiver.conftest import StartReceiver
from tests.pacs_receiver.process import ReceiverProcess
from tests.security.site import SECRET, Site, device
from tests.waiting import wait_until

REFRESH = "/commands/refresh-devices"


def send(
    receiver: ReceiverProcess, target: str, body: bytes, headers: Mapping[str, str], *, method: str = "POST"
) -> tuple[int, dict[str, Any]]:
    connection = HTTPConnection("127.0.0.1", receiver.command_port, timeout=30)
    try:
        connection.request(method, target, body, dict(headers))
        answer = connection.getresponse()
        kind = answer.getheader("Content-Type")
        assert kind == ("application/json" if answer.status == 200 else "application/problem+json")
        return answer.status, json.load(answer)
    finally:
        connection.close()


def order(
    receiver: ReceiverProcess, command_id: str = "", target: str = REFRESH, **more: object
) -> tuple[int, dict[str, Any]]:
    body = json.dumps({"id": command_id or str(uuid.uuid4()), **more}).encode()
    return send(receiver, target, body, sign(SECRET, "POST", target, body))


@pytest.fixture
def site() -> Iterator[Site]:
    with Site().open() as opened:
        yield opened


@pytest.fixture
def receiver(start_receiver: StartReceiver, site: Site) -> ReceiverProcess:
    return start_receiver(**{**site.settings, "PACS_PEERS_SECONDS": "3600"})


def test_the_list_is_fetched_when_the_site_says_so(receiver: ReceiverProcess, site: Site) -> None:
    assert order(receiver) == (200, {"devices": 0})
    site.say(device("CT1"), device("CT2"))
    assert order(receiver) == (200, {"devices": 2})


def test_a_command_is_carried_out_once_and_answered_alike_also_after_a_restart(
    receiver: ReceiverProcess, site: Site
) -> None:
    command_id = str(uuid.uuid4())
    first = order(receiver, command_id)
    asked = len(site.statuses)
    site.say(device("CT1"))
    assert order(receiver, command_id) == first
    assert len(site.statuses) == asked, "the site was not asked again"
    assert order(receiver, command_id, more="than that")[0] == 409
    receiver.kill()
    receiver.start()
    assert order(receiver, command_id) == first == (200, {"devices": 0})


def test_a_command_that_failed_for_the_time_being_is_tried_again(start_receiver: StartReceiver) -> None:
    site = Site()
    receiver = start_receiver(**site.settings)
    command_id = str(uuid.uuid4())
    status, problem = order(receiver, command_id)
    assert (status, problem["status"]) == (503, 503)
    with site.open():
        assert order(receiver, command_id) == (200, {"devices": 0})


def test_what_the_site_did_not_sign_is_refused_and_does_nothing(receiver: ReceiverProcess, site: Site) -> None:
    asked = len(site.statuses)
    body = json.dumps({"id": str(uuid.uuid4())}).encode()
    good = sign(SECRET, "POST", REFRESH, body)
    attempts: list[tuple[str, bytes, Mapping[str, str]]] = [
        (REFRESH, body, {}),
        (REFRESH, body, {**good, "X-Gateway-Signature": "sha256=" + "0" * 64}),
        (REFRESH, body, {**good, "X-Gateway-Signature": "sha256=\xe9"}),
        (REFRESH, body, sign("another secret", "POST", REFRESH, body)),
        (REFRESH, body, sign("", "POST", REFRESH, body)),
        (REFRESH, body + b" ", good),
        (REFRESH, body, sign(SECRET, "GET", REFRESH, body)),
        (REFRESH, body, sign(SECRET, "POST", "/commands/other", body)),
        (REFRESH, body, sign(SECRET, "POST", REFRESH, body, now=time.time() - 400)),
        (REFRESH, body, sign(SECRET, "POST", REFRESH, body, now=time.time() + 400)),
        (REFRESH, body, {**good, "X-Gateway-Nonce": good["X-Gateway-Nonce"][:-1] + "x"}),
    ]
    for target, data, headers in attempts:
        assert send(receiver, target, data, headers)[0] == 403, headers
    assert len(site.statuses) == asked
    assert send(receiver, REFRESH, body, good)[0] == 200
    assert send(receiver, REFRESH, body, good)[0] == 403, "the same request again is a repeat"


def test_what_is_no_command_is_told_so(receiver: ReceiverProcess) -> None:
    assert order(receiver, target="/commands/no-such")[0] == 404
    assert order(receiver, target="/commands/")[0] == 404
    for body in (b"", b"[]", b"{}", b'{"id": 1}', b'{"id": "one"}', b"\xff", b"[" * 100_000):
        assert send(receiver, REFRESH, body, sign(SECRET, "POST", REFRESH, body))[0] == 400, body[:20]
    assert send(receiver, REFRESH, b"", sign(SECRET, "PUT", REFRESH), method="PUT")[0] == 405


LINE = b"POST /commands/x HTTP/1.1\r\n"
HEAD = LINE + b"X-Gateway-Signature: x\r\n"
RUBBISH = {
    "nothing": b"",
    "no HTTP": b"\x00\xff" * 20 + b"\r\n\r\n",
    "an endless head": LINE + b"A: b\r\n" * 10_000,
    "many headers": LINE + b"A:b\r\n" * 2_000 + b"\r\n",
    "a body that is too long": HEAD + b"Content-Length: 9999999\r\n\r\n",
    "two lengths": HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
    "chunks": HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a length that is none": HEAD + b"Content-Length: -1\r\n\r\n",
    "a body cut short": HEAD + b"Content-Length: 10\r\n\r\nabc",
}


@pytest.mark.parametrize("data", RUBBISH.values(), ids=RUBBISH.keys())
def test_rubbish_is_refused_and_the_next_command_is_carried_out(receiver: ReceiverProcess, data: bytes) -> None:
    with socket.create_connection(("127.0.0.1", receiver.command_port), 30) as sock:
        with contextlib.suppress(ConnectionError):
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
        answer = b""
        with contextlib.suppress(ConnectionError):
            while part := sock.recv(65536):
                answer += part
    assert answer.startswith(b"HTTP/1.1 4"), answer[:100]
    assert order(receiver)[0] == 200
    assert "Traceback" not in receiver.log.read_text()


def test_two_hundred_slow_clients_keep_no_command_from_being_carried_out(receiver: ReceiverProcess) -> None:
    head = f"POST {REFRESH} HTTP/1.1\r\nX-Gateway-Signature: x\r\nContent-Length: 1000000\r\n\r\n".encode()
    clients = [socket.create_connection(("127.0.0.1", receiver.command_port), 30) for _ in range(200)]
    try:
        for number, client in enumerate(clients):
            with contextlib.suppress(ConnectionError):  # who came first has made room for the last
                client.sendall((b"", b"POST /comm", head, head + bytes(100_000))[number % 4])
        assert order(receiver)[0] == 200
        assert not all(is_closed(client) for client in clients), "it did not wait until the slow ones were cut off"
        wait_until(lambda: sum(is_closed(client) for client in clients) >= len(clients) - 64)
        wait_until(lambda: all(is_closed(client) for client in clients), timeout=40, what="the slow ones are cut off")
    finally:
        for client in clients:
            client.close()
    assert order(receiver)[0] == 200
    assert "Traceback" not in receiver.log.read_text()


def is_closed(client: socket.socket) -> bool:
    client.setblocking(False)
    try:
        while client.recv(4096):
            continue
    except BlockingIOError:
        return False
    except ConnectionError:
        return True
    return True


def test_a_command_at_work_is_carried_out_to_its_end_when_the_server_stops(tmp_path: Path) -> None:
    begun, go, done = threading.Event(), threading.Event(), threading.Event()

    def deed(_name: str, _body: bytes) -> Reply:
        begun.set()
        assert go.wait(30)
        done.set()
        return Reply(200, {})

    listening = socket.create_server(("127.0.0.1", 0))
    target, body = "/commands/deed", b"{}"
    head = "".join(f"{name}: {value}\r\n" for name, value in sign(SECRET, "POST", target, body).items())
    with (
        CommandServer(listening, SECRET, deed).running(),
        socket.create_connection(listening.getsockname(), 30) as client,
    ):
        client.sendall(f"POST {target} HTTP/1.1\r\n{head}Content-Length: 2\r\n\r\n{{}}".encode())
        assert begun.wait(30)
        threading.Timer(0.2, go.set).start()
    assert done.is_set()


# -- the memory of what was carried out


@pytest.fixture
def commands(database_url: str) -> Iterator[tuple[Commands, list[str]]]:
    url = parse_database_url(database_url)
    migrate(url)
    engine = connect(url)
    done: list[str] = []
    going, go = threading.Event(), threading.Event()

    def deed(wish: Mapping[str, Any]) -> Mapping[str, Any]:
        done.append(str(wish.get("do")))
        if wish.get("do") == "wait":
            going.set()
            assert go.wait(30)
        if wish.get("do") == "decline":
            from http import HTTPStatus

            raise Declined(HTTPStatus.UNPROCESSABLE_ENTITY, "not that one")
        if wish.get("do") == "later":
            raise TryLater("not now")
        if wish.get("do") == "fail":
            raise RuntimeError("broken")
        return {"count": len(done)}

    made = Commands(engine, {"deed": deed})
    made.going, made.go = going, go  # type: ignore[attr-defined]
    yield made, done
    engine.dispose()


def wish(do: str, command_id: str = "") -> bytes:
    return json.dumps({"id": command_id or str(uuid.uuid4()), "do": do}).encode()


def test_each_outcome_is_remembered_or_tried_again(commands: tuple[Commands, list[str]]) -> None:
    made, done = commands
    for do, first, again, times in (("x", 200, 200, 1), ("decline", 422, 422, 1), ("later", 503, 503, 2)):
        done.clear()
        body = wish(do)
        replies = [made.carry_out("deed", body), made.carry_out("deed", body)]
        assert [reply.status for reply in replies] == [first, again]
        assert replies[0].body == replies[1].body
        assert len(done) == times
    broken = wish("fail")
    for _ in range(2):
        with pytest.raises(RuntimeError):
            made.carry_out("deed", broken)


def test_a_repeat_that_comes_while_the_first_is_at_work_is_put_off(
    commands: tuple[Commands, list[str]], tmp_path: Path
) -> None:
    made, done = commands
    going, go = made.going, made.go  # type: ignore[attr-defined]
    body = wish("wait")
    replies: list[int] = []
    first = threading.Thread(target=lambda: replies.append(made.carry_out("deed", body).status))
    first.start()
    assert going.wait(30)
    assert made.carry_out("deed", body).status == 503
    go.set()
    first.join()
    assert replies == [200]
    assert made.carry_out("deed", body).status == 200
    assert done == ["wait"]

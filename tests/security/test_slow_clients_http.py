"""Clients that are slow, silent, greedy or many do not keep others from the site, nor fill its disk and memory."""

from __future__ import annotations

import errno
import random
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path

import psutil
import pytest
import requests

from tests.clients.site import Site
from tests.pace import Stopwatch, slowdown
from tests.processes import PASSWORD, Processes
from tests.waiting import wait_until

ATTACKER = "127.0.0.2"
CLIENTS = 200
LOGIN = "/admin/login/"
GET_LOGIN = f"GET {LOGIN} HTTP/1.1\r\nHost: localhost\r\n"
POST_LOGIN = f"POST {LOGIN} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n"
HUGE = 600 * 1000 * 1000
MEGABYTE = 1024 * 1024


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    """The site alone, as `make run` starts it: with its static files, and no proxy in front."""
    folder = tmp_path_factory.mktemp("slow")
    (folder / "tmp").mkdir()
    settings = {"TMPDIR": str(folder / "tmp"), "WEB_HEAD_SECONDS": "20", "WEB_KEEPALIVE_SECONDS": "20"}
    processes = Processes(folder, settings)
    processes.data_dir.mkdir()
    processes.manage("collectstatic", "--no-input", "--verbosity", "0")
    processes.prepare()
    processes.mwl_admin.start()
    yield processes
    processes.stop()


def connect(site: Processes, source: str = ATTACKER, *, receive_buffer: int = 0) -> socket.socket:
    sock = socket.socket()
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.bind((source, 0))
    sock.settimeout(30)
    sock.connect(("127.0.0.1", site.web_port))
    return sock


def script_of_the_site(site: Processes) -> str:
    """Return the address of something large that needs no login."""
    page = requests.get(site.web_url + LOGIN, timeout=30).text
    scripts: list[str] = re.findall(r'<script[^>]* src="([^"]+)"', page)
    return max(scripts, key=lambda path: len(requests.get(site.web_url + path, timeout=30).content))


# What each kind of client sends first, and what it sends again and again.
SENT: dict[str, tuple[str, str]] = {
    "silent": ("", ""),
    "half a header": (GET_LOGIN + "X-Half: ", ""),
    "a header by drips": (GET_LOGIN + "X-Drip: ", "x"),
    "a body that never comes": (POST_LOGIN + "Content-Length: 1000\r\n\r\n", ""),
    "a body by drips": (POST_LOGIN + "Content-Length: 1000\r\n\r\nusername=", "x"),
    "chunks by drips": (POST_LOGIN + "Transfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n"),
    "a file by drips": (
        POST_LOGIN.replace("application/x-www-form-urlencoded", "multipart/form-data; boundary=x")
        + "Content-Length: 60000\r\n\r\n--x\r\n",
        "x",
    ),
    "kept alive and idle": (GET_LOGIN + "\r\n", ""),
}


@pytest.mark.parametrize("kind", SENT)
def test_slow_clients_of_one_address_keep_nobody_waiting(site: Processes, kind: str) -> None:
    first, again = SENT[kind]
    with crowd(site, lambda sock: sock.sendall(first.encode())) as clients:
        for _ in range(3):
            for sock in clients:
                drip(sock, again.encode())
            others_are_served(site)


def test_clients_that_do_not_read_keep_nobody_waiting(site: Processes) -> None:
    request = f"GET {script_of_the_site(site)} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()

    def ask_for_much(sock: socket.socket) -> None:
        sock.sendall(request * 10)

    with crowd(site, ask_for_much, receive_buffer=4096):
        wait_until(lambda: answered_within(site, 1.0), timeout=60, what="the requests themselves are done")
        for _ in range(3):
            others_are_served(site)
        assert bytes_in(site.folder / "tmp") < MEGABYTE


def test_all_kinds_from_many_addresses_at_once_keep_nobody_waiting(site: Processes) -> None:
    """More connections than the site has seats: the newcomer of another address still gets one."""
    kinds = list(SENT.values())
    with ExitStack() as stack:
        clients = []
        for number in range(8 * 90):
            sock = stack.enter_context(connect(site, f"127.0.0.{2 + number // 90}"))
            drip(sock, kinds[number % len(kinds)][0].encode())
            clients.append(sock)
        for _ in range(3):
            others_are_served(site)


class crowd(ExitStack):  # noqa: N801 - reads as a verb where it is used
    """``with crowd(site, begin) as clients``: as many connections of one address as there are slow clients."""

    def __init__(self, site: Processes, begin: Callable[[socket.socket], None], *, receive_buffer: int = 0) -> None:
        super().__init__()
        self._site, self._begin, self._buffer = site, begin, receive_buffer

    def __enter__(self) -> list[socket.socket]:  # type: ignore[override]
        clients = [self.enter_context(connect(self._site, receive_buffer=self._buffer)) for _ in range(CLIENTS)]
        for sock in clients:
            attempt(sock, self._begin)
        return clients


def drip(sock: socket.socket, data: bytes) -> None:
    attempt(sock, lambda sock: sock.sendall(data))


def attempt(sock: socket.socket, send: Callable[[socket.socket], None]) -> None:
    """Send; who is one too many has been turned away and can't."""
    try:
        send(sock)
    except (BrokenPipeError, ConnectionResetError):
        return
    except OSError as error:
        assert error.errno == errno.ENOTCONN  # noqa: PT017


def others_are_served(site: Processes) -> None:
    for path in ("/health", LOGIN):
        # the machine itself may be slow once
        took = [seconds for _ in range(3) if (seconds := ask(site, path)) >= 1.0 * slowdown()]
        assert len(took) < 3, f"{path} took {took}"


def answered_within(site: Processes, seconds: float) -> bool:
    return ask(site, LOGIN) < seconds * slowdown()


def ask(site: Processes, path: str) -> float:
    """Return how long another address waits for an answer; it has to be the right one."""
    started = time.monotonic()
    answer = requests.get(site.web_url + path, timeout=60)
    assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text}"
    return time.monotonic() - started


# --- large bodies


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
@pytest.mark.parametrize("path", [LOGIN, "/api/worklist/", "/nowhere/"])
def test_a_huge_body_of_a_stranger_is_refused_before_it_is_read(
    site: Processes, path: str, kind: str, chunked: bool
) -> None:
    before = memory(site)
    answer, taken = send_huge(site, path, kind, chunked=chunked)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert taken < 16 * MEGABYTE
    assert bytes_in(site.folder / "tmp") == 0
    assert memory(site) - before < 16 * MEGABYTE
    others_are_served(site)


def test_a_huge_body_of_somebody_logged_in_is_refused_before_it_is_read(site: Processes) -> None:
    session = Site(site.web_url, PASSWORD).session
    cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in session.cookies)
    path = "/admin/mwl_admin/requestedprocedure/import/"
    answer, taken = send_huge(site, path, "multipart/form-data; boundary=x", chunked=True, cookies=cookies)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert 16 * MEGABYTE < taken < 64 * MEGABYTE
    wait_until(lambda: bytes_in(site.folder / "tmp") == 0, what="what was read is thrown away")


def send_huge(site: Processes, path: str, kind: str, *, chunked: bool, cookies: str = "") -> tuple[bytes, int]:
    """Send until told to stop; return the answer and how much was taken."""
    length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {HUGE}"
    piece = b"x" * 65536
    if chunked:
        piece = b"10000\r\n" + piece + b"\r\n"
    sent, answer = 0, b""
    with connect(site) as sock:
        sock.sendall(
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n"
            f"{f'Cookie: {cookies}' if cookies else 'X-Nobody: 1'}\r\n{length}\r\n\r\n".encode()
        )
        while sent < HUGE:
            try:
                sock.sendall(piece)
            except (BrokenPipeError, ConnectionResetError):
                break
            sent += len(piece)
            sock.setblocking(False)
            try:
                answer += sock.recv(65536)
            except BlockingIOError:
                pass
            finally:
                sock.settimeout(30)
            if answer:
                break
        while not answer:
            answer = sock.recv(65536)
    return answer, sent


def test_a_body_within_the_limit_arrives_whole_in_chunks_too(site: Processes) -> None:
    session = Site(site.web_url, PASSWORD).session
    page = "/admin/mwl_admin/requestedprocedure/import/"
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', session.get(site.web_url + page, timeout=30).text)
    assert token is not None
    large = b"Patient ID;" + b"x" * (8 * MEGABYTE)
    body = (
        b'--sep\r\nContent-Disposition: form-data; name="csrfmiddlewaretoken"\r\n\r\n' + token[1].encode()
        + b'\r\n--sep\r\nContent-Disposition: form-data; name="import_file"; filename="large.csv"\r\n\r\n' + large
        + b"\r\n--sep--\r\n"
    )  # fmt: skip
    headers = {"Content-Type": "multipart/form-data; boundary=sep", "Referer": site.web_url + page}
    for data in (body, iter([body[:70_000], body[70_000:]])):
        answer = session.post(site.web_url + page, data=data, headers=headers, timeout=60)
        assert answer.status_code == 200
        # the form says what else it needs, so it has read the token behind which the file stands
        assert "csrfmiddlewaretoken" in answer.text


def test_chunks_and_lengths_that_lie_end_the_connection(site: Processes) -> None:
    for body in (b"zz\r\n", b"-1\r\n", b"5\r\nabcdefg\r\n", b"x" * 1000, b"0\r\n" + b"X: y\r\n" * 3000):
        with connect(site, "127.0.0.1") as sock:
            sock.sendall(POST_LOGIN.encode() + b"Transfer-Encoding: chunked\r\n\r\n" + body)
            assert sock.recv(65536).startswith(b"HTTP/1.1 400 ")
    for head in (b"Content-Length: 5\r\nContent-Length: 6\r\n", b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"):
        with connect(site, "127.0.0.1") as sock:
            sock.sendall(POST_LOGIN.encode() + head + b"\r\nabcde")
            assert sock.recv(65536).startswith(b"HTTP/1.1 400 ")


def test_requests_sent_at_once_are_answered_in_turn(site: Processes) -> None:
    connection = b"GET /health HTTP/1.1\r\nHost: localhost\r\n"
    with connect(site, "127.0.0.1") as sock:
        sock.sendall((connection + b"\r\n") * 3 + connection + b"Connection: close\r\n\r\n")
        answers = b""
        while data := sock.recv(65536):
            answers += data
    assert answers.count(b"HTTP/1.1 200 OK") == 4


def test_who_asks_before_sending_is_told_to_go_on_or_to_stop(site: Processes) -> None:
    expects = POST_LOGIN + "Expect: 100-continue\r\n"
    with connect(site, "127.0.0.1") as sock:
        sock.sendall(f"{expects}Content-Length: 4\r\n\r\n".encode())
        assert sock.recv(65536).startswith(b"HTTP/1.1 100 Continue\r\n")
        sock.sendall(b"a=bc")
        assert sock.recv(65536).startswith(b"HTTP/1.1 403 ")
    with connect(site, "127.0.0.1") as sock:
        sock.sendall(f"{expects}Content-Length: {HUGE}\r\n\r\n".encode())
        assert sock.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_a_slow_reader_gets_the_whole_answer(site: Processes) -> None:
    path = script_of_the_site(site)
    whole = requests.get(site.web_url + path, timeout=30, headers={"Accept-Encoding": "identity"}).content
    connection = HTTPConnection("127.0.0.1", site.web_port, timeout=30)
    connection.sock = connect(site, receive_buffer=4096)
    connection.request("GET", path)
    wait_until(lambda: answered_within(site, 1.0), timeout=30)
    with connection.getresponse() as answer:
        pieces = iter(lambda: answer.read(1000), b"")
        assert b"".join(pieces) == whole
    connection.close()


def test_who_takes_too_long_is_told_and_let_go(tmp_path: Path) -> None:
    processes = Processes(
        tmp_path, {"WEB_HEAD_SECONDS": "1", "WEB_TRANSFER_SECONDS": "1", "WEB_KEEPALIVE_SECONDS": "1"}
    )
    processes.data_dir.mkdir()
    processes.prepare()
    processes.mwl_admin.start()
    try:
        for kind, (first, _) in SENT.items():
            with connect(processes) as sock:
                sock.sendall(first.encode())
                answer = b""
                while data := sock.recv(65536):
                    answer += data
            expected = b"" if kind == "silent" else b"HTTP/1.1 200 " if "alive" in kind else b"HTTP/1.1 408 "
            assert answer[:13] == expected, kind
    finally:
        processes.stop()


def test_a_site_that_is_told_to_stop_does_not_wait_for_them(tmp_path: Path) -> None:
    processes = Processes(tmp_path, {"WEB_HEAD_SECONDS": "600", "WEB_KEEPALIVE_SECONDS": "600"})
    processes.data_dir.mkdir()
    processes.prepare()
    processes.mwl_admin.start()
    with ExitStack() as stack:
        for kind in ("silent", "half a header", "kept alive and idle"):
            for _ in range(20):
                stack.enter_context(connect(processes)).sendall(SENT[kind][0].encode())
        watch = Stopwatch()
        assert processes.mwl_admin.stop(timeout=90) == 0
        assert watch.is_below(15)


def test_rubbish_ends_a_connection_and_nothing_else(site: Processes) -> None:
    """Requests cut, doubled and altered at random: the worker that met them is the one that answers afterwards."""
    chance = random.Random(4711)  # the same rubbish each time
    whole = [first.encode() + b"\r\n\r\n" for first, _ in SENT.values()]
    whole += [POST_LOGIN.encode() + b"Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n"]
    odd = [
        b"\r\n",
        b"\n",
        b"\x00",
        b"\xff",
        b":",
        b"chunked",
        b"Content-Length: 99999999999999999999\r\n",
        b"HTTP/1.1",
        b" ",
    ]
    workers = {member.pid for member in site.mwl_admin.family()}
    for _ in range(400):
        data = bytearray(chance.choice(whole))
        for _ in range(chance.randrange(1, 6)):
            at = chance.randrange(len(data) + 1)
            data[at : at + chance.choice((0, 0, 1, 7, 40))] = chance.choice(odd)
        with connect(site, "127.0.0.3") as sock:
            attempt(sock, lambda sock, data=bytes(data): sock.sendall(data))  # type: ignore[misc]
            attempt(sock, lambda sock: sock.shutdown(socket.SHUT_WR))
            attempt(sock, lambda sock: len(sock.recv(65536)))  # type: ignore[arg-type]
    others_are_served(site)
    assert {member.pid for member in site.mwl_admin.family()} == workers


def memory(site: Processes) -> int:
    return sum(
        member.memory_info().rss for member in site.mwl_admin.family() if member.status() != psutil.STATUS_ZOMBIE
    )


def bytes_in(folder: Path) -> int:
    """Return what files of the site take in a folder, those included that have no name any more."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) + sum(
        path.stat().st_size for path in open_without_name(folder)
    )


def open_without_name(folder: Path) -> Iterator[Path]:
    for process in psutil.process_iter(["cwd"]):
        for link in Path(f"/proc/{process.pid}/fd").glob("*") if process.info["cwd"] == str(folder.parent) else ():
            try:
                target = str(link.readlink())
            except OSError:
                continue
            if target.startswith(str(folder)) and target.endswith("(deleted)"):
                yield link

"""The API over the real server, by raw requests: what a client writes in an address reaches it as written."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import pytest

from tests.api.bodies import entry
from tests.processes import Processes


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    made = Processes(tmp_path_factory.mktemp("api"))
    made.data_dir.mkdir()
    made.prepare()
    made.mwl_admin.start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def token(served: Processes) -> str:
    return served.manage("api_token", "make", "RIS", "--write").split()[-1]


class Answer:
    """An answer as it came over the wire."""

    def __init__(self, data: bytes) -> None:
        head, _, self.body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        self.status = int(first.split()[1])
        self.headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}


def ask(port: int, token: str, method: str, path: str, body: object = None) -> Answer:
    content = json.dumps(body).encode() if body is not None else b""
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(head.encode() + content)
        return Answer(b"".join(iter(lambda: connection.recv(65536), b"")))


@pytest.mark.parametrize(
    ("number", "written"),
    [
        ("A/1", "A%2F1"), ("A/2", "A/2"), ("A/", "A%2f"), ("//", "%2F%2F"), ("/A", "/A"),
        ("A 1%?#+", "A%201%25%3F%23+"), ("Ä", "%C3%84"), ("A", "A/"), ("B/", "B//"),
    ],
)  # fmt: skip
def test_an_address_is_taken_as_it_is_written(served: Processes, token: str, number: str, written: str) -> None:
    port, path = served.web_port, f"/api/worklist/{written}"
    made = ask(port, token, "PUT", path, entry(AccessionNumber=number))
    assert made.status == 201, made.body
    assert json.loads(made.body)["AccessionNumber"] == number
    assert ask(port, token, "PATCH", path, {"AdmissionID": "7"}).status == 200
    got = ask(port, token, "GET", path)
    assert json.loads(got.body)["AdmissionID"] == "7"
    head = ask(port, token, "HEAD", path)
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", str(len(got.body)))
    assert ask(port, token, "GET", made.headers["location"].removeprefix("http://localhost")).status == 200
    assert ask(port, token, "DELETE", path).status == 200


def test_refusals_and_empty_answers_over_the_wire(served: Processes, token: str) -> None:
    port = served.web_port
    for method, path, status in (
        ("GET", "/api/nothing", 404),
        ("PURGE", "/api/worklist", 405),
        ("HEAD", "/api/x/", 404),
    ):
        answer = ask(port, token, method, path)
        assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json")
        assert (answer.body == b"") == (method == "HEAD")
    none = ask(port, token, "GET", "/dicom-web/modality-scheduled-procedure-steps?PatientID=nobody")
    assert (none.status, none.body) == (204, b"")
    assert not {"content-type", "content-length", "transfer-encoding"} & none.headers.keys()
    posted = ask(port, token, "POST", "/api/worklist", entry(AccessionNumber="A-POST"))
    assert posted.status == 201

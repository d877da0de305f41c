"""Commands to the image receiver: signed, with an ID of their own, and what becomes of the answers."""

from __future__ import annotations

import contextlib
import json
import logging
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.db import transaction

from gateway_link.signature import Unsigned, verify
from mwl_admin.images import receiver_commands
from mwl_admin.images.receiver_commands import CommandError, send
from mwl_admin.models import KeptOut, Station
from tests.factory import make_station
from tests.ports import free_port
from tests.waiting import wait_until

SECRET = "a secret that both sides know"


@dataclass
class Receiver:
    """Answers commands with ``status`` and ``answer``; ``taken`` are the bodies of those that were signed."""

    status: int = 200
    answer: bytes = b'{"devices": 12}'
    port: int = field(default_factory=free_port)
    taken: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    hold: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def open(self) -> Iterator[Receiver]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, answer = receiver.status, receiver.answer
                try:
                    verify(SECRET, "POST", self.path, dict(self.headers), body)
                    receiver.taken.append((self.path, json.loads(body)))
                except Unsigned:
                    status, answer = 403, b"{}"
                receiver.hold.wait(30)
                self.send_response(status)
                self.send_header("Location", f"http://127.0.0.1:{receiver.port}/commands/elsewhere")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                with contextlib.suppress(BrokenPipeError):  # who waited no longer
                    self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                return

        server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield self
        finally:
            self.hold.set()
            server.shutdown()
            server.server_close()
            thread.join()


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    with Receiver().open() as opened:
        opened.hold.set()
        settings.PACS_COMMAND_URL = f"http://127.0.0.1:{opened.port}"
        settings.PACS_NOTIFY_SECRET = SECRET
        yield opened


def test_a_command_is_signed_and_has_an_id_and_its_result_comes_back(receiver: Receiver) -> None:
    assert send("refresh-devices", {"more": "Ä"}) == {"devices": 12}
    again = str(uuid.uuid4())
    send("refresh-devices", id=again)
    (path, first), (_, second) = receiver.taken
    assert path == "/commands/refresh-devices"
    assert first["more"] == "Ä"
    assert str(uuid.UUID(first["id"])) == first["id"]
    assert second == {"id": again}


@pytest.mark.parametrize(
    ("status", "answer", "reason"),
    [
        (409, b'{"title": "Conflict", "detail": "The id was used for another command."}', "The id was used for"),
        (503, b'{"title": "Try again later"}', "Try again later"),
        (404, b"<html>", "the answer was 404"),
        (500, b"[]", "the answer was 500"),
        (302, b"{}", "the answer was 302"),
        (200, b"ok", "the answer is no JSON"),
        (200, b"[]", "the answer is no JSON object"),
    ],
)
def test_what_is_not_carried_out_is_told_with_its_reason(
    receiver: Receiver, status: int, answer: bytes, reason: str
) -> None:
    receiver.status, receiver.answer = status, answer
    with pytest.raises(CommandError, match=reason) as told:
        send("refresh-devices")
    assert told.value.status == (status if status != 200 else None)
    assert len(receiver.taken) == 1


def test_a_receiver_that_is_away_or_silent_is_told_in_time(receiver: Receiver, settings: Any) -> None:
    receiver.hold.clear()
    with pytest.raises(CommandError, match="no answer"):
        send("refresh-devices", seconds=0.2)
    receiver.hold.set()
    settings.PACS_COMMAND_URL = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(CommandError, match="no answer: ConnectionRefusedError"):
        send("refresh-devices")
    settings.PACS_COMMAND_URL = ""
    with pytest.raises(CommandError, match="PACS_COMMAND_URL is not set"):
        send("refresh-devices")


@pytest.mark.django_db(transaction=True)
def test_the_receiver_is_told_of_each_change_after_it_is_committed(receiver: Receiver) -> None:
    with transaction.atomic():
        station = make_station()
        assert receiver.taken == []
    wait_until(lambda: len(receiver.taken) == 1, what="a station was added")
    station.enabled = False
    station.save()
    wait_until(lambda: len(receiver.taken) == 2, what="a station was changed")
    Station.objects.all().delete()
    wait_until(lambda: len(receiver.taken) == 3, what="a station was deleted")
    row = KeptOut.objects.create(ae_title="CT2")
    wait_until(lambda: len(receiver.taken) == 4, what="an AE title is kept out")
    row.delete()
    wait_until(lambda: len(receiver.taken) == 5, what="it is no longer")
    with transaction.atomic():
        make_station("CT3")
        transaction.set_rollback(True)
    assert {path for path, _ in receiver.taken} == {"/commands/refresh-devices"}
    assert not Station.objects.exists()


def _is_idle() -> bool:
    return not receiver_commands.refresh_devices._running


def test_changes_meanwhile_are_told_together_and_nobody_waits(receiver: Receiver) -> None:
    receiver.hold.clear()
    receiver_commands.refresh_devices()
    wait_until(lambda: len(receiver.taken) == 1, what="the first is told at once")
    for _ in range(50):
        receiver_commands.refresh_devices()
    receiver.hold.set()
    wait_until(_is_idle, what="all is told")
    assert len(receiver.taken) == 2


def test_a_receiver_that_is_away_is_logged_once(
    receiver: Receiver, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "mwl_admin.images.receiver_commands")
    settings.PACS_COMMAND_URL = f"http://127.0.0.1:{free_port()}"
    for _ in range(3):
        receiver_commands.refresh_devices()
        wait_until(_is_idle, what="it was tried")
    assert len(caplog.records) == 1
    settings.PACS_COMMAND_URL = f"http://127.0.0.1:{receiver.port}"
    receiver_commands.refresh_devices()
    wait_until(_is_idle, what="it works again")
    settings.PACS_COMMAND_URL = f"http://127.0.0.1:{free_port()}"
    receiver_commands.refresh_devices()
    wait_until(_is_idle, what="it is away again")
    assert len(caplog.records) == 2

"""Complete studies, and their announcement."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from sqlalchemy import select

from pacs_receiver.index_tables import announcement, study
from pacs_receiver.notify import deliver_due, mark_complete
from tests.pacs_receiver import load
from tests.pacs_receiver.conftest import House, OpenHouse, StartReceiver
from tests.pacs_receiver.images import encode, image, store, uid
from tests.ports import free_port
from tests.waiting import wait_until


class Site:
    """The other side: keeps what it got, and answers with the statuses it is told to."""

    def __init__(self) -> None:
        self.received: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[int] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                site.received.append((dict(self.headers), body))
                status = site.answers.pop(0) if site.answers else 204
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", "/elsewhere")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/study-complete"

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()
    yield made
    made.close()


def due_now(house: House) -> None:
    with house.engine.begin() as connection:
        connection.execute(announcement.update().where(announcement.c.next_attempt.is_not(None)).values(next_attempt=1))


def test_a_stable_study_is_announced_with_what_it_holds_and_a_signature(house: House, site: Site) -> None:
    ds = image()
    other = image(study=ds.StudyInstanceUID)
    for each in (ds, other):
        store(house.receiver, encode(each), instance=str(each.SOPInstanceUID))
    assert mark_complete(house.engine, stable_seconds=0, announce=True) == 1
    assert deliver_due(house.engine, url=site.url, secret="a secret") == 1
    [(headers, body)] = site.received
    content = json.loads(body)
    assert content["event"] == "study.complete"
    assert content["id"] == headers["X-Gateway-Event-Id"]
    assert content["study"]["uid"] == ds.StudyInstanceUID
    assert content["study"]["accession_number"] == "A4711"
    assert (content["study"]["series"], content["study"]["instances"]) == (2, 2)
    assert content["study"]["modalities"] == ["CT"]
    assert content["patient"]["name"] == "Prüfer^Anna"
    assert content["senders"] == [{"ae_title": "CT1", "address": "192.0.2.7"}]
    signed = f"{headers['X-Gateway-Timestamp']}.".encode() + body
    digest = hmac.new(b"a secret", signed, hashlib.sha256).hexdigest()
    assert headers["X-Gateway-Signature"] == f"sha256={digest}"
    assert abs(time.time() - int(headers["X-Gateway-Timestamp"])) < 60
    due_now(house)
    assert deliver_due(house.engine, url=site.url, secret="a secret") == 0


def test_a_study_that_still_grows_is_not_complete(house: House) -> None:
    ds = image()
    store(house.receiver, encode(ds), instance=str(ds.SOPInstanceUID))
    assert mark_complete(house.engine, stable_seconds=60, announce=True) == 0


def test_a_study_that_grows_again_is_announced_again(house: House, site: Site) -> None:
    study_uid = uid()
    for count in (1, 2):
        ds = image(study=study_uid)
        store(house.receiver, encode(ds), instance=str(ds.SOPInstanceUID))
        assert mark_complete(house.engine, stable_seconds=0, announce=True) == 1
        deliver_due(house.engine, url=site.url, secret="")
        assert json.loads(site.received[-1][1])["study"]["instances"] == count
    assert len({json.loads(body)["id"] for _, body in site.received}) == 2


@pytest.mark.parametrize("answer", [500, 404, 302])
def test_an_announcement_that_is_not_taken_is_repeated_with_the_same_id(house: House, site: Site, answer: int) -> None:
    ds = image()
    store(house.receiver, encode(ds), instance=str(ds.SOPInstanceUID))
    mark_complete(house.engine, stable_seconds=0, announce=True)
    site.answers = [answer]
    assert deliver_due(house.engine, url=site.url, secret="") == 0
    # not at once
    assert deliver_due(house.engine, url=site.url, secret="") == 0
    assert len(site.received) == 1
    due_now(house)
    assert deliver_due(house.engine, url=site.url, secret="") == 1
    assert site.received[0][1] == site.received[1][1]


def test_a_site_that_is_down_is_tried_again(house: House) -> None:
    ds = image()
    store(house.receiver, encode(ds), instance=str(ds.SOPInstanceUID))
    mark_complete(house.engine, stable_seconds=0, announce=True)
    assert deliver_due(house.engine, url=f"http://127.0.0.1:{free_port()}/", secret="") == 0
    with house.engine.connect() as connection:
        row = connection.execute(select(announcement)).one()
    assert row.attempts == 1
    assert row.next_attempt > time.time()
    assert row.delivered_at is None


def test_workers_that_look_at_the_same_time_announce_once(open_house: OpenHouse, database_url: str, site: Site) -> None:
    houses = [open_house(url=database_url) for _ in range(4)]
    for _ in range(10):
        ds = image()
        store(houses[0].receiver, encode(ds), instance=str(ds.SOPInstanceUID))

    def work(house: House) -> None:
        mark_complete(house.engine, stable_seconds=0, announce=True)
        deliver_due(house.engine, url=site.url, secret="")

    threads = [threading.Thread(target=work, args=(house,)) for house in houses]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    deliver_due(houses[0].engine, url=site.url, secret="")
    announced = [json.loads(body)["study"]["uid"] for _, body in site.received]
    assert len(announced) == len(set(announced)) == 10


def test_the_receiver_announces_and_never_waits_for_the_site(start_receiver: StartReceiver, site: Site) -> None:
    receiver = start_receiver(PACS_NOTIFY_URL=site.url, PACS_NOTIFY_SECRET="a secret", PACS_STUDY_STABLE_SECONDS="0.5")
    ds = image()
    with load.connect(receiver.port) as peer:
        assert load.store(peer, str(ds.SOPInstanceUID), encode(ds)) == 0
        peer.release()
    wait_until(lambda: site.received, what="the study is announced")
    assert json.loads(site.received[0][1])["study"]["uid"] == ds.StudyInstanceUID
    assert receiver.listed()[0]["completed_at"] is not None


def test_a_study_without_a_site_is_marked_complete_all_the_same(house: House) -> None:
    ds = image()
    store(house.receiver, encode(ds), instance=str(ds.SOPInstanceUID))
    mark_complete(house.engine, stable_seconds=0, announce=False)
    with house.engine.connect() as connection:
        assert connection.execute(select(study.c.completed_at)).scalar_one() is not None
        assert connection.execute(select(announcement)).all() == []

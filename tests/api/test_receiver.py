"""What the image receiver asks and tells: the registry of devices, and who was turned away (docs/devices.md)."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from gateway_link.signature import sign
from mwl_admin.models import Enrolment, KeptOut, Station, UnknownCaller, UsedNonce
from pacs_receiver.registry import parse
from tests.factory import make_station

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("secret")]

DEVICES, TURNED_AWAY = "/api/receiver/devices", "/api/receiver/turned-away"
PRINT = "0123456789abcdef" * 4
REQUESTS = [("GET", DEVICES, b""), ("POST", TURNED_AWAY, b'{"callers": []}')]


def call(method: str, path: str, body: bytes, headers: dict[str, str]) -> Any:
    client = Client(raise_request_exception=False)
    return client.generic(method, path, body, content_type="application/json", headers=headers)


def ask(secret: str, method: str, path: str, body: bytes = b"", **headers: str) -> Any:
    return call(method, path, body, {**sign(secret, method, path, body), **headers})


def tell(secret: str, *callers: dict[str, Any]) -> Any:
    return ask(secret, "POST", TURNED_AWAY, json.dumps({"callers": callers}).encode())


def caller(**values: Any) -> dict[str, Any]:
    return {
        "ae_title": "CT9",
        "address": "192.0.2.9",
        "at": (timezone.now() - timedelta(minutes=1)).isoformat(),
        "because": "calling AE title belongs to no known device",
        "attempts": 3,
        "served": False,
        **values,
    }


@pytest.mark.parametrize(("method", "path", "body"), REQUESTS)
def test_what_the_receiver_has_not_signed_is_refused(secret: str, method: str, path: str, body: bytes) -> None:
    good = sign(secret, method, path, body)
    other = "GET" if method == "POST" else "POST"
    forged = {
        "unsigned": {},
        "other secret": sign("another secret altogether", method, path, body),
        "other method": sign(secret, other, path, body),
        "other path": sign(secret, method, path + "/", body),
        "other query": sign(secret, method, path + "?a=1", body),
        "other body": sign(secret, method, path, body + b" "),
        "other time": {**good, "X-Gateway-Timestamp": str(int(good["X-Gateway-Timestamp"]) + 1)},
        "other number": {**good, "X-Gateway-Nonce": "0" * 32},
        "too old": sign(secret, method, path, body, now=time.time() - 301),
        "from the future": sign(secret, method, path, body, now=time.time() + 310),
    }
    answers = {name: call(method, path, body, headers) for name, headers in forged.items()}
    assert {name: answer.status_code for name, answer in answers.items()} == dict.fromkeys(forged, 403)
    assert {answer["Content-Type"] for answer in answers.values()} == {"application/problem+json"}
    # What is forged fills no table.
    assert not UsedNonce.objects.exists()
    assert call(method, path, body, good).status_code < 300


@pytest.mark.parametrize(("method", "path", "body"), REQUESTS)
def test_a_request_is_taken_once(secret: str, method: str, path: str, body: bytes) -> None:
    headers = sign(secret, method, path, body)
    assert [call(method, path, body, headers).status_code for _ in range(3)][1:] == [403, 403]


@pytest.mark.machine_clock
def test_numbers_are_forgotten_when_their_time_is_over(secret: str) -> None:
    UsedNonce.objects.create(nonce="0" * 32, until=timezone.now() - timedelta(seconds=1))
    assert ask(secret, "GET", DEVICES).status_code == 200
    assert UsedNonce.objects.count() == 1
    until = UsedNonce.objects.get().until
    assert timedelta(seconds=295) < until - timezone.now() < timedelta(seconds=305)


@pytest.mark.parametrize(("method", "path", "body"), REQUESTS)
def test_without_a_secret_nothing_is_taken(settings: Any, secret: str, method: str, path: str, body: bytes) -> None:
    settings.PACS_NOTIFY_SECRET = ""
    assert call(method, path, body, sign("", method, path, body)).status_code == 503


def test_the_list_says_all_that_is_known_of_a_device_and_the_receiver_understands_it(secret: str) -> None:
    make_station(
        expected_addresses="192.0.2.7\n10.1.0.0/16",
        certificates=":".join(PRINT[at : at + 2] for at in range(0, 64, 2)).upper(),
    )
    make_station(
        "ARCHIVE", "", kind="archive", host="archive.example", port=11112, may_store=False, may_query=True,
        may_retrieve=True, enabled=False,
    )  # fmt: skip
    make_station("AI1", "", station_name="", kind="ai")
    KeptOut.objects.create(ae_title="OLDCT")
    answer = ask(secret, "GET", DEVICES)
    assert json.loads(answer.content) == {
        "devices": [
            {
                "ae_title": "AI1", "name": "", "kind": "ai", "modality": "", "enabled": True, "addresses": [],
                "host": "", "port": 0, "rights": ["store"], "certificates": [],
            },
            {
                "ae_title": "ARCHIVE", "name": "", "kind": "archive", "modality": "", "enabled": False, "addresses": [],
                "host": "archive.example", "port": 11112, "rights": ["query", "retrieve"], "certificates": [],
            },
            {
                "ae_title": "CT1", "name": "CT room 1", "kind": "modality", "modality": "CT", "enabled": True,
                "addresses": ["192.0.2.7", "10.1.0.0/16"], "host": "192.0.2.7", "port": 104, "rights": ["store"],
                "certificates": [PRINT],
            },
        ],
        "refused": ["OLDCT"],
    }  # fmt: skip
    registry = parse(answer.content)
    assert set(registry.devices) == {"AI1", "ARCHIVE", "CT1"}
    assert registry.refused == {"OLDCT"}
    assert registry.devices["CT1"].device.certificates == {PRINT}


def test_an_unchanged_list_is_not_sent_again(secret: str) -> None:
    station = make_station()
    tag = ask(secret, "GET", DEVICES)["ETag"]
    Station.objects.filter(pk=station.pk).update(last_echo_at=timezone.now())
    again = ask(secret, "GET", DEVICES, **{"If-None-Match": tag})
    assert (again.status_code, again.content, again["ETag"]) == (304, b"", tag)
    for change in (lambda: Station.objects.update(enabled=False), lambda: KeptOut.objects.create(ae_title="CT2")):
        change()
        answer = ask(secret, "GET", DEVICES, **{"If-None-Match": tag})
        assert (answer.status_code, answer["ETag"] != tag) == (200, True)
        tag = answer["ETag"]


def test_who_was_turned_away_is_kept_and_adds_up(secret: str) -> None:
    assert tell(secret, caller(), caller(ae_title="CT1", because="device is switched off")).status_code == 204
    assert tell(secret, caller(attempts=2, address="")).status_code == 204
    rows = UnknownCaller.objects.order_by("ae_title")
    assert [(row.service, row.ae_title, row.address, row.attempts, row.rejected_because) for row in rows] == [
        ("images", "CT1", "192.0.2.9", 3, "device is switched off"),
        ("images", "CT9", None, 5, "calling AE title belongs to no known device"),
    ]
    assert not Enrolment.objects.exists()


def test_who_is_served_until_staff_answer_is_to_be_enrolled_unless_they_have(secret: str) -> None:
    make_station()
    KeptOut.objects.create(ae_title="CT2")
    told = [caller(ae_title=title, because="", served=True) for title in ("CT1", "CT2", "CT9")]
    assert [tell(secret, *told).status_code for _ in range(2)] == [204, 204]
    (row,) = Enrolment.objects.all()
    assert (row.service, row.ae_title, row.address) == ("images", "CT9", "192.0.2.9")
    assert not UnknownCaller.objects.exists()


def test_what_peers_call_themselves_does_no_harm(secret: str) -> None:
    far = datetime(2099, 1, 1, tzinfo=UTC).isoformat()
    assert tell(secret, caller(ae_title="A\\B"), caller(ae_title=""), caller(ae_title="X" * 17)).status_code == 204
    assert not UnknownCaller.objects.exists()
    assert tell(secret, caller(at=far, because="x" * 500, address="fe80::1%eth0")).status_code == 204
    row = UnknownCaller.objects.get()
    assert row.last_seen_at <= timezone.now()
    assert (len(row.rejected_because), row.address) == (64, "fe80::1")


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"{", b"{}", b'{"callers": 1}', b'{"callers": [1]}', b'{"callers": [{}]}', b"[" * 20_000,
        json.dumps({"callers": [caller(at="yesterday")]}).encode(),
        json.dumps({"callers": [caller(at="2026-11-28T10:00:00")]}).encode(),
        json.dumps({"callers": [caller(address="here")]}).encode(),
        json.dumps({"callers": [caller(attempts="3")]}).encode(),
        json.dumps({"callers": [caller(attempts=-1)]}).encode(),
        json.dumps({"callers": [caller(), caller(attempts=2**31)]}).encode(),
    ],
)  # fmt: skip
def test_what_is_no_report_is_refused_whole(secret: str, body: bytes) -> None:
    assert ask(secret, "POST", TURNED_AWAY, body).status_code == 400
    assert not UnknownCaller.objects.exists()

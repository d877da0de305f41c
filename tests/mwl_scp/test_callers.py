"""Who calls without a query: stations that echo, and strangers who echo or are rejected; never in an answer's way."""

from __future__ import annotations

import datetime
import threading
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError
from django.utils import timezone
from pynetdicom import AE
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from dicom_listener.access import Caller, Reason, Rejected
from mwl_admin.devices.observed_calls import ObservedCall, note
from mwl_admin.models import ServiceName, Station, UnknownCaller
from mwl_scp import call_writer
from mwl_scp.call_writer import CallWriter, write
from tests.factory import make_station
from tests.mwl_scp.conftest import Provider, start_provider
from tests.waiting import wait_until


def echo(port: int, calling: str) -> int | None:
    """Return the status of a C-ECHO; None when the association was rejected."""
    ae = AE(ae_title=calling)
    ae.add_requested_context(Verification)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 30
    opened = ae.associate("127.0.0.1", port, ae_title="MWL_SCP")
    if not opened.is_established:
        return None
    status = opened.send_c_echo()
    opened.release()
    return int(status.Status)


def call(ae_title: str = "NEW", **values: Any) -> ObservedCall:
    return ObservedCall(ae_title, values.pop("address", "192.0.2.9"), values.pop("at", timezone.now()), **values)


def test_an_echo_of_a_station_is_its_last_echo(provider: Provider) -> None:
    station = make_station("CT1", last_echo_at=timezone.now() - datetime.timedelta(days=3))
    before = timezone.now()
    assert echo(provider.port, "CT1") == 0
    wait_until(
        lambda: Station.objects.filter(pk=station.pk, last_echo_at__gte=before).exists(), what="the echo is noted"
    )
    assert not UnknownCaller.objects.exists()


def test_an_unknown_ae_title_that_only_echoes_is_remembered(provider: Provider) -> None:
    assert echo(provider.port, "STRANGER") == 0
    wait_until(UnknownCaller.objects.exists, what="the stranger is noted")
    known = UnknownCaller.objects.get()
    assert (known.ae_title, known.address, known.rejected_because) == ("STRANGER", "127.0.0.1", "")


def test_one_whom_the_access_rule_rejects_is_remembered_with_the_reason(database: str, tmp_path: Path) -> None:
    running = start_provider(tmp_path, database, MWL_ALLOWED_CALLING_AE="CT1")
    try:
        assert echo(running.port, "STRANGER") is None
        wait_until(UnknownCaller.objects.exists, what="the stranger is noted")
        assert UnknownCaller.objects.get().rejected_because == "calling AE title is not on the list"
    finally:
        assert running.stop() == 0


def test_the_health_check_of_the_service_itself_is_nobody(provider: Provider) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{provider.health_port}/health") as answer:
        assert answer.status == 200
    assert echo(provider.port, "LATER") == 0
    wait_until(lambda: UnknownCaller.objects.filter(ae_title="LATER").exists(), what="the later one is noted")
    assert UnknownCaller.objects.count() == 1


def test_whoever_calls_himself_the_health_check_is_somebody(database: str, tmp_path: Path) -> None:
    for number, settings in enumerate(({}, {"MWL_ALLOWED_CALLING_AE": "CT1"})):
        folder = tmp_path / str(number)
        folder.mkdir()
        running = start_provider(folder, database, **settings)
        try:
            echo(running.port, "GATEWAY_HEALTH")
            wait_until(UnknownCaller.objects.exists, what="it is noted")
            known = UnknownCaller.objects.get()
            assert known.ae_title == "GATEWAY_HEALTH"
            assert bool(known.rejected_because) is bool(settings)
            assert "calling=GATEWAY_HEALTH" in running.log_text()
            known.delete()
        finally:
            assert running.stop() == 0


def test_a_station_that_is_turned_away_is_remembered_with_the_reason_and_was_not_seen(database: str) -> None:
    station = make_station("CT1")
    write([call("CT1", because="device is switched off")])
    station.refresh_from_db()
    assert station.last_echo_at is None
    assert UnknownCaller.objects.get().rejected_because == "device is switched off"


def test_whoever_is_to_try_again_was_not_turned_away() -> None:
    running = CallWriter()
    for reason in (Reason.CONGESTION, Reason.LOCAL_LIMIT):
        running.watched(lambda _, reason=reason: Rejected(reason, "later"))(Caller("CT1", "MWL_SCP", "127.0.0.1"))  # type: ignore[misc]
    assert not running._calls


def test_both_services_callers_are_kept_apart(database: str) -> None:
    note([call("NEW", because="no user identity")], ServiceName.IMAGES)
    write([call("NEW")])
    assert list(UnknownCaller.objects.order_by("service").values_list("service", "rejected_because")) == [
        ("images", "no user identity"),
        ("worklist", ""),
    ]


def test_calls_add_up_and_the_last_one_counts(database: str) -> None:
    now = timezone.now()
    write([call(at=now - datetime.timedelta(minutes=5), because="no user identity", attempts=3)])
    write([call(at=now, address="192.0.2.10", attempts=2)])
    known = UnknownCaller.objects.get()
    assert (known.attempts, known.address, known.rejected_because) == (5, "192.0.2.10", "")


@pytest.mark.parametrize("title", ["", "a\\b", "\x00", "x\ny"])
def test_what_is_no_ae_title_is_not_remembered(database: str, title: str) -> None:
    write([call(title)])
    assert not UnknownCaller.objects.exists()


def test_ever_new_names_fill_no_table_and_old_ones_are_forgotten(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mwl_admin.devices.observed_calls.KEPT", 10)
    write([call("OLD", at=timezone.now() - datetime.timedelta(days=15))])
    write(call(f"NEW{number}") for number in range(15))
    assert UnknownCaller.objects.count() == 10
    assert not UnknownCaller.objects.filter(ae_title="OLD").exists()


@dataclass
class Echo:
    """What `Callers` looks at of an association."""

    calling_ae: str = "CT1"
    address: str = "127.0.0.1"
    is_own_health_check: bool = False


def written(monkeypatch: pytest.MonkeyPatch, fail: Callable[[], None] = lambda: None) -> list[list[ObservedCall]]:
    """What is written, instead of writing it; ``fail`` may raise."""
    batches: list[list[ObservedCall]] = []

    def keep(calls: list[ObservedCall]) -> None:
        batches.append(calls)
        fail()

    monkeypatch.setattr(call_writer, "write", keep)
    return batches


def test_each_ae_title_is_written_once_in_a_few_seconds_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    batches = written(monkeypatch)
    with CallWriter(seconds=60).running() as running:
        running.echoed(Echo())  # type: ignore[arg-type]
        wait_until(lambda: len(batches) == 1, what="the first is written at once")
        for _ in range(500):
            running.echoed(Echo())  # type: ignore[arg-type]
    assert [[(one.ae_title, one.attempts) for one in batch] for batch in batches] == [[("CT1", 1)], [("CT1", 500)]]
    assert not [thread for thread in threading.enumerate() if thread.name == "callers"]


def test_a_flood_of_names_is_held_back_before_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    batches = written(monkeypatch)
    with CallWriter(seconds=60, waiting=20).running() as running:
        running.echoed(Echo())  # type: ignore[arg-type]
        wait_until(lambda: len(batches) == 1, what="the first is written at once")
        for number in range(1000):
            running.echoed(Echo(f"X{number}"))  # type: ignore[arg-type]
    assert len(batches[1]) == 20


def test_a_database_that_refuses_costs_what_waits_and_nothing_else(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = [True]

    def fail() -> None:
        if failing[0]:
            raise OperationalError("synthetic fault")

    batches = written(monkeypatch, fail)
    with CallWriter(seconds=0).running() as running:
        running.echoed(Echo())  # type: ignore[arg-type]
        wait_until(lambda: len(batches) == 1, what="it was tried")
        failing[0] = False
        running.echoed(Echo("CT2"))  # type: ignore[arg-type]
        wait_until(lambda: len(batches) == 2, what="the next was written")
    assert batches[1][0].ae_title == "CT2"


def test_the_rule_decides_as_it_did(monkeypatch: pytest.MonkeyPatch) -> None:
    no = Rejected(Reason.CALLING_AE, "not today")
    running = CallWriter()
    watched = running.watched(lambda caller: no if caller.calling_ae == "CT2" else None)
    assert watched(Caller("CT1", "MWL_SCP", "127.0.0.1")) is None
    assert watched(Caller("CT2", "MWL_SCP", "127.0.0.1")) is no
    assert [one.because for one in running._calls.values()] == ["not today"]

"""What modalities asked and what they were given: written aside, and never in the way of an answer."""

from __future__ import annotations

import datetime
import threading

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from mwl_admin.models import ReceivedStudy, Station, StudyNotice, WorklistDelivery, WorklistQuery
from mwl_scp import recording
from mwl_scp.recording import QueryRecord, Recorder, prune, write
from tests.factory import make_station, make_step
from tests.mwl_scp.conftest import Provider
from tests.mwl_scp.scu import find
from tests.waiting import wait_until
from tests.worklist.queries import identifier


def recorded(count: int = 1) -> list[WorklistQuery]:
    wait_until(lambda: WorklistQuery.objects.count() == count, what=f"{count} queries are recorded")
    return list(WorklistQuery.objects.order_by("pk"))


def test_a_query_is_recorded_with_its_keys_and_what_was_delivered(provider: Provider) -> None:
    step = make_step(stations=[make_station("CT1")])
    find(provider.port, identifier(step={"Modality": "CT"}, PatientName="Doe*"), calling="CT1")
    (query,) = recorded()
    assert (query.calling_ae_title, query.called_ae_title, query.address) == ("CT1", "MWL_SCP", "127.0.0.1")
    assert (query.matches, query.status, query.truncated) == (1, 0x0000, False)
    assert query.keys["00100010"] == {"vr": "PN", "Value": [{"Alphabetic": "Doe*"}]}
    assert query.keys["00400100"]["Value"][0]["00080060"]["Value"] == ["CT"]
    assert 0 < query.milliseconds < 60_000
    delivery = WorklistDelivery.objects.get()
    assert (delivery.step_id, delivery.station_ae_title) == (step.pk, "CT1")
    assert Station.objects.get().last_query_at == query.received_at


def test_a_refused_query_is_recorded_with_its_status_and_comment(provider: Provider) -> None:
    find(provider.port, identifier(step={"ScheduledProcedureStepStartDate": "today"}))
    (query,) = recorded()
    assert query.status == 0xA900
    assert query.error_comment == "(0040,0002) is not a date or a range of dates"
    assert query.matches == 0


def make_record(**values: object) -> QueryRecord:
    taken = QueryRecord(timezone.now(), "CT1", "MWL_SCP", "127.0.0.1")
    for name, value in values.items():
        setattr(taken, name, value)
    return taken


def test_a_step_that_was_deleted_meanwhile_costs_only_its_own_receipt(database: str) -> None:
    step = make_step()
    write([make_record(delivered=[step.pk, step.pk + 1000], status=0)])
    assert WorklistQuery.objects.get().matches == 2
    assert [delivery.step_id for delivery in WorklistDelivery.objects.all()] == [step.pk]


def test_old_queries_are_deleted_with_their_deliveries(database: str) -> None:
    step = make_step()
    now = timezone.now()
    old = make_record(received_at=now - datetime.timedelta(days=31), delivered=[step.pk])
    write([old, make_record(delivered=[step.pk])])
    assert prune(now - datetime.timedelta(days=30)) == 1
    assert WorklistQuery.objects.count() == WorklistDelivery.objects.count() == 1


def test_a_full_queue_drops_and_counts_and_never_waits(database: str) -> None:
    recorder = Recorder(0, capacity=2)
    before = recording.DROPPED._value.get()
    for _ in range(5):
        recorder.record(make_record())
    assert recording.DROPPED._value.get() - before == 3


def test_what_waits_when_the_service_stops_is_still_written(database: str) -> None:
    with Recorder(0).running() as recorder:
        for _ in range(120):
            recorder.record(make_record(status=0))
    assert WorklistQuery.objects.count() == 120
    assert not [thread for thread in threading.enumerate() if thread.name == "recording"]


def test_a_database_that_refuses_is_tried_again_and_then_counted(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "_RETRY_SECONDS", 0)
    failing = iter([True, False, True, True])

    def fails(batch: list[QueryRecord]) -> None:
        if next(failing):
            raise OperationalError("synthetic fault")
        write(batch)

    monkeypatch.setattr(recording, "write", fails)
    before = recording.DROPPED._value.get()
    recorder = Recorder(0)
    recorder._write([make_record(status=0)])
    assert WorklistQuery.objects.count() == 1
    recorder._write([make_record(status=0)])
    assert recording.DROPPED._value.get() - before == 1
    connection.close()


def test_the_provider_deletes_its_own_records_and_nothing_of_the_sites(database: str) -> None:
    now = timezone.now()
    study = ReceivedStudy.objects.create(
        study_instance_uid="1.2.3", first_arrival_at=now, last_arrival_at=now, announced_at=now
    )
    StudyNotice.objects.create(event_id="00000001", study=study, announced_at=now)
    StudyNotice.objects.update(received_at=now - datetime.timedelta(days=31))
    write([make_record(received_at=now - datetime.timedelta(days=31))])
    with Recorder(30).running():
        wait_until(lambda: not WorklistQuery.objects.exists(), what="the old query is deleted")
    assert StudyNotice.objects.count() == 1
    study.delete()

"""Many at once, on both databases: each on a connection of its own."""

from __future__ import annotations

import datetime
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import pytest
from django.db import connection
from django.utils import timezone
from pytest_django.plugin import DjangoDbBlocker

from mwl_admin.entries.cancelling import cancel
from mwl_admin.entries.entries import store
from mwl_admin.entries.entry import Entry, Mode
from mwl_admin.entries.problems import EntryError
from mwl_admin.entries.tables.files import read
from mwl_admin.entries.tables.rows import import_table
from mwl_admin.images import alarms, arrivals
from mwl_admin.images.arrivals import Notice
from mwl_admin.models import Patient, ReceivedStudy, RequestedProcedure, ScheduledProcedureStep, Station, StudyNotice

T = TypeVar("T")
WORKERS = 6


@pytest.fixture(autouse=True)
def worklist(database: str, django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    """An empty worklist."""
    with django_db_blocker.unblock():
        yield database
        for model in (StudyNotice, ReceivedStudy, ScheduledProcedureStep, RequestedProcedure, Patient, Station):
            model._default_manager.all().delete()


def at_once(work: Callable[[int], T]) -> list[T]:
    """Run ``work`` in threads that start together."""
    barrier = threading.Barrier(WORKERS)

    def run(number: int) -> T:
        barrier.wait(timeout=30)
        try:
            return work(number)
        finally:
            connection.close()

    with ThreadPoolExecutor(WORKERS) as pool:
        return list(pool.map(run, range(WORKERS)))


def entry(number: str = "A-1", time: str = "1030", **values: Any) -> Entry:
    step = {"Modality": "CT", "ScheduledProcedureStepStartDate": "20260504", "ScheduledProcedureStepStartTime": time}
    patient = {"PatientID": "P-1", "PatientName": "Doe^Jane"}
    return Entry({"AccessionNumber": number, **patient, **values}, (step,))


def outcome(work: Callable[[], Any]) -> str:
    try:
        return "done" if work() is not None else ""
    except EntryError as error:
        return type(error).__name__


def test_of_many_who_make_the_same_entry_one_does() -> None:
    created = at_once(lambda _: store(entry(), Mode.CREATE).created)
    assert sorted(created) == [False] * (WORKERS - 1) + [True]
    assert (Patient.objects.count(), RequestedProcedure.objects.count()) == (1, 1)
    assert ScheduledProcedureStep.objects.count() == 1


def test_of_many_who_make_different_entries_of_one_number_one_wins_and_the_others_are_told() -> None:
    told = at_once(lambda number: outcome(lambda: store(entry(time=f"1{number}00"), Mode.CREATE)))
    assert sorted(told) == ["ConflictError"] * (WORKERS - 1) + ["done"]


def test_entries_of_one_new_patient_share_the_patient() -> None:
    at_once(lambda number: store(entry(f"A-{number}"), Mode.CREATE))
    assert (Patient.objects.count(), RequestedProcedure.objects.count()) == (1, WORKERS)


def test_changes_at_once_leave_one_whole_entry() -> None:
    store(entry(), Mode.CREATE)

    def change(number: int) -> str:
        changed = entry(time=f"1{number}00", ReasonForTheRequestedProcedure=f"reason {number}")
        return outcome(lambda: store(changed, Mode.PUT))

    assert at_once(change) == ["done"] * WORKERS
    step = ScheduledProcedureStep.objects.get()
    reason = step.requested_procedure.reason_for_the_requested_procedure
    assert reason == f"reason {step.scheduled_time.hour - 10}"


def test_of_many_who_cancel_one_does_and_none_fails() -> None:
    store(entry(), Mode.CREATE)
    assert sorted(len(cancelled) for cancelled in at_once(lambda _: cancel("A-1"))) == [0] * (WORKERS - 1) + [1]


def test_the_same_file_taken_by_many_makes_its_entries_once() -> None:
    rows = "".join(f"A-{number},P-{number},Doe,2026-05-04,10:30,CT\n" for number in range(8))
    table = read(f"Accession number,Patient ID,Family name,Date,Time,Modality\n{rows}".encode())
    reports = at_once(lambda _: import_table(table))
    assert all(report.applied for report in reports), [row.problems for report in reports for row in report.rows]
    assert RequestedProcedure.objects.count() == 8
    assert ScheduledProcedureStep.objects.count() == 8


def notice(event_id: str, **values: Any) -> Notice:
    now = timezone.now()
    told = {
        "patient_id": "P-1",
        "patient_name": "Roe^Jane",
        "name_folded": arrivals.folded("Roe^Jane"),
        "modalities": ["CT"],
        "senders": ["CT1"],
        "series_count": 1,
        "instance_count": 10,
        "first_arrival_at": now - datetime.timedelta(minutes=2),
        "last_arrival_at": now,
        **values,
    }
    return Notice(event_id, now, "2.25.99", told)


def test_one_notice_that_comes_many_times_at_once_is_taken_once() -> None:
    event_id = str(uuid.uuid4())
    repeated = at_once(lambda _: arrivals.take(notice(event_id)).repeated)
    assert sorted(repeated) == [False] + [True] * (WORKERS - 1)
    assert ReceivedStudy.objects.count() == 1


def test_different_notices_of_one_study_at_once_make_one_study() -> None:
    at_once(lambda _: arrivals.take(notice(str(uuid.uuid4()))))
    assert ReceivedStudy.objects.count() == 1
    assert StudyNotice.objects.count() == WORKERS


def test_alarms_are_the_same_on_both_databases() -> None:
    order = store(entry(StudyInstanceUID="2.25.99"), Mode.CREATE).requested
    arrivals.take(notice(str(uuid.uuid4())))
    (alarm,) = alarms.alarms()
    assert alarm.kind is alarms.AlarmKind.MIXED_UP
    order.patient.family_name = "Roe"
    order.patient.save()
    assert alarms.alarms() == []
    for name in ("Roe_^Jane", "R%^Jane", "ROE^JANE^X"):
        arrivals.take(notice(str(uuid.uuid4()), name_folded=arrivals.folded(name)))
        assert bool(alarms.alarms()) is (name != "ROE^JANE^X")

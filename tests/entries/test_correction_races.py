"""Patients put right by many at once, on both databases: what one has done the others find done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pytest_django.plugin import DjangoDbBlocker

from mwl_admin.entries import corrections
from mwl_admin.entries.corrections import CorrectionOutcome
from mwl_admin.entries.entries import store
from mwl_admin.entries.entry import Entry, Mode
from mwl_admin.entries.patients import Reference, keep
from mwl_admin.entries.problems import EntryError
from mwl_admin.models import FormerPatientID, Patient, RequestedProcedure, ScheduledProcedureStep
from tests.entries.test_races import WORKERS, at_once, entry


@pytest.fixture(autouse=True)
def worklist(database: str, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """A patient with an order, and one without."""
    with django_db_blocker.unblock():
        store(entry("A-1", PatientID="TEMP-1"), Mode.CREATE)
        keep({"PatientID": "REAL-1", "PatientName": "Doe^Jane"}, source="")
        yield
        for model in (FormerPatientID, ScheduledProcedureStep, RequestedProcedure, Patient):
            model._default_manager.all().delete()


TEMP, REAL, NEW = (Reference({"PatientID": name}) for name in ("TEMP-1", "REAL-1", "NEW-1"))
NAMED = Reference({"PatientID": "NEW-1", "PatientName": "Doe^Jane"})

OPERATIONS: dict[str, Callable[[], CorrectionOutcome]] = {
    "merge": lambda: corrections.merge(REAL, TEMP, source=""),
    "another ID": lambda: corrections.change_id(TEMP, NEW, source=""),
    "identified": lambda: corrections.identify(TEMP, REAL, source=""),
    "identified, new": lambda: corrections.identify(TEMP, NAMED, source=""),
    "moved": lambda: corrections.move("A-1", TEMP, REAL, source=""),
}


def outcome(work: Callable[[], Any]) -> str:
    try:
        done = work()
    except EntryError as error:
        return error.problems[0].code
    return "unchanged" if isinstance(done, CorrectionOutcome) and not done.changed else "changed"


@pytest.mark.parametrize("name", OPERATIONS)
def test_of_many_who_ask_for_the_same_one_does_it_and_all_succeed(name: str) -> None:
    assert Counter(at_once(lambda _: outcome(OPERATIONS[name]))) == {"changed": 1, "unchanged": WORKERS - 1}
    assert RequestedProcedure.objects.get().patient.patient_id in {"REAL-1", "NEW-1"}


def test_two_merges_against_each_other_leave_one_record_with_all_entries() -> None:
    store(entry("A-2", PatientID="REAL-1"), Mode.CREATE)

    def work(number: int) -> str:
        kept, given_up = (TEMP, REAL) if number % 2 else (REAL, TEMP)
        return outcome(lambda: corrections.merge(kept, given_up, source=""))

    assert Counter(at_once(work)) == {"changed": 1, "unchanged": WORKERS // 2 - 1, "merged": WORKERS // 2}
    assert Patient.objects.get().requested_procedures.count() == 2


def test_entries_that_come_during_a_merge_are_refused_or_moved() -> None:
    def work(number: int) -> str:
        if number == 0:
            return outcome(OPERATIONS["merge"])
        return outcome(lambda: store(entry(f"B-{number}", PatientID="TEMP-1"), Mode.CREATE))

    told = at_once(work)
    assert told[0] in {"changed", "busy"}
    made = sum(one == "changed" for one in told[1:])
    assert {*told[1:]} <= {"changed", "merged"}
    if told[0] == "changed":
        assert Patient.objects.get().requested_procedures.count() == 1 + made


def test_an_order_is_moved_to_one_patient_whoever_asks() -> None:
    for number in range(WORKERS):
        keep({"PatientID": f"P-{number}", "PatientName": "Doe^Jane"}, source="")

    def work(number: int) -> str:
        return outcome(lambda: corrections.move("A-1", TEMP, Reference({"PatientID": f"P-{number}"}), source=""))

    assert Counter(at_once(work)) == {"changed": 1, "other_patient": WORKERS - 1}


def test_a_change_of_an_entry_that_is_being_moved_finds_it() -> None:
    def work(number: int) -> str:
        if number % 2:
            return outcome(OPERATIONS["moved"])
        change = Entry({"AccessionNumber": "A-1", "AdmissionID": str(number)})
        return outcome(lambda: store(change, Mode.UPDATE))

    assert Counter(at_once(work)) == {"changed": WORKERS // 2 + 1, "unchanged": WORKERS // 2 - 1}

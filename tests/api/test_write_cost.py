"""What writing an entry costs: few statements, and no thread that waits for ever."""

from __future__ import annotations

import datetime
import threading
import unicodedata
from typing import Any

import pytest
from django.db import connection
from django.db.models.functions import Upper
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from mwl_admin.entries.fair_lock import FairLock
from mwl_admin.models import APIClient, Patient, RequestedProcedure, ScheduledProcedureStep, Sequence
from mwl_admin.models.prepared import Prepared, PreparedInstances
from tests.api.bodies import ENTRY, WORKLIST, entry
from tests.api.conftest import Caller, caller
from tests.factory import make_patient
from tests.waiting import wait_until

KINDS: dict[str, tuple[str, str, dict[str, Any], int]] = {
    "a new patient": ("POST", WORKLIST, entry(AccessionNumber="A-2", PatientID="P-2", PatientName="Roe^Jane"), 21),
    "a known patient": ("POST", WORKLIST, entry(AccessionNumber="A-2"), 16),
    "an update": ("PUT", ENTRY, entry(RequestedProcedureDescription="CT head"), 19),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_write_takes_few_statements(ris: Caller, kind: str) -> None:
    method, path, body, most = KINDS[kind]
    assert ris.post(WORKLIST, entry()).status_code == 201
    with CaptureQueriesContext(connection) as statements:
        assert ris.call(method, path, body).status_code in {200, 201}
    assert len(statements) <= most, [statement["sql"][:120] for statement in statements]


def test_that_a_token_was_used_is_written_once_a_minute(ris: Caller) -> None:
    def updates() -> int:
        with CaptureQueriesContext(connection) as statements:
            assert ris.get(WORKLIST).status_code == 200
        return sum(statement["sql"].startswith("UPDATE") for statement in statements)

    assert [updates(), updates()] == [1, 0]
    APIClient.objects.update(last_used_at=timezone.now() - datetime.timedelta(seconds=61))
    assert updates() == 1


def test_ids_are_found_in_whatever_form_of_unicode_they_come(ris: Caller) -> None:
    number, patient_id = "Ä-5001", "Ä-1001"
    assert ris.post(WORKLIST, entry(AccessionNumber=number, PatientID=patient_id)).status_code == 201
    apart = [unicodedata.normalize("NFD", text) for text in (number, patient_id)]
    assert ris.post(WORKLIST, entry(AccessionNumber=apart[0], PatientID=patient_id)).status_code == 200
    # Refused when the two are compared; not found would be worse, and make a second record.
    assert ris.post(WORKLIST, entry(AccessionNumber="A-2", PatientID=apart[1])).status_code == 409
    assert (Patient.objects.count(), RequestedProcedure.objects.count()) == (1, 1)


def test_each_version_of_an_entry_stays_in_its_history(ris: Caller) -> None:
    ris.post(WORKLIST, entry())
    ris.put(ENTRY, entry(RequestedProcedureDescription="CT head"))
    order, step = RequestedProcedure.objects.get(), ScheduledProcedureStep.objects.get()
    versions = order.history.order_by("history_id").values_list(
        "history_type", "requested_procedure_description", "history_change_reason"
    )
    assert list(versions) == [("+", "CT thorax", "API: RIS"), ("~", "CT head", "API: RIS")]
    assert list(step.history.order_by("history_id").values_list("history_type", flat=True)) == ["+", "~"]
    assert list(order.patient.history.values_list("history_type", flat=True)) == ["+"]


def test_a_correction_by_another_token_is_seen_at_once(ris: Caller) -> None:
    """Statements are kept, their answers are not."""
    ris.post(WORKLIST, entry())
    other = caller(name="PACS")
    assert ris.get(ENTRY).json()["PatientName"] == "Müller^Änne"
    tag = ris.get(ENTRY)["ETag"]
    changed = other.patch(f"{ENTRY}?update_patient=1", {"PatientName": "Meier^Änne"})
    assert changed.status_code == 200, changed.content
    assert ris.get(ENTRY).json()["PatientName"] == "Meier^Änne"
    assert ris.put(ENTRY, entry(PatientName="Meier^Änne"), **{"If-Match": tag}).status_code == 412
    APIClient.objects.filter(name="PACS").update(enabled=False)
    assert other.get(ENTRY).status_code == 401


@pytest.mark.django_db
def test_numbers_are_given_once_and_those_of_a_failure_again() -> None:
    assert [*Sequence.take("rooms"), *Sequence.take("rooms", 3), *Sequence.take("beds")] == [1, 2, 3, 4, 1]


def test_a_parameter_that_is_changed_on_its_way_is_refused() -> None:
    folded = Prepared(lambda name: Patient.objects.filter(pk=len(name)).values_list("pk"), str)
    with pytest.raises(ValueError, match="did not reach"):
        folded.rows("x")


def test_a_prepared_statement_finds_what_the_queryset_finds(database: str, django_db_blocker: Any) -> None:
    by_id = PreparedInstances(Patient, lambda patient_id: Patient.objects.filter(patient_id=patient_id), str)
    shouted = Prepared(
        lambda pk: (
            Patient.objects.annotate(shout=Upper("family_name")).filter(pk=pk).values_list("shout", "created_at")
        ),
        int,
    )
    with django_db_blocker.unblock():
        made = make_patient(
            patient_id="P-1", family_name="Doe", patient_birth_date=datetime.date(1950, 7, 1), patient_weight="72.500"
        )
        (found,) = by_id.all("P-1")
        names = [field.attname for field in Patient._meta.concrete_fields]
        expected = Patient.objects.get(pk=made.pk)
        assert [getattr(found, name) for name in names] == [getattr(expected, name) for name in names]
        assert by_id.first("P-2") is None
        assert shouted.first(made.pk) == ("DOE", expected.created_at)
        assert not found._state.adding


def test_turns_are_taken_in_the_order_of_asking() -> None:
    turns, order, threads = FairLock(), list[int](), list[threading.Thread]()

    def write(number: int) -> None:
        with turns.turn():
            order.append(number)

    with turns.turn():
        for number in range(6):
            threads.append(threading.Thread(target=write, args=[number]))
            threads[-1].start()
            wait_until(lambda: len(turns._waiting) == len(threads), what="the thread waits")
        assert order == []
    for thread in threads:
        thread.join(20)
    assert order == [0, 1, 2, 3, 4, 5]


def test_a_turn_that_fails_is_handed_on() -> None:
    turns = FairLock()
    for _ in range(2):
        with pytest.raises(ValueError, match="broken"), turns.turn():
            raise ValueError("broken")

"""`dry_run=1`: every writing operation answers what it would do, and no row of any table is another one after it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.apps import apps
from django.core import mail
from django.db import connection, transaction
from django.utils import timezone

from gateway_link.signature import sign
from mwl_admin.api.rehearsal import HEADER
from mwl_admin.api.site import api
from mwl_admin.models import Patient, RequestedProcedure, ScheduledProcedureStep, Sequence
from pacs_receiver.notify import headers as signed_headers
from tests.api.bodies import ENTRY, STEPS, WORKLIST, entry
from tests.api.conftest import Caller
from tests.api.test_notices import notice

pytestmark = pytest.mark.django_db

OF_THE_CALLER = {"mwl_admin_apiclient": "last_used_at", "mwl_admin_usednonce": ""}
"""What says that somebody has called, not what for: the last use of a token, and the numbers of signed requests."""


def digest() -> str:
    """Return one digest of all rows of all tables, Django's and history's own included."""
    found = hashlib.sha256()
    with connection.cursor() as cursor:
        names = sorted(connection.introspection.table_names(cursor))
        for name in names:
            if OF_THE_CALLER.get(name) == "":
                continue
            cursor.execute(f'SELECT * FROM "{name}" ORDER BY 1')
            columns = [column[0] for column in cursor.description]
            for row in cursor.fetchall():
                kept = [value for column, value in zip(columns, row, strict=True) if column != OF_THE_CALLER.get(name)]
                found.update(repr((name, kept)).encode())
    return found.hexdigest()


@dataclass
class Write:
    """One way to use a writing operation, and the status that it has with `dry_run` and without."""

    operation: str
    method: str
    path: str
    body: Any
    status: int
    headers: dict[str, str] = field(default_factory=dict)

    def send(self, ris: Caller, *, dry_run: bool, secret: str) -> Any:
        path = self.path
        if dry_run:
            path += f"{'&' if '?' in path else '?'}dry_run=1"
        headers = dict(self.headers)
        if self.operation == "study_complete":
            data = json.dumps(self.body).encode()
            signed = signed_headers(
                data, event_id=self.body["id"], secret=secret, timestamp=int(timezone.now().timestamp())
            )
            return Caller().call(self.method, path, data, headers={**signed})
        if self.operation == "turned_away":
            data = json.dumps(self.body).encode()
            return Caller().call(self.method, path, data, headers={**sign(secret, self.method, path, data)})
        return ris.call(self.method, path, self.body, headers=headers)


def _nobody() -> dict[str, Any]:
    body = entry(PatientID="P-2002", PatientName="Yamada^Tarou", PatientBirthDate="19600101")
    del body["AccessionNumber"]
    return body


def _called() -> dict[str, Any]:
    return {
        "ae_title": "CT9", "address": "192.0.2.9", "at": timezone.now().isoformat(), "because": "unknown",
        "attempts": 3, "served": True,
    }  # fmt: skip


_P1001, _P2002 = {"PatientID": "P-1001"}, {"PatientID": "P-2002"}

WRITES: list[Callable[[], Write]] = [
    lambda: Write("make_entry", "POST", WORKLIST, _nobody(), 201),
    lambda: Write("make_entry", "POST", WORKLIST, entry(), 200),
    lambda: Write("make_entry", "POST", WORKLIST, entry(RequestedProcedureDescription="another"), 409),
    lambda: Write("make_entry", "POST", WORKLIST, {**_nobody(), STEPS: []}, 422),
    lambda: Write("make_entry", "POST", WORKLIST, [], 422),
    lambda: Write("put_entry", "PUT", "/api/worklist/A-6000", {**_nobody(), "AccessionNumber": "A-6000"}, 201),
    lambda: Write("put_entry", "PUT", ENTRY, entry(RequestedProcedureDescription="another"), 200),
    lambda: Write("put_entry", "PUT", f"{ENTRY}?update_patient=1", entry(PatientName="Other^Name"), 200),
    lambda: Write("put_entry", "PUT", ENTRY, entry(PatientName="Other^Name"), 409),
    lambda: Write("put_entry", "PUT", ENTRY, entry(), 412, {"If-None-Match": "*"}),
    lambda: Write("change_entry", "PATCH", ENTRY, {STEPS: [{"ScheduledProcedureStepStatus": "ARRIVED"}]}, 200),
    lambda: Write("change_entry", "PATCH", ENTRY, {"AdmissionID": "x" * 65}, 422),
    lambda: Write("change_entry", "PATCH", "/api/worklist/A-404", {"AdmissionID": "1"}, 404),
    lambda: Write("change_entry", "PATCH", ENTRY, {"AdmissionID": "1"}, 412, {"If-Match": '"0"'}),
    lambda: Write("change_entry", "PATCH", ENTRY, "<", 400),
    lambda: Write("change_entry", "PATCH", ENTRY, "x", 415, {"Content-Type": "text/plain"}),
    lambda: Write("cancel_entry", "DELETE", f"{ENTRY}?reason=double+order", None, 200),
    lambda: Write("cancel_entry", "DELETE", f"{ENTRY}?step=S-404", None, 404),
    lambda: Write("put_patient", "PUT", "/api/patients/P-2002", {"PatientName": "Yamada^Tarou"}, 201),
    lambda: Write("put_patient", "PUT", "/api/patients/P-1001", {"PatientName": "Yamada^Tarou"}, 409),
    lambda: Write("merge_patient_records", "POST", "/api/patient-merges", {"kept": _P1001, "merged": _P1001}, 422),
    lambda: Write("change_patient_id", "POST", "/api/patient-id-changes", {"patient": _P1001, "to": _P2002}, 200),
    lambda: Write(
        "identify_patient",
        "POST",
        "/api/patient-identifications",
        {"temporary": _P1001, "patient": {**_P2002, "PatientName": "Yamada^Tarou"}},
        200,
    ),
    lambda: Write(
        "move_order", "POST", "/api/order-moves", {"AccessionNumber": "A-5001", "from": _P1001, "to": _P2002}, 404
    ),
    lambda: Write("study_complete", "POST", "/api/notices/study-complete", notice(), 200),
    lambda: Write("study_complete", "POST", "/api/notices/study-complete", notice(event="x"), 422),
    lambda: Write("turned_away", "POST", "/api/receiver/turned-away", {"callers": [_called()]}, 204),
    lambda: Write("turned_away", "POST", "/api/receiver/turned-away", {"callers": 1}, 400),
]


def without_what_is_made(answer: Any) -> Any:
    """Return an answer's body without identifiers that are made anew each time."""
    if not answer.content:
        return None
    body = answer.json()
    if isinstance(body, dict):
        for name in ("StudyInstanceUID", "AccessionNumber", "RequestedProcedureID"):
            body.pop(name, None)
    return body


def test_every_writing_operation_is_tried() -> None:
    writing = {
        operation.operation_id
        for _, router in api._routers
        for view in router.path_operations.values()
        for operation in view.operations
        if set(operation.methods) - {"GET", "HEAD"}
    }
    assert {make().operation for make in WRITES} == writing


@pytest.mark.parametrize("make", WRITES, ids=lambda make: f"{make().operation}-{make().status}")
def test_a_rehearsal_answers_as_the_deed_does_and_changes_nothing(
    ris: Caller, secret: str, make: Callable[[], Write], django_capture_on_commit_callbacks: Any
) -> None:
    ris.post(WORKLIST, entry())
    write = make()
    before = digest()
    with django_capture_on_commit_callbacks() as promised:
        rehearsed = write.send(ris, dry_run=True, secret=secret)
    assert digest() == before
    assert promised == []
    assert mail.outbox == []
    assert rehearsed.status_code == write.status, rehearsed.content
    assert "ETag" not in rehearsed.headers
    assert "Location" not in rehearsed.headers
    assert (rehearsed.headers.get(HEADER) == "1") == (rehearsed.status_code < 300)
    done = write.send(ris, dry_run=False, secret=secret)
    assert done.status_code == write.status
    assert HEADER not in done.headers
    assert without_what_is_made(done) == without_what_is_made(rehearsed)


def test_the_digest_sees_each_kind_of_change(ris: Caller) -> None:
    ris.post(WORKLIST, entry())
    for change in (
        lambda: Sequence.take("accession_number"),
        lambda: Patient.objects.update(family_name="Other"),
        lambda: ScheduledProcedureStep.objects.all().delete(),
        lambda: apps.get_model("mwl_admin", "HistoricalRequestedProcedure").objects.all().delete(),
    ):
        before = digest()
        with transaction.atomic():
            change()
            assert digest() != before
            transaction.set_rollback(True)
        assert digest() == before


def test_no_number_is_spent_by_rehearsals(ris: Caller) -> None:
    for _ in range(3):
        would = ris.post(f"{WORKLIST}?dry_run=true", _nobody()).json()
    made = ris.post(WORKLIST, _nobody()).json()
    for name in ("AccessionNumber", "RequestedProcedureID"):
        assert made[name] == would[name]
    assert made[STEPS] == would[STEPS]
    assert RequestedProcedure.objects.count() == 1


@pytest.mark.parametrize("value", ["maybe", "2", ""])
def test_what_says_neither_yes_nor_no_is_refused_and_not_taken_for_no(ris: Caller, value: str) -> None:
    assert ris.post(f"{WORKLIST}?dry_run={value}", entry()).status_code == 400
    assert not RequestedProcedure.objects.exists()

"""Who changed what, and why: people, modalities, other systems, the image receiver."""

import io
import json
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.db.models import Model
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from mwl_admin.entries.cancelling import cancel
from mwl_admin.entries.entries import store
from mwl_admin.entries.entry import Mode
from mwl_admin.entries.jsonform import entry_from_json
from mwl_admin.images import arrivals
from mwl_admin.models import Patient, RequestedProcedure, ScheduledProcedureStep
from mwl_admin.models.base import history_reason
from mwl_admin.mpps import operations
from tests.api.bodies import entry
from tests.factory import make_patient, make_requested, make_station, make_step
from tests.mpps.scu import creation, final
from tests.site.markup import markup

pytestmark = pytest.mark.django_db

TABLE = "Accession number,Patient ID,Family name,Date,Time,Modality\nA-1,P-1,Doe,2026-05-04,10:30,CT\n"


def told(record: Any) -> list[tuple[str, str]]:
    """Who made each version of a record and why, the latest first."""
    versions = record.history.select_related("history_user")
    return [(str(version.history_user or ""), version.history_change_reason or "") for version in versions]


def history_page(client: Client, record: Model) -> str:
    name = f"admin:mwl_admin_{record._meta.model_name}_history"
    response = client.get(reverse(name, args=[record.pk]))
    assert response.status_code == 200
    return markup(response)


def test_a_merge_is_in_the_history_of_all_that_it_changed(manager: Client) -> None:
    kept = make_patient()
    other = make_patient(patient_id="P-2", family_name="Mueller")
    moved = make_requested(other)
    values = {"other": other.pk, "kept_version": kept.version, "other_version": other.version, "entries": 1}
    assert manager.post(reverse("merge_patients", args=[kept.pk]), values).status_code == 302
    assert told(kept)[0] == ("manager", "merge: took in patient ID P-2")
    assert told(moved)[0] == ("manager", "merge: was of patient ID P-2")
    gone = Patient.history.filter(patient_id="P-2").first()
    assert (gone.history_type, str(gone.history_user), gone.history_change_reason) == (
        "-",
        "manager",
        "merge: now patient ID P-1001",
    )
    assert "merge: took in patient ID P-2" in history_page(manager, kept)


def test_an_import_on_the_site_names_the_person_and_the_file(desk: Client) -> None:
    upload = SimpleUploadedFile("orders.csv", TABLE.encode())
    address = reverse("admin:mwl_admin_requestedprocedure_import")
    preview: Any = desk.post(address, {"import_file": upload, "format": "0", "resource": "0"})
    confirm = preview.context_data["confirm_form"].initial
    assert desk.post(reverse("admin:mwl_admin_requestedprocedure_process_import"), confirm).status_code == 302
    order = RequestedProcedure.objects.get()
    for record in (order, order.patient, order.scheduled_procedure_steps.get()):
        assert set(told(record)) == {("reception", "import of orders.csv")}


def test_a_nightly_import_says_which_file_it_was(tmp_path: Any, desk: Client) -> None:
    file = tmp_path / "night.csv"
    file.write_text(TABLE)
    call_command("import_worklist", str(file), stdout=io.StringIO())
    step = ScheduledProcedureStep.objects.get()
    assert set(told(step)) == {("", "import of night.csv")}
    page = history_page(desk, step)
    assert "<td>import of night.csv</td>" in page
    assert "None" not in page.partition("change-history")[2].partition("</table>")[0]


def test_what_a_modality_reports_says_which_it_was(desk: Client) -> None:
    step = make_step()
    ds = creation(step)
    operations.create(ds.to_json_dict(), "2.25.1", calling_ae="CT1")
    assert told(step)[0] == ("", "MPPS from CT1")
    operations.modify(final("COMPLETED").to_json_dict(), "2.25.1", calling_ae="CT1")
    assert [reason for _user, reason in told(step)[:2]] == ["MPPS from CT1", "MPPS from CT1"]
    assert history_page(desk, step).count("<td>MPPS from CT1</td>") == 2


def test_what_another_system_sends_says_which_it_was() -> None:
    made = store(entry_from_json(json.loads(json.dumps(entry()))), Mode.CREATE, source="API: ris").requested
    step = made.scheduled_procedure_steps.get()
    assert set(told(step)) == {("", "API: ris")}
    cancel(made.accession_number, source="API: ris", reason="not needed")
    step.refresh_from_db()
    assert (step.status, told(step)[0]) == ("CANCELLED", ("", "API: ris"))


def test_steps_that_end_with_their_images_say_so() -> None:
    station = make_station(completes_with_images=True)
    step = make_step(make_requested(), scheduled_date=timezone.localdate())
    step.stations.add(station)
    now = timezone.now()
    values = {
        "accession_number": step.requested_procedure.accession_number,
        "patient_id": "P-1001",
        "modalities": ["CT"],
        "senders": ["CT1"],
        "first_arrival_at": now - timedelta(minutes=2),
        "last_arrival_at": now,
    }
    arrivals.take(arrivals.Notice("12345678", now, "2.25.7", values))
    step.refresh_from_db()
    assert (step.status, told(step)[0]) == ("COMPLETED", ("", "images received"))


def test_a_person_without_a_reason_and_nobody_at_all_are_both_told(desk: Client) -> None:
    step = make_step()
    desk.post(reverse("change_status", args=[step.pk, "ARRIVED"]))
    page = history_page(desk, step)
    assert "<td>reception</td>" in page
    assert "the system" in page


def test_a_reason_lasts_as_long_as_it_is_said_and_fits_its_column() -> None:
    with history_reason("import of " + "x" * 200), history_reason(""):
        patient = make_patient()
    assert len(told(patient)[0][1]) == 100
    patient.save()
    assert told(patient)[0] == ("", "")

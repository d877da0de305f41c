"""Changes of patients reach the receiver: written with the change, sent in their order until they are taken."""

from __future__ import annotations

import datetime
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client
from django.utils import timezone

from mwl_admin.images import arrivals, change_delivery
from mwl_admin.models import OutgoingChange, Patient, ReceivedStudy
from mwl_admin.patients.merging import merge
from tests.factory import make_patient, make_requested
from tests.images.test_commands import SECRET, Receiver
from tests.pacs_receiver.conftest import StartReceiver, start_receiver
from tests.pacs_receiver.images import encode, image
from tests.pacs_receiver.load import connect, store
from tests.processes import Processes
from tests.waiting import wait_until

__all__ = ["start_receiver"]

WAITING = """
from mwl_admin.models import OutgoingChange
print("waiting:", OutgoingChange.objects.filter(delivered_at=None).count())
"""
CHANGED_AGAIN = """
from mwl_admin.models import Patient
patient = Patient.objects.get()
patient.patient_id = f"P-{int(patient.patient_id[2:]) + 1}"
patient.save()
"""
CHANGED = (
    "from mwl_admin.models import Patient\nPatient.objects.create(patient_id='P-1', family_name='Synthetic')"
    + CHANGED_AGAIN
)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    with Receiver(answer=b'{"studies": 0}').open() as opened:
        opened.hold.set()
        settings.PACS_COMMAND_URL = f"http://127.0.0.1:{opened.port}"
        settings.PACS_NOTIFY_SECRET = SECRET
        yield opened


@pytest.fixture
def anna() -> Patient:
    patient = make_patient(
        patient_id="P-1", family_name="Prüfer", given_name="Anna", patient_birth_date=datetime.date(1970, 1, 1)
    )
    make_requested(patient, accession_number="A1", study_instance_uid="2.25.1")
    return Patient.objects.get()


def rename(patient: Patient, patient_id: str) -> None:
    patient.patient_id = patient_id
    patient.save()


def due_again() -> None:
    OutgoingChange.objects.update(next_attempt_at=timezone.now())


def sent(receiver: Receiver) -> list[tuple[str, str]]:
    return [(body["before"]["id"], body["after"]["id"]) for _, body in receiver.taken]


def test_a_change_is_told_with_both_persons_and_the_orders(receiver: Receiver, anna: Patient, settings: Any) -> None:
    settings.PATIENT_ID_ISSUER = "HOSPITAL"
    rename(anna, "P-2")
    assert change_delivery.deliver() == 1
    ((path, body),) = receiver.taken
    assert path == "/commands/change-patient"
    assert body["id"] == body["change"]
    assert body["kind"] == "updated"
    assert body["before"] == {"id": "P-1", "issuer": "", "name": "Prüfer^Anna", "birth_date": "19700101", "sex": ""}
    assert body["after"]["id"] == "P-2"
    assert {*body["issuers"]} == {"", "HOSPITAL"}
    assert body["studies"] == ["2.25.1"]
    assert change_delivery.deliver() == 0


def test_a_merge_is_told_with_the_studies_that_moved(receiver: Receiver, anna: Patient) -> None:
    kept = make_patient(patient_id="P-9", family_name="Prüfer", given_name="Anna")
    merge(kept, anna, seen=(kept.version, anna.version), entries_seen=1)
    change_delivery.deliver()
    merged = next(body for _, body in receiver.taken if body["kind"] == "merged")
    assert (merged["before"]["id"], merged["after"]["id"], merged["studies"]) == ("P-1", "P-9", ["2.25.1"])


def test_what_is_undone_is_not_told(receiver: Receiver, anna: Patient) -> None:
    with transaction.atomic():
        rename(anna, "P-2")
        assert OutgoingChange.objects.count() == 1
        transaction.set_rollback(True)
    assert OutgoingChange.objects.count() == 0
    assert change_delivery.deliver() == 0


@pytest.mark.parametrize("status", [403, 404, 500, 503])
def test_changes_wait_for_the_receiver_and_arrive_in_their_order(
    receiver: Receiver, anna: Patient, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    rename(anna, "P-2")
    rename(anna, "P-3")
    receiver.status, receiver.answer = status, b'{"title": "not now"}'
    assert change_delivery.deliver() == 0
    due_again()
    assert change_delivery.deliver() == 0
    assert sent(receiver) == [("P-1", "P-2")] * 2, "the second never overtakes the first"
    receiver.status, receiver.answer = 200, b'{"studies": 1}'
    assert change_delivery.deliver() == 0, "not before it is due"
    due_again()
    assert change_delivery.deliver() == 2
    assert sent(receiver)[2:] == [("P-1", "P-2"), ("P-2", "P-3")]
    assert len({body["id"] for _, body in receiver.taken}) == 2, "a repeat keeps its ID"
    assert [record.levelno for record in caplog.records].count(logging.WARNING) == 1
    assert not any(name in caplog.text for name in ("P-1", "P-2", "Anna", "1970"))


def test_a_change_that_is_refused_for_good_stays_on_record_and_stops_nothing(
    receiver: Receiver, anna: Patient, caplog: pytest.LogCaptureFixture
) -> None:
    rename(anna, "P-2")
    receiver.status, receiver.answer = 400, b'{"title": "The body is no change of a patient."}'
    change_delivery.deliver()
    assert OutgoingChange.objects.get().refused == "The body is no change of a patient."
    assert "refuses a change" in caplog.text
    receiver.status, receiver.answer = 200, b"{}"
    rename(anna, "P-3")
    assert change_delivery.deliver() == 1


def test_today_says_that_changes_do_not_reach_the_receiver(receiver: Receiver, anna: Patient, settings: Any) -> None:
    desk = Client()
    desk.force_login(User.objects.create_superuser("anna"))
    told = "has not reached the image receiver"
    receiver.status = 503
    rename(anna, "P-2")
    change_delivery.deliver()
    assert told not in desk.get("/today/").content.decode(), "a moment is nothing to tell"
    OutgoingChange.objects.update(created_at=timezone.now() - datetime.timedelta(minutes=11))
    assert told in desk.get("/today/").content.decode()
    OutgoingChange.objects.update(refused="never")
    assert told in desk.get("/today/").content.decode()
    OutgoingChange.objects.update(refused="", delivered_at=timezone.now())
    assert told not in desk.get("/today/").content.decode()
    OutgoingChange.objects.update(delivered_at=None)
    settings.PACS_COMMAND_URL = ""
    assert told not in desk.get("/today/").content.decode(), "a site without a receiver waits for none"


def test_of_two_processes_one_delivers(receiver: Receiver, anna: Patient) -> None:
    rename(anna, "P-2")
    rename(anna, "P-3")
    first, second = change_delivery._claim(), change_delivery._claim()
    assert first is not None
    assert second is None, "the second change waits for the first"
    OutgoingChange.objects.update(claimed_until=timezone.now() - datetime.timedelta(seconds=1))
    assert change_delivery.deliver() == 2, "what a killed process had claimed is delivered by another"


def test_delivered_changes_are_forgotten_and_waiting_ones_are_not(receiver: Receiver, anna: Patient) -> None:
    rename(anna, "P-2")
    change_delivery.deliver()
    receiver.status = 503
    rename(anna, "P-3")
    later = timezone.now() + change_delivery.KEEP + datetime.timedelta(days=1)
    assert change_delivery.prune(later) == 1
    assert OutgoingChange.objects.get().delivered_at is None


def test_the_site_says_under_whom_images_are_stored(anna: Patient) -> None:
    at = "2026-11-24T10:00:00Z"
    body = {
        "id": "0f2c8a44-0000-4000-8000-000000000001",
        "event": "study.complete",
        "at": at,
        "study": {"uid": "2.25.1", "accession_number": "A1", "modalities": ["CT"], "series": 1, "instances": 3,
                  "first_arrival": at, "last_arrival": at},
        "patient": {"id": "P-1", "name": "Prüfer^Anna", "birth_date": "19700101"},
        "original_patient": {"id": "TEMP-1", "name": "Unknown^Woman", "birth_date": ""},
        "senders": [],
    }  # fmt: skip
    arrivals.take(arrivals.read(as_sent(body)))
    study = ReceivedStudy.objects.get()
    assert study.stored_under == "Unknown, Woman (TEMP-1)"
    assert not ReceivedStudy.objects.mixed_up().exists(), "the patient of today is the entry's"
    del body["original_patient"]
    arrivals.take(arrivals.read(as_sent({**body, "id": "0f2c8a44-0000-4000-8000-000000000002"})))
    assert ReceivedStudy.objects.get().stored_under == ""


def as_sent(content: dict[str, Any]) -> bytes:
    return json.dumps(content).encode()


def test_a_change_reaches_images_that_a_real_receiver_stored_before_and_stores_later(
    start_receiver: StartReceiver, anna: Patient, settings: Any
) -> None:
    receiver = start_receiver(PACS_NOTIFY_SECRET=SECRET)
    settings.PACS_COMMAND_URL = f"http://127.0.0.1:{receiver.command_port}"
    settings.PACS_NOTIFY_SECRET = SECRET

    def keep() -> None:
        ds = image()
        with connect(receiver.port, "CT1") as peer:
            assert store(peer, str(ds.SOPInstanceUID), encode(ds)) == 0
            peer.release()

    keep()
    receiver.kill()
    rename(anna, "P-2")
    assert change_delivery.deliver() == 0
    receiver.start()
    due_again()
    assert change_delivery.deliver() == 1
    keep()
    wait_until(
        lambda: [(row["patient_id"], row["original_patient_id"]) for row in receiver.listed()] == [("P-2", "P-1")] * 2,
        what="both studies follow",
    )


def test_the_real_site_delivers_what_another_program_changed_and_writes_the_downtime_list(tmp_path: Path) -> None:
    with Receiver(answer=b'{"studies": 0}').open() as receiver:
        receiver.hold.set()
        site = Processes(
            tmp_path,
            {
                "PACS_COMMAND_URL": f"http://127.0.0.1:{receiver.port}",
                "PACS_NOTIFY_SECRET": SECRET,
                "WEB_WORKERS": "2",
                "DOWNTIME_LIST_DIR": str(tmp_path / "lists"),
            },
        )
        site.data_dir.mkdir()
        site.prepare()
        site.manage("shell", "-c", CHANGED)
        try:
            site.mwl_admin.start()
            wait_until(lambda: bool(receiver.taken), what="the change is delivered")
            lists = tmp_path / "lists"
            wait_until(lambda: any(lists.glob("worklist-*.html")), what="the list for a downtime is written")
            # What was sent and not yet noted would be claimed by the process that is killed, for some minutes.
            wait_until(lambda: "waiting: 0" in site.manage("shell", "-c", WAITING), timeout=60, what="it is noted")
            site.mwl_admin.kill()
            site.manage("shell", "-c", CHANGED_AGAIN)
            site.mwl_admin.start()
            wait_until(lambda: len(receiver.taken) == 2, what="the next one is delivered after a restart")
        finally:
            site.stop()
        assert sent(receiver) == [("P-1", "P-2"), ("P-2", "P-3")]
        assert not any(name in site.mwl_admin.log_text() for name in ("P-1", "P-2", "P-3", "Synthetic"))

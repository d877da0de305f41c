"""Each page with a list takes the same number of database queries, however long the list is."""

from collections.abc import Callable
from datetime import time, timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from mwl_admin.models import PatientRead, PerformedProcedureStep, ReceivedStudy, StudyNotice, WorklistDelivery
from tests.factory import make_patient, make_requested, make_station, make_step
from tests.site.test_stations import make_query

pytestmark = pytest.mark.django_db


def add(first: int, count: int) -> None:
    """Add patients, each with an entry, its step at a station, and all that was reported, asked and sent for it."""
    now = timezone.now()
    for number in range(first, first + count):
        station = make_station(f"CT{number}")
        patient = make_patient(patient_id=f"P-{number}", family_name=f"Doe{number}", given_name="Jane")
        entry = make_requested(patient, accession_number=f"ACC-{number}", requested_procedure_description="CT")
        step = make_step(entry, scheduled_date=timezone.localdate(), scheduled_time=time(10, number % 60))
        step.stations.add(station)
        performed = PerformedProcedureStep.objects.create(
            sop_instance_uid=f"1.2.3.{number}", performed_procedure_step_status="COMPLETED", patient_id=f"P-{number}"
        )
        performed.scheduled_procedure_steps.add(step)
        query = make_query(f"CT{number}", matches=1)
        WorklistDelivery.objects.create(
            query=query, step=step, station_ae_title=f"CT{number}", delivered_at=now - timedelta(minutes=5)
        )
        study = ReceivedStudy.objects.create(
            study_instance_uid=f"1.2.4.{number}",
            requested_procedure=entry,
            patient_id=f"P-{number}",
            senders=[f"CT{number}"],
            **dict.fromkeys(("first_arrival_at", "last_arrival_at", "announced_at"), now),
        )
        StudyNotice.objects.create(event_id=f"{number:08d}", study=study, announced_at=now)
        PatientRead.objects.create(user_name="anna", page="today", patient_identifiers=f"P-{number}")


def changelist(model: str) -> str:
    return reverse(f"admin:mwl_admin_{model}_changelist")


LISTS = (
    "patient",
    "requestedprocedure",
    "scheduledprocedurestep",
    "performedprocedurestep",
    "receivedstudy",
    "studynotice",
    "worklistquery",
    "worklistdelivery",
    "patientread",
    "station",
    "procedure",
    "protocolcode",
)
PAGES: dict[str, Callable[[], str]] = {
    **{model: (lambda model=model: changelist(model)) for model in LISTS},  # type: ignore[misc]
    "patients found": lambda: changelist("patient") + "?q=doe",
    "entries found": lambda: changelist("requestedprocedure") + "?q=doe",
    "steps found": lambda: changelist("scheduledprocedurestep") + "?q=doe",
    "examinations found": lambda: changelist("performedprocedurestep") + "?q=P-",
    "queries found": lambda: changelist("worklistquery") + "?q=CT",
    "today": lambda: reverse("today"),
    "found on the day": lambda: reverse("today") + "?q=doe",
    "found on other days": lambda: reverse("today") + "?q=doe&day=2020-01-01",
    "stations": lambda: reverse("stations"),
    "typed into a search field": lambda: (
        reverse("admin:autocomplete") + "?app_label=mwl_admin&model_name=requestedprocedure&field_name=patient&term=doe"
    ),
    "probable duplicates": lambda: reverse("similar_patients") + "?family_name=Doe1&given_name=Jane",
    "to be merged": lambda: reverse("merge_patients", args=[first_patient()]) + "?q=doe",
}


def first_patient() -> int:
    from mwl_admin.models import Patient

    found = Patient.objects.order_by("pk").values_list("pk", flat=True).first()
    assert found is not None
    return found


def queries(client: Client, address: str) -> int:
    client.get(address)  # what is asked once only
    with CaptureQueriesContext(connection) as captured:
        assert client.get(address).status_code == 200
    return len(captured)


@pytest.mark.parametrize("noted", [False, True], ids=["", "reads noted"])
def test_no_list_asks_the_database_more_often_for_more_rows(
    admin_client: Client, settings: object, noted: bool
) -> None:
    settings.RECORD_PATIENT_READS = noted  # type: ignore[attr-defined]
    add(1, 3)
    few = {name: queries(admin_client, address()) for name, address in PAGES.items()}
    add(4, 12)
    many = {name: queries(admin_client, address()) for name, address in PAGES.items()}
    more = {name: (few[name], count) for name, count in many.items() if count > few[name]}
    assert not more
    assert max(many.values()) < 25, many

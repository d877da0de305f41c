"""A department in the middle of a day, all of it invented: for screenshots, and for tests that look at whole pages.

``python -m tests.site.demo`` fills the database that the environment names.
"""

from __future__ import annotations

import datetime
import os
from typing import Any

NAMES = (
    ("Müller", "Änne", "F", "1950-07-01"),
    ("Doe", "John", "M", "1971-02-28"),
    ("Yamada", "Tarou", "M", "1988-11-30"),
    ("Okafor", "Chidi", "M", "1965-03-12"),
    ("Novák", "Eliška", "F", "1992-08-19"),
    ("Silva", "Beatriz", "F", "1979-12-05"),
    ("Kowalski", "Piotr", "M", "1958-01-23"),
    ("Dubois", "Amélie", "F", "2001-04-17"),
    ("Haddad", "Samir", "M", "1983-09-09"),
    ("Jensen", "Freja", "F", "1947-06-02"),
    ("Rossi", "Luca", "M", "1969-10-11"),
    ("Patel", "Asha", "F", "1996-05-29"),
    ("Nguyen", "Linh", "F", "1974-02-14"),
    ("Svensson", "Åke", "M", "1939-11-03"),
    ("Papadopoulos", "Eleni", "F", "1962-07-27"),
    ("Öztürk", "Deniz", "M", "2008-12-31"),
    ("Byrne", "Aoife", "F", "1986-03-08"),
    ("Meyer", "Hans", "M", "1955-05-05"),
    ("Maier", "Hans", "M", "1955-05-05"),
    ("Garcia", "Lucía", "F", "1990-01-15"),
)
STATIONS = (
    ("CT1", "CT room 1", "CT", "Ground floor"),
    ("CT2", "CT room 2", "CT", "Ground floor"),
    ("MR1", "MR room 1", "MR", "Basement"),
    ("US1", "Ultrasound 1", "US", "First floor"),
    ("DX1", "X-ray 1", "DX", "Ground floor"),
)
PROCEDURES = (
    ("CT thorax", "CT", 15, "CT1"),
    ("CT abdomen with contrast", "CT", 20, "CT1"),
    ("CT head", "CT", 10, "CT2"),
    ("MR knee left", "MR", 30, "MR1"),
    ("MR brain", "MR", 40, "MR1"),
    ("Ultrasound abdomen", "US", 20, "US1"),
    ("Chest X-ray", "DX", 10, "DX1"),
)


def fill(now: datetime.datetime) -> None:
    """Make stations, catalogue, patients, the day of ``now`` (the department's wall clock), and what modalities did."""
    from django.utils import timezone

    from mwl_admin.models import Patient, Procedure, Station, WorklistDelivery, WorklistQuery

    stations = {
        title: Station.objects.create(
            ae_title=title,
            station_name=name,
            modality=modality,
            location=location,
            last_echo_at=timezone.now() - datetime.timedelta(minutes=37),
        )
        for title, name, modality, location in STATIONS
    }
    Station.objects.filter(ae_title="DX1").update(response_character_set="ISO_IR 100")
    procedures = [
        Procedure.objects.create(name=name, modality=modality, usual_minutes=minutes, usual_station=stations[station])
        for name, modality, minutes, station in PROCEDURES
    ]
    patients = [
        Patient.objects.create(
            patient_id=f"P-{1001 + number}",
            family_name=family,
            given_name=given,
            patient_sex=sex,
            patient_birth_date=datetime.date.fromisoformat(born),
        )
        for number, (family, given, sex, born) in enumerate(NAMES)
    ]
    steps = [
        _step(patient, procedures[number % len(procedures)], now, number)
        for number, patient in enumerate(patients[:18])
    ]
    for title, minutes, keys in (
        ("CT1", 4, _keys("CT", "CT1", now.date())),
        ("MR1", 11, _keys("MR", "MR1", now.date())),
        ("CT2", 26, _keys("CT", "CT2", now.date() - datetime.timedelta(days=1))),
        ("NEWSCANNER", 52, _keys("CT", "NEWSCANNER", now.date())),
    ):
        moment = timezone.now() - datetime.timedelta(minutes=minutes)
        found = [step for step in steps if title in {station.ae_title for station in step.stations.all()}]
        found = found if title != "CT2" else []
        query = WorklistQuery.objects.create(
            received_at=moment,
            calling_ae_title=title,
            called_ae_title="MWL_SCP",
            address="192.0.2.17",
            keys=keys,
            matches=len(found),
            milliseconds=2.4,
            status=0,
        )
        Station.objects.filter(ae_title=title).update(last_query_at=moment)
        WorklistDelivery.objects.bulk_create(
            WorklistDelivery(query=query, step=step, station_ae_title=title, delivered_at=moment) for step in found
        )
    _performed(now, steps[0])
    _images(steps)


def _step(patient: Any, procedure: Any, now: datetime.datetime, number: int) -> Any:
    from mwl_admin.models import RequestedProcedure, ScheduledProcedureStep, StepStatus

    entry = RequestedProcedure.objects.create(
        patient=patient,
        procedure=procedure,
        requested_procedure_description=procedure.name,
        requested_procedure_priority="STAT" if number == 4 else "ROUTINE",
        referring_physician_name="House^Gregory",
    )
    start = (now - datetime.timedelta(hours=3)).replace(minute=0, second=0, microsecond=0)
    start += datetime.timedelta(minutes=20 * number)
    if start.date() != now.date():
        start = now.replace(hour=12 if start < now else 23, minute=number, second=0, microsecond=0)
    step = ScheduledProcedureStep.objects.create(
        requested_procedure=entry,
        modality=procedure.modality,
        scheduled_procedure_step_description=procedure.name,
        scheduled_date=now.date(),
        scheduled_time=start.time(),
    )
    if number % 6 != 5:
        step.stations.add(procedure.usual_station)
    path = {
        0: ("ARRIVED", "READY", "STARTED"),
        1: ("STARTED", "COMPLETED"),
        2: ("STARTED", "COMPLETED"),
        3: ("ARRIVED", "READY"),
        4: ("ARRIVED",),
        6: ("STARTED",),
        7: ("CANCELLED",),
        8: ("STARTED", "COMPLETED"),
        9: ("ARRIVED",),
    }
    for status in path.get(number, ()):
        step.transition(StepStatus(status))
    if number == 7:
        ScheduledProcedureStep.objects.filter(pk=step.pk).update(status_reason="Patient did not come")
    return step


def _keys(modality: str, title: str, day: datetime.date) -> dict[str, Any]:
    from mwl_admin.models import Station
    from mwl_admin.site.pages.stations import usual_keys

    return usual_keys(Station(ae_title=title, modality=modality), day)


def _performed(now: datetime.datetime, step: Any) -> None:
    from mwl_admin.models import PerformedProcedureStep, Station

    for uid, name, known in (("2.25.901", "Müller^Änne", True), ("2.25.902", "Trauma^Unknown", False)):
        performed = PerformedProcedureStep.objects.create(
            sop_instance_uid=uid,
            performed_procedure_step_status="IN PROGRESS" if known else "COMPLETED",
            performed_procedure_step_id=f"PPS-{uid[-1]}",
            performed_station_ae_title="CT1",
            calling_ae_title="CT1",
            modality="CT",
            patient_id="P-1001" if known else "EMERGENCY-7",
            patient_name=name,
            performed_start_date=now.date(),
            performed_start_time=now.time().replace(microsecond=0),
            series_count=2,
            instance_count=180,
        )
        if known:
            performed.scheduled_procedure_steps.add(step)
    Station.objects.filter(ae_title="CT1").update(last_mpps_at=performed.created_at)


def _images(steps: list[Any]) -> None:
    """Tell, as the image receiver does, of what arrived: three as they should be, one mixed up, one of nobody."""
    from mwl_admin.images.arrivals import Notice, folded, take

    def arrived(number: int, minutes: int, images: int, **values: Any) -> None:
        from django.utils import timezone

        step = steps[number]
        entry = step.requested_procedure
        name = values.get("patient_name", entry.patient.patient_name)
        moment = timezone.now() - datetime.timedelta(minutes=minutes)
        told = {
            "accession_number": entry.accession_number,
            "patient_id": entry.patient.patient_id,
            "patient_name": name,
            "name_folded": folded(name),
            "modalities": [step.modality],
            "senders": [station.ae_title for station in step.stations.all()] or [step.modality + "1"],
            "series_count": 3,
            "instance_count": images,
            "first_arrival_at": moment - datetime.timedelta(minutes=4),
            "last_arrival_at": moment,
            **values,
        }
        uid = values.pop("uid", entry.study_instance_uid)
        take(Notice(f"{number:08d}-{images:04d}", moment, uid, {k: v for k, v in told.items() if k != "uid"}))

    arrived(0, 9, 212)
    arrived(1, 95, 180)
    arrived(2, 80, 64)
    arrived(8, 30, 352, patient_id="P-1004", patient_name="Okafor^Chidi")
    stray = {"accession_number": "", "patient_id": "EMERGENCY-7", "patient_name": "Trauma^Unknown"}
    arrived(1, 20, 88, uid="2.25.903", **stray)


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mwl_admin.settings")
    import django

    django.setup()
    from django.utils import timezone

    fill(timezone.localtime().replace(tzinfo=None))

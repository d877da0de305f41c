"""A department that does not exist: catalogue, stations, and a day of patients, all of them invented.

Every patient ID begins with SYN, so that nobody takes these for people, and they can be told from others.
"""

from __future__ import annotations

import datetime
import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db import transaction

from mwl_admin.entries import making
from mwl_admin.models import Patient, Procedure, ProtocolCode, RequestedProcedure, ScheduledProcedureStep, Station
from mwl_admin.models.requested import Priority
from simulator.examination import SYNTHETIC_PREFIX

SCHEME = "99SYN"

STATIONS = {
    "CT1": ("CT", "CT room", "Ground floor"),
    "MR1": ("MR", "MR room", "Basement"),
    "US1": ("US", "Ultrasound 1", "First floor"),
    "US2": ("US", "Ultrasound 2", "First floor"),
    "DX1": ("DX", "X-ray room", "Ground floor"),
    "MG1": ("MG", "Mammography", "First floor"),
}
"""AE title to modality, name and location."""

CATALOGUE = (
    ("CT", "CT head", 10, ("Head without contrast",)),
    ("CT", "CT thorax with contrast", 15, ("Thorax, portal venous phase",)),
    ("CT", "CT abdomen and pelvis with contrast", 20, ("Abdomen, portal venous phase",)),
    ("CT", "CT pulmonary angiography", 15, ("Pulmonary angiography",)),
    ("MR", "MR brain", 30, ("Brain routine",)),
    ("MR", "MR knee", 25, ("Knee routine",)),
    ("MR", "MR lumbar spine", 30, ("Lumbar spine routine",)),
    ("US", "US abdomen", 20, ("Abdomen",)),
    ("US", "US thyroid", 15, ("Thyroid",)),
    ("US", "US leg veins", 20, ("Deep veins",)),
    ("DX", "X-ray chest, two views", 5, ("Chest PA and lateral",)),
    ("DX", "X-ray hand", 5, ("Hand, two views",)),
    ("MG", "Screening mammography, both sides", 10, ("Screening, four views",)),
)
"""Modality, name, minutes, protocols."""

_FAMILY = (
    "Adams", "Müller", "Nowák", "O'Brien", "García", "Dubois", "Rossi", "Jansen", "Åkesson", "Kowalczyk", "Öztürk",
    "Fernandes", "Novotná", "Brown", "Schäfer", "Lefèvre", "Hughes", "Þórsdóttir", "Walker", "Iliescu", "Patel",
    "Haddad", "Smith",
)  # fmt: skip
_GIVEN = {
    "F": ("Anna", "Zoë", "Beatrice", "Chloé", "Dana", "Ewa", "Frieda", "Grace", "Hélène", "Ines", "Joan", "Katja"),
    "M": ("Adam", "Björn", "Carlos", "David", "Émile", "Frank", "George", "Hüseyin", "Ian", "José", "Karl", "Luis"),
}
_OTHER_SCRIPTS = (
    ("Yamada", "Tarou", "M", "山田^太郎", "やまだ^たろう"),
    ("Hong", "Gildong", "M", "洪^吉洞", "홍^길동"),
    ("Wang", "Xiaodong", "F", "王^小东", ""),
)
_REFERRING = ("Referrer^Rita^^Dr", "Physician^Paul^^Dr", "Surgeon^Sven^^Prof")
_PERFORMING = {"CT": "Radiologist^Rosa", "MR": "Radiologist^Ron", "US": "Sonographer^Sara"}
_REASONS = ("Follow-up", "Pain for two weeks", "Staging", "Trauma", "Before surgery", "Screening")


@dataclass(frozen=True, slots=True)
class Made:
    """How much there is now: stations and procedures in all, and the entries that were added."""

    stations: int
    procedures: int
    entries: int


def make_day(day: datetime.date, ae_titles: Iterable[str], entries: int, *, seed: int = 1) -> Made:
    """Fill a day of these stations with about as many entries as asked for; what is there already stays."""
    chance = random.Random(seed)  # noqa: S311 - a timetable, not a secret
    with transaction.atomic():
        stations = [_station(ae_title) for ae_title in ae_titles]
        catalogue = _catalogue({station.modality: station for station in reversed(stations)})
        free = {station.pk: datetime.datetime.combine(day, datetime.time(8)) for station in stations}
        for number in range(entries):
            station = stations[number % len(stations)]
            procedure = chance.choice([one for one in catalogue if one.modality == station.modality])
            start = free[station.pk]
            _entry(chance, station, procedure, start)
            gap = chance.choice((0, 0, 5, 10))
            free[station.pk] = min(
                start + datetime.timedelta(minutes=procedure.usual_minutes + gap),
                datetime.datetime.combine(day, datetime.time(23, 50)),
            )
    return Made(len(stations), len(catalogue), entries)


def _station(ae_title: str) -> Station:
    modality, name, location = STATIONS[ae_title]
    station, _ = Station.objects.get_or_create(
        ae_title=ae_title, defaults={"modality": modality, "station_name": name, "location": location}
    )
    return station


def _catalogue(usual: dict[str, Station]) -> list[Procedure]:
    made = []
    for number, (modality, name, minutes, protocols) in enumerate(CATALOGUE, start=1):
        code = f"{modality}{number:02d}"
        procedure, new = Procedure.objects.get_or_create(
            name=name,
            defaults={
                "modality": modality,
                "usual_minutes": minutes,
                "usual_station": usual.get(modality),
                "code_value": code,
                "coding_scheme_designator": SCHEME,
                "code_meaning": name,
            },
        )
        if new:
            procedure.protocol_codes.set(
                ProtocolCode.objects.get_or_create(
                    code_value=f"{code}P{index}",
                    coding_scheme_designator=SCHEME,
                    defaults={"code_meaning": protocol},
                )[0]
                for index, protocol in enumerate(protocols, start=1)
            )
        made.append(procedure)
    return made


def _entry(chance: random.Random, station: Station, procedure: Procedure, start: datetime.datetime) -> None:
    requested = RequestedProcedure(
        patient=_patient(chance),
        procedure=procedure,
        referring_physician_name=chance.choice(_REFERRING),
        requesting_physician=chance.choice(_REFERRING),
        reason_for_the_requested_procedure=chance.choice(_REASONS),
        requested_procedure_priority=chance.choices(
            (Priority.ROUTINE, Priority.HIGH, Priority.STAT), weights=(8, 2, 1)
        )[0],
    )
    making.fill_order(requested)
    requested.save()
    step = ScheduledProcedureStep(
        requested_procedure=requested,
        scheduled_date=start.date(),
        scheduled_time=start.time(),
        scheduled_performing_physician_name=_PERFORMING.get(station.modality, ""),
        requested_contrast_agent="Contrast agent, 80 ml" if "with contrast" in procedure.name else "",
    )
    making.fill_step(step, [station])
    making.save_step(step, [station])


def _patient(chance: random.Random) -> Patient:
    number = Patient.objects.filter(patient_id__startswith=SYNTHETIC_PREFIX).count() + 1
    values: dict[str, Any] = {}
    if chance.random() < 0.08:
        family, given, sex, ideographic, phonetic = chance.choice(_OTHER_SCRIPTS)
        values = {"ideographic_name": ideographic, "phonetic_name": phonetic}
    else:
        sex = chance.choice("FM")
        family, given = chance.choice(_FAMILY), chance.choice(_GIVEN[sex])
    born = datetime.date(chance.randrange(1930, 2015), chance.randrange(1, 13), chance.randrange(1, 29))
    if chance.random() < 0.15:
        values["allergies"] = "Iodinated contrast agent"
    return Patient.objects.create(
        patient_id=f"{SYNTHETIC_PREFIX}{number:05d}",
        family_name=family,
        given_name=given,
        patient_sex=sex,
        patient_birth_date=born,
        patient_weight=chance.randrange(45, 110),
        patient_comments="SYNTHETIC: this patient does not exist.",
        **values,
    )


def strangers() -> bool:
    """Whether the worklist holds patients that were not made here."""
    return Patient.objects.exclude(patient_id__startswith=SYNTHETIC_PREFIX).exists()

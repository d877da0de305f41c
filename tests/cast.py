"""A small cast of patients, stations and orders, as plain data. All of them are invented."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date


@dataclass(frozen=True, slots=True)
class Person:
    """A patient; the name as it is typed on the site."""

    patient_id: str
    family_name: str
    given_name: str
    birth_date: date
    sex: str

    @property
    def dicom_name(self) -> str:
        return f"{self.family_name}^{self.given_name}"


@dataclass(frozen=True, slots=True)
class Scanner:
    ae_title: str
    station_name: str
    modality: str


@dataclass(frozen=True, slots=True)
class Order:
    """One entry of the worklist: who, where, when, by whom. ``time`` is `HH:MM`."""

    patient: Person
    scanner: Scanner
    day: date
    time: str
    accession_number: str
    requested_procedure_id: str
    study_instance_uid: str
    performing_physician: str
    description: str
    extra: Mapping[str, str] = field(default_factory=dict)

    def form(self) -> dict[str, str]:
        """Return the fields of the site's page for a new entry, the station left out."""
        return {
            "new_patient_id": self.patient.patient_id,
            "new_family_name": self.patient.family_name,
            "new_given_name": self.patient.given_name,
            "new_patient_birth_date": self.patient.birth_date.isoformat(),
            "new_patient_sex": self.patient.sex,
            "accession_number": self.accession_number,
            "requested_procedure_id": self.requested_procedure_id,
            "requested_procedure_description": self.description,
            "study_instance_uid": self.study_instance_uid,
            "step_scheduled_date": self.day.isoformat(),
            "step_scheduled_time": self.time,
            "step_modality": self.scanner.modality,
            "step_scheduled_performing_physician_name": self.performing_physician,
            "step_scheduled_procedure_step_description": self.description,
            **self.extra,
        }


MUELLER = Person("P-1001", "Müller", "Änne", date(1950, 7, 1), "F")
DOE = Person("P-1002", "Doe", "John", date(1971, 2, 28), "M")
YAMADA = Person("P-1003", "Yamada", "Tarou", date(1988, 11, 30), "M")
BYRON = Person("P-1004", "Byron", "Augusta", date(1962, 12, 10), "F")

CT1 = Scanner("CT1", "CT room 1", "CT")
MR1 = Scanner("MR1", "MR room 1", "MR")

DAY = date(2026, 5, 4)

MUELLER_CT = Order(
    MUELLER, CT1, DAY, "10:30", "A-5001", "RP-5001", "2.25.100001", "House^Gregory", "CT thorax with contrast"
)
DOE_MR = Order(DOE, MR1, DAY, "11:15", "A-5002", "RP-5002", "2.25.100002", "Grey^Meredith", "MR knee left")
YAMADA_CT = Order(
    YAMADA, CT1, date(2026, 6, 1), "08:00", "A-5003", "RP-5003", "2.25.100004", "House^Gregory", "CT abdomen"
)
BYRON_MR = Order(BYRON, MR1, DAY, "12:00", "A-5004", "RP-5004", "2.25.100005", "Grey^Meredith", "MR head")

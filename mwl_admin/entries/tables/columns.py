"""The columns of a file of entries: what each is called, which attribute it is, what stands in it.

One row is one step. Import, export, the template and docs/import.md all follow this table.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from mwl_admin.entries.entry_attributes import COLUMNS as ATTRIBUTE_COLUMNS
from mwl_admin.entries.entry_attributes import PROTOCOLS, STATIONS, STATUS, Level
from mwl_admin.entries.tables import cells

NAME_PARTS = ("Family name", "Given name", "Middle name", "Name prefix", "Name suffix")
CODE_PARTS = ("Code value", "Coding scheme", "Code meaning")
PROCEDURE = "Procedure"
DOWNTIME = ("Done in a downtime from", "Done in a downtime to")
"""What exports tell of a step and imports leave unread: times are entered where they are checked."""


@dataclass(frozen=True, slots=True)
class Heading:
    """A column. ``keyword`` is empty for parts of a name or code and for the catalogue's procedure."""

    name: str
    keyword: str
    read: Callable[[Any], Any]
    example: str = ""
    meaning: str | Promise = ""

    @property
    def is_step(self) -> bool:
        """Whether the column is about the row's own step, and not about the order and its patient."""
        column = ATTRIBUTE_COLUMNS.get(self.keyword)
        return (
            self.name in DOWNTIME
            or self.keyword in {STATIONS, PROTOCOLS, STATUS}
            or (column is not None and column.level is Level.STEP)
        )


HEADINGS = (
    Heading(
        "Accession number", "AccessionNumber", cells.text, "A-5001", _("which entry it is; rows of one entry share it")
    ),
    Heading("Patient ID", "PatientID", cells.text, "P-1001", _("required")),
    Heading("Issuer of patient ID", "IssuerOfPatientID", cells.text, "", _("if not this hospital")),
    Heading("Family name", "", cells.text, "Müller", _("required, unless Patient name is given")),
    Heading("Given name", "", cells.text, "Änne"),
    Heading("Middle name", "", cells.text),
    Heading("Name prefix", "", cells.text, "Dr"),
    Heading("Name suffix", "", cells.text),
    Heading("Patient name", "PatientName", cells.text, "Müller^Änne", _("the whole name instead of its parts")),
    Heading("Birth date", "PatientBirthDate", cells.date, "1950-07-01", _("or as the department writes dates")),
    Heading("Sex", "PatientSex", cells.sex, "F", _("M, F or O")),
    Heading("Size", "PatientSize", cells.text, "1.72", _("in metres")),
    Heading("Weight", "PatientWeight", cells.text, "68", _("in kilograms")),
    Heading("Allergies", "Allergies", cells.several, "Iodine; Latex", _("several separated by semicolons")),
    Heading("Medical alerts", "MedicalAlerts", cells.several, "", _("several separated by semicolons")),
    Heading("Special needs", "SpecialNeeds", cells.text),
    Heading("Pregnancy status", "PregnancyStatus", cells.text, "", _("1 not, 2 possibly, 3 definitely, 4 unknown")),
    Heading("Patient state", "PatientState", cells.text),
    Heading("Patient comments", "PatientComments", cells.text),
    Heading("Confidentiality", "ConfidentialityConstraintOnPatientDataDescription", cells.text),
    Heading("Procedure", "", cells.text, "CT thorax", _("name or code in the catalogue; fills what is left empty")),
    Heading("Description", "RequestedProcedureDescription", cells.text),
    Heading("Code value", "", cells.text, "", _("of the procedure, with scheme and meaning")),
    Heading("Coding scheme", "", cells.text),
    Heading("Code meaning", "", cells.text),
    Heading("Priority", "RequestedProcedurePriority", cells.text, "ROUTINE", _("STAT, HIGH, ROUTINE, MEDIUM or LOW")),
    Heading("Reason", "ReasonForTheRequestedProcedure", cells.text),
    Heading("Referring physician", "ReferringPhysicianName", cells.text, "House^Gregory", _("family^given")),
    Heading("Requesting physician", "RequestingPhysician", cells.text, "", _("family^given")),
    Heading("Admission ID", "AdmissionID", cells.text),
    Heading("Patient location", "CurrentPatientLocation", cells.text),
    Heading("Transport", "PatientTransportArrangements", cells.text),
    Heading("Requested procedure ID", "RequestedProcedureID", cells.text, "", _("made when left empty")),
    Heading("Study Instance UID", "StudyInstanceUID", cells.text, "", _("made when left empty")),
    Heading("Date", "ScheduledProcedureStepStartDate", cells.date, "2026-05-04", _("required for a new step")),
    Heading("Time", "ScheduledProcedureStepStartTime", cells.time, "10:30", _("required for a new step")),
    Heading("Modality", "Modality", cells.text, "CT", _("required, unless procedure or station tell it")),
    Heading("Stations", STATIONS, cells.several, "CT1", _("AE titles, several separated by semicolons; none: any")),
    Heading("Step ID", "ScheduledProcedureStepID", cells.text, "", _("made when left empty")),
    Heading("Step description", "ScheduledProcedureStepDescription", cells.text),
    Heading("Performing physician", "ScheduledPerformingPhysicianName", cells.text, "", _("family^given")),
    Heading("Location", "ScheduledProcedureStepLocation", cells.text),
    Heading("Pre-medication", "PreMedication", cells.text),
    Heading("Contrast agent", "RequestedContrastAgent", cells.text),
    Heading("Comments", "CommentsOnTheScheduledProcedureStep", cells.text),
    *(Heading(name, "", cells.text, "", _("told by exports; an import doesn't read it")) for name in DOWNTIME),
)
BY_NAME = {heading.name: heading for heading in HEADINGS}
BY_KEYWORD = {heading.keyword: heading for heading in HEADINGS if heading.keyword}


def plain(name: str) -> str:
    """Return what two spellings of one heading have in common: `Accession Number` and `accession_number`."""
    apart = unicodedata.normalize("NFKD", name.casefold())
    return re.sub(r"[^a-z0-9]", "", apart)


_BY_PLAIN = {plain(heading.keyword): heading for heading in HEADINGS if heading.keyword} | {
    plain(heading.name): heading for heading in HEADINGS
}


def find(name: str) -> Heading | None:
    """Return the column that a heading in a file names, by our name or by the attribute's keyword."""
    return _BY_PLAIN.get(plain(name))

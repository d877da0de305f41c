"""How far a token reaches: all of the worklist, or what the modality that it belongs to may see and change.

A station's token sees the steps that its profile lets the station see by C-FIND (`worklist/scope.py`): its own, and its
modality's that have no station. Finished steps, which C-FIND hides, are part of an entry and are seen too. What others
have is answered as what does not exist.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from http import HTTPStatus
from operator import and_
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from mwl_admin.api.errors import RequestRefused
from mwl_admin.entries import entry_patients
from mwl_admin.entries.entry import Entry, Mode, StoredEntry
from mwl_admin.entries.entry_attributes import STATIONS
from mwl_admin.entries.problems import ConflictError, Problem, UnknownEntryError
from mwl_admin.models import APIClient, Patient, RequestedProcedure, ScheduledProcedureStep
from mwl_admin.patients import identity
from mwl_admin.worklist import scope
from mwl_admin.worklist.directory import Directory
from mwl_admin.worklist.matching import EVERYTHING, stations_q


@dataclass(frozen=True, slots=True)
class Reach:
    """Conditions on steps: which of them a token may see, and which are its own to change."""

    limited: bool = False
    seen: Q = EVERYTHING
    own: Q = EVERYTHING
    station: int | None = None

    @classmethod
    def of(cls, client: APIClient, address: str) -> Reach:
        """Return the reach of a client that calls from ``address``.

        :raises Refused: 403, when its station is switched off, or is not expected to call from there.
        """
        if client.station_id is None:
            return cls()
        station = next(entry for entry in Directory.read().stations if entry.pk == client.station_id)
        if not station.enabled:
            raise RequestRefused(HTTPStatus.FORBIDDEN, "The station of this token is switched off.")
        if not station.expects(address):
            raise RequestRefused(
                HTTPStatus.FORBIDDEN, "The station of this token is not expected to call from this address."
            )
        now = timezone.localtime(timezone=ZoneInfo(settings.TIME_ZONE)).replace(tzinfo=None)
        conditions = scope.profile(station, settings.WORKLIST_POLICY, now, address)
        return cls(
            True, reduce(and_, (condition.q for condition in conditions), EVERYTHING), stations_q([station]), station.pk
        )

    def steps(self) -> QuerySet[ScheduledProcedureStep]:
        """Return the steps that are seen."""
        return ScheduledProcedureStep.objects.order_by().filter(self.seen)

    def orders(self) -> QuerySet[RequestedProcedure]:
        """Return the entries that are seen: those with a step that is."""
        if not self.limited:
            return RequestedProcedure.objects.all()
        return RequestedProcedure.objects.filter(Exists(self.steps().filter(requested_procedure=OuterRef("pk"))))

    def were_own(self, entries: Iterable[int]) -> set[int]:
        """Return which of these entries once had a step that was planned on the token's station; deleted ones too."""
        stations = "historicalscheduledprocedurestep_stations__station_id"
        versions = ScheduledProcedureStep.history.model.objects.order_by()
        found = versions.filter(**{"requested_procedure_id__in": list(entries), stations: self.station})
        return set(found.values_list("requested_procedure_id", flat=True))

    def patients(self) -> QuerySet[Patient]:
        """Return the patients that are seen: those with an entry that is."""
        if not self.limited:
            return Patient.objects.all()
        return Patient.objects.filter(Exists(self.orders().filter(patient=OuterRef("pk"))))

    # --- changes, within their transaction

    def check_entry(self, entry: Entry, mode: Mode) -> None:
        """Refuse to touch an entry, or the record of a patient, that the token does not see."""
        if not self.limited:
            return
        number = entry.accession_number
        if number and RequestedProcedure.objects.filter(accession_number=number).exists():
            if not self.orders().filter(accession_number=number).exists():
                raise _not_here() if mode is Mode.UPDATE else _taken()
        else:
            self._check_patient(entry)

    def check_correction(self) -> None:
        """Refuse to correct a patient's record: it is everybody's."""
        if self.limited:
            raise RequestRefused(HTTPStatus.FORBIDDEN, "A station's token does not correct patients' records.")

    def check_stored(self, stored: StoredEntry) -> None:
        """Refuse what leaves the entry with a step that is not the token's own."""
        self._check_own(stored.requested.scheduled_procedure_steps.all())

    def check_cancelled(self, accession_number: str, step_id: str) -> None:
        """Refuse to cancel what is not the token's own."""
        if not self.limited:
            return
        if not self.orders().filter(accession_number=accession_number).exists():
            raise _not_here()
        steps = ScheduledProcedureStep.objects.filter(requested_procedure__accession_number=accession_number)
        if not step_id:
            self._check_own(steps)
        elif not steps.filter(self.own, scheduled_procedure_step_id=step_id).exists():
            raise UnknownEntryError([Problem("ScheduledProcedureStepID", "The entry has no such step.", "unknown")])

    def _check_own(self, steps: QuerySet[ScheduledProcedureStep, Any]) -> None:
        if self.limited and steps.exclude(pk__in=ScheduledProcedureStep.objects.filter(self.own)).exists():
            text = "All steps of the entry must be of the token's station, or of its modality and without a station."
            problem = Problem(STATIONS, text, "other_station")
            raise RequestRefused(HTTPStatus.FORBIDDEN, "The entry is not this station's alone.", [problem])

    def _check_patient(self, entry: Entry) -> None:
        """A patient of other stations must be known by name and birth date: an ID alone can be guessed."""
        told = entry_patients.told(entry.values)
        known = identity.find(Patient.objects.all(), told.patient_id, told.issuer)
        if known is None or self.orders().filter(patient=known).exists():
            return
        if identity.judge(identity.of_record(known), told).confirmed != ("PatientName", "PatientBirthDate"):
            text = "belongs to a patient of other stations: name and birth date must be the same."
            raise ConflictError([Problem("PatientID", text, "other_patient")])


def _not_here() -> UnknownEntryError:
    return UnknownEntryError([Problem("AccessionNumber", "No entry has this accession number.", "unknown")])


def _taken() -> ConflictError:
    return ConflictError([Problem("AccessionNumber", "belongs to an entry of another station.", "exists")])

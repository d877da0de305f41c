"""Whatever comes in, by whichever way and in whatever order: no entry ever shows another person's demographics.

Short here. For as long as wanted: IDENTITY_EXAMPLES=2000 python -m pytest tests/identity/test_any_order.py
"""

from __future__ import annotations

import csv
import datetime
import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import transaction
from django.test import Client
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from pydicom.uid import generate_uid

from dicom_encoding.syntaxes import EXPLICIT_LITTLE
from mwl_admin.api.tokens import BUCKETS
from mwl_admin.entries.tables.files import read
from mwl_admin.entries.tables.rows import import_table
from mwl_admin.models import Patient, RequestedProcedure, ScheduledProcedureStep
from mwl_admin.mpps import dataset, operations
from mwl_admin.patients.identity import is_placeholder
from mwl_admin.patients.merging import merge
from mwl_admin.wlfiles.importing import import_files
from mwl_admin.worklist.policy import Policy
from tests.api.bodies import STEPS, WORKLIST, step
from tests.api.conftest import Caller, caller
from tests.mpps.scu import creation
from tests.mwl_admin.pages import add_entry
from tests.worklist.queries import answers, encoded, identifier

EXAMPLES = int(os.environ.get("IDENTITY_EXAMPLES", "8"))
OURS = "HOSPITAL"
EVERYTHING = Policy(hide_ended=False, offer_started=True, own_only=False)


@dataclass(frozen=True)
class Claim:
    """Whom an input says that it is about; what is empty it does not say."""

    patient_id: str
    issuer: str
    family: str
    given: str
    born: str
    sex: str

    @property
    def name(self) -> str:
        return f"{self.family}^{self.given}".rstrip("^")

    def fits(self, other: Claim) -> bool:
        """Whether the two may be one: written anew here, and not by the rule that is tested."""
        if not {self.issuer, other.issuer} <= {"", OURS} and self.issuer != other.issuer:
            return False
        pairs = [
            ("" if is_placeholder(self.patient_id) else self.patient_id, other.patient_id),
            *((getattr(self, part).lower(), getattr(other, part).lower()) for part in ("family", "given")),
            (self.born, other.born),
            (self.sex, other.sex),
        ]
        return all(one == two or not one or not two for one, two in pairs)


CLAIMS = st.builds(
    Claim,
    patient_id=st.sampled_from(["P-1", "P-1", "P-2", "0"]),
    issuer=st.sampled_from(["", "", OURS, "ELSEWHERE"]),
    family=st.sampled_from(["Doe", "DOE", "Roe"]),
    given=st.sampled_from(["", "Jane", "John"]),
    born=st.sampled_from(["", "19500701", "19710228"]),
    sex=st.sampled_from(["", "F", "M"]),
)
NUMBERS = st.sampled_from(["A-1", "A-2", "A-3", "A-4"])


class Worklist(RuleBasedStateMachine):
    """All ways in, against what each entry was told to be of."""

    ris: Caller
    browser: Client
    folder: Path

    def __init__(self) -> None:
        super().__init__()
        self._atomic = transaction.atomic()
        self._atomic.__enter__()
        self.told: dict[str, list[Claim]] = {}
        """Who each entry was made for, by all inputs that were taken since somebody last said that this changes."""
        self.corrected: set[str] = set()

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self._atomic.__exit__(None, None, None)

    @initialize()
    def begin(self) -> None:
        BUCKETS.clear()

    # --- the ways in

    def taken(self, number: str, claim: Claim) -> None:
        self.told.setdefault(number, []).append(claim)

    @rule(number=NUMBERS, claim=CLAIMS, method=st.sampled_from(["POST", "PUT", "PATCH"]), whole=st.booleans())
    def by_api(self, number: str, claim: Claim, method: str, whole: bool) -> None:
        body = {
            "AccessionNumber": number,
            "PatientID": claim.patient_id,
            "IssuerOfPatientID": claim.issuer,
            "PatientName": claim.name,
            "PatientBirthDate": claim.born,
            "PatientSex": claim.sex,
            STEPS: [step()],
        }
        if not whole:
            body = {name: value for name, value in body.items() if value}
        path = WORKLIST if method == "POST" else f"{WORKLIST}{number}"
        if self.ris.call(method, path, body).status_code in {200, 201}:
            self.taken(number, claim)

    @rule(number=NUMBERS, claim=CLAIMS)
    def by_csv(self, number: str, claim: Claim) -> None:
        out = io.StringIO()
        row = {
            "Accession number": number,
            "Patient ID": claim.patient_id,
            "Issuer of patient ID": claim.issuer,
            "Family name": claim.family,
            "Given name": claim.given,
            "Birth date": claim.born,
            "Sex": claim.sex,
            "Date": "2026-05-04",
            "Time": "10:30",
            "Modality": "CT",
        }
        writer = csv.DictWriter(out, row)
        writer.writeheader()
        writer.writerow(row)
        if import_table(read(out.getvalue().encode())).applied:
            self.taken(number, claim)

    @rule(number=NUMBERS, claim=CLAIMS, placeholder_ids=st.booleans(), by_study=st.booleans())
    def by_file(self, number: str, claim: Claim, placeholder_ids: bool, by_study: bool) -> None:
        order = RequestedProcedure.objects.filter(accession_number=number).first()
        ds = identifier(
            {
                "Modality": "CT",
                "ScheduledProcedureStepStartDate": "20260504",
                "ScheduledProcedureStepStartTime": "1030",
                "ScheduledProcedureStepID": "1",
            },
            AccessionNumber="" if by_study and order else number,
            PatientID=claim.patient_id,
            IssuerOfPatientID=claim.issuer,
            PatientName=claim.name,
            PatientBirthDate=claim.born,
            PatientSex=claim.sex,
        )
        if order:
            ds.StudyInstanceUID = order.study_instance_uid
        path = self.folder / "entry.wl"
        path.write_bytes(encoded(ds, EXPLICIT_LITTLE))
        if not import_files([path], placeholder_ids=placeholder_ids).refused:
            self.taken(number, claim)

    @rule(number=NUMBERS, claim=CLAIMS)
    def by_form(self, number: str, claim: Claim) -> None:
        born = f"{claim.born[:4]}-{claim.born[4:6]}-{claim.born[6:]}" if claim.born else ""
        response = add_entry(
            self.browser,
            accession_number=number,
            new_patient_id=claim.patient_id,
            new_issuer_of_patient_id=claim.issuer,
            new_family_name=claim.family,
            new_given_name=claim.given,
            new_patient_birth_date=born,
            new_patient_sex=claim.sex,
            is_another_person="on",
            step_modality="CT",
            step_scheduled_time="10:30",
        )
        if response.status_code == 302:
            self.taken(number, claim)

    @precondition(lambda self: self.told)
    @rule(data=st.data(), claim=CLAIMS)
    def by_mpps(self, data: st.DataObject, claim: Claim) -> None:
        number = data.draw(st.sampled_from(sorted(self.told)))
        scheduled = ScheduledProcedureStep.objects.filter(requested_procedure__accession_number=number).first()
        assert scheduled is not None
        ds = creation(
            scheduled,
            PatientID=claim.patient_id,
            IssuerOfPatientID=claim.issuer,
            PatientName=claim.name,
            PatientBirthDate=claim.born,
            PatientSex=claim.sex,
            SpecificCharacterSet="ISO_IR 192",
        )
        report = dataset.read(encoded(ds, EXPLICIT_LITTLE), EXPLICIT_LITTLE)
        performed = operations.create(report, str(generate_uid()), calling_ae="CT1")
        linked = performed.scheduled_procedure_steps.exists()
        fits = claim.fits(self.shown()[number])
        if number not in self.corrected and not is_placeholder(claim.patient_id):
            # An absent issuer in a report is no word for ours: stations rarely repeat it.
            assert linked is (fits or (not claim.issuer and self._but_for_issuer(claim, number)))

    def _but_for_issuer(self, claim: Claim, number: str) -> bool:
        shown = self.shown()[number]
        return Claim(claim.patient_id, shown.issuer, claim.family, claim.given, claim.born, claim.sex).fits(shown)

    # --- who says so may change who it is

    @precondition(lambda self: self.told)
    @rule(data=st.data(), claim=CLAIMS)
    def by_a_correction(self, data: st.DataObject, claim: Claim) -> None:
        number = data.draw(st.sampled_from(sorted(self.told)))
        body = {"PatientName": claim.name, "PatientBirthDate": claim.born, "PatientSex": claim.sex}
        if self.ris.patch(f"{WORKLIST}{number}?update_patient=true", body).status_code == 200:
            self._said_so(RequestedProcedure.objects.get(accession_number=number).patient)

    @precondition(lambda self: Patient.objects.count() > 1)
    @rule(data=st.data())
    def by_a_merge(self, data: st.DataObject) -> None:
        kept, given_up = data.draw(st.permutations(list(Patient.objects.order_by("pk"))))[:2]
        entries = RequestedProcedure.objects.filter(patient=given_up).count()
        merge(kept, given_up, seen=(kept.version, given_up.version), entries_seen=entries)
        self._said_so(kept)

    def _said_so(self, patient: Patient) -> None:
        shown = self.shown()
        for number in RequestedProcedure.objects.filter(patient=patient).values_list("accession_number", flat=True):
            self.told[number] = [shown[number]]
            self.corrected.add(number)

    # --- what a modality is told

    def shown(self) -> dict[str, Claim]:
        keys = ("PatientID", "IssuerOfPatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber")
        found = answers(identifier({}, **dict.fromkeys(keys, "")), policy=EVERYTHING)
        return {ds.AccessionNumber: _claim(ds) for ds in found}

    @invariant()
    def every_entry_is_of_whom_it_was_made_for(self) -> None:
        shown = self.shown()
        assert shown.keys() == self.told.keys()
        for number, claims in self.told.items():
            for claim in claims:
                assert claim.fits(shown[number]), (number, claim, shown[number])

    @invariant()
    def one_id_is_one_record(self) -> None:
        ids = [
            (patient.patient_id, "" if patient.issuer_of_patient_id == OURS else patient.issuer_of_patient_id)
            for patient in Patient.objects.all()
        ]
        assert len(ids) == len(set(ids))


def _claim(ds: Any) -> Claim:
    family, given = (*str(ds.PatientName).split("^"), "")[:2]
    born: datetime.date | str | None = ds.PatientBirthDate
    return Claim(ds.PatientID, ds.IssuerOfPatientID or "", family, given, str(born or ""), ds.PatientSex or "")


@pytest.mark.timeout(0 if EXAMPLES > 8 else 600)
@pytest.mark.django_db
def test_no_entry_ever_shows_another_persons_demographics(client: Client, tmp_path: Path, settings: Any) -> None:
    settings.PATIENT_ID_ISSUER = OURS
    client.force_login(get_user_model().objects.create_superuser("anna"))
    Worklist.ris, Worklist.browser, Worklist.folder = caller(requests_per_minute=1_000_000), client, tmp_path
    run_state_machine_as_test(Worklist, settings=_SETTINGS)


_SETTINGS = settings(
    max_examples=EXAMPLES,
    stateful_step_count=16,
    deadline=None,
    database=None,
    derandomize=EXAMPLES <= 8,
    phases=(Phase.generate, Phase.shrink),  # to explain, every line would be traced
    suppress_health_check=list(HealthCheck),
)

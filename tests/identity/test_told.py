"""Whoever has to follow a patient's record is told of each change, and in its transaction."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mwl_admin.entries.entries import store
from mwl_admin.entries.entry import Entry, Mode
from mwl_admin.models import Patient, RequestedProcedure
from mwl_admin.patients.change_signal import ChangeKind, PatientChange, patient_changed
from mwl_admin.patients.merging import merge
from tests.api.bodies import ENTRY, WORKLIST, entry
from tests.api.conftest import Caller, full_buckets, ris
from tests.factory import make_patient

__all__ = ["full_buckets", "ris"]


@pytest.fixture
def told() -> Iterator[list[PatientChange]]:
    changes: list[PatientChange] = []

    def note(change: PatientChange, **_: object) -> None:
        changes.append(change)

    patient_changed.connect(note)
    yield changes
    patient_changed.disconnect(note)


def test_an_update_is_told_once_with_who_it_was_before(ris: Caller, told: list[PatientChange]) -> None:
    ris.post(WORKLIST, entry())
    ris.patch(ENTRY, {"PatientName": "Müller^Änne", "Allergies": "latex"})
    assert told == []  # a new record, and one that is the same person's as before, are nobody else's news
    assert ris.patch(f"{ENTRY}?update_patient=true", {"PatientName": "Meier^Änne"}).status_code == 200
    (change,) = told
    assert (change.kind, change.before.name, change.after.name) == (ChangeKind.UPDATED, "Müller^Änne", "Meier^Änne")


def test_a_merge_is_told_with_the_studies_that_moved(ris: Caller, told: list[PatientChange]) -> None:
    ris.post(WORKLIST, entry(StudyInstanceUID="2.25.7"))
    given_up = Patient.objects.get()
    kept = make_patient(patient_id="P-2", family_name="Müller", given_name="")
    merge(kept, given_up, seen=(kept.version, given_up.version), entries_seen=1)
    change = next(change for change in told if change.kind is ChangeKind.MERGED)
    assert (change.before.patient_id, change.after.patient_id) == ("P-1001", "P-2")
    assert change.study_instance_uids == ("2.25.7",)


def test_what_a_follower_raises_undoes_the_change(ris: Caller) -> None:
    ris.post(WORKLIST, entry())

    def refuse(**_: object) -> None:
        raise OSError("no room")

    patient_changed.connect(refuse)
    try:
        renamed = Entry({"AccessionNumber": "A-5001", "PatientName": "Meier^Änne"})
        with pytest.raises(OSError, match="no room"):
            store(renamed, Mode.UPDATE, update_patient=True)
    finally:
        patient_changed.disconnect(refuse)
    assert Patient.objects.get().family_name == "Müller"
    assert RequestedProcedure.objects.count() == 1

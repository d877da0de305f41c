"""What goes wrong at the console: the wrong entry, another patient's entry, and reports that are not quite so."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.config import disable_value_validation
from pydicom.sr import codes
from pydicom.uid import generate_uid

from mwl_admin.images.alarms import Alarm, AlarmKind, alarms
from mwl_admin.models import Patient, PerformedProcedureStep, ScheduledProcedureStep, StepStatus
from mwl_admin.mpps.doubts import doubts
from mwl_admin.mpps.reasons import _WORDS
from mwl_admin.patients.merging import merge
from tests.factory import make_patient, make_station, make_step
from tests.mpps.scu import Modality, changes, creation, final, modality, offered, step_item
from tests.mwl_scp.conftest import Provider

pytestmark = pytest.mark.usefixtures("database")

S = StepStatus
JANE = {"family_name": "Doe", "given_name": "Jane", "patient_birth_date": datetime.date(1950, 7, 1), "patient_sex": "F"}


@pytest.fixture
def ct(provider: Provider) -> Iterator[Modality]:
    with modality(provider.port) as opened:
        yield opened


def started(ct: Modality, ds: Dataset) -> str:
    uid = str(generate_uid())
    assert ct.create(ds, uid).status == 0x0000
    return uid


def stored(uid: str) -> PerformedProcedureStep:
    return PerformedProcedureStep.objects.get(sop_instance_uid=uid)


def linked(uid: str) -> list[int]:
    return list(stored(uid).scheduled_procedure_steps.order_by("pk").values_list("pk", flat=True))


def discontinued(code: str = "", meaning: str = "", scheme: str = "DCM", **values: Any) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code, scheme, meaning
    reason = {"PerformedProcedureStepDiscontinuationReasonCodeSequence": [item]} if code else {}
    return final("DISCONTINUED", **reason, **values)


def alarms_of(kind: AlarmKind) -> list[Alarm]:
    return [alarm for alarm in alarms() if alarm.kind is kind]


# -- the wrong entry


@pytest.mark.parametrize("before", [S.SCHEDULED, S.ARRIVED, S.READY])
def test_a_wrongly_chosen_entry_is_on_the_worklist_again(ct: Modality, provider: Provider, before: StepStatus) -> None:
    step = make_step(status=before, patient=JANE, requested={"accession_number": "A-1"})
    uid = started(ct, creation(step))
    assert offered(provider.port, "CT2") == []
    assert ct.set(discontinued("110514", "Incorrect worklist entry selected"), uid).status == 0x0000
    step.refresh_from_db()
    assert (step.status, step.previous_status, step.started_by) == (before, "", None)
    assert offered(provider.port, "CT1") == offered(provider.port, "CT2") == [step.scheduled_procedure_step_id]
    # What was performed is not this patient's: the report stays, and is no report of the step.
    assert linked(uid) == []
    assert stored(uid).performed_procedure_step_status == "DISCONTINUED"
    (alarm,) = alarms_of(AlarmKind.WRONG_ENTRY)
    assert alarm.text == (
        "CT1 had chosen the entry of Doe, Jane (P0001), A-1 by mistake. It is on the worklist again."
        " 3 images that were made then are not of this patient."
    )
    assert doubts([step]) == {step.pk: "chosen by mistake on CT1"}
    reason = ScheduledProcedureStep.history.filter(id=step.pk).first().history_change_reason
    assert reason == "MPPS from CT1: Incorrect worklist entry selected"


def test_the_right_examination_follows_under_the_same_entry(ct: Modality) -> None:
    step = make_step()
    ct.set(discontinued("110514"), started(ct, creation(step)))
    uid = started(ct, creation(step))
    assert linked(uid) == [step.pk]
    ct.set(final(), uid)
    step.refresh_from_db()
    assert step.status == "COMPLETED"


def test_a_wrongly_chosen_entry_that_another_report_is_about_follows_that(ct: Modality) -> None:
    step = make_step()
    wrong, right = started(ct, creation(step)), started(ct, creation(step))
    ct.set(discontinued("110514"), wrong)
    step.refresh_from_db()
    assert (step.status, step.started_by) == ("STARTED", stored(right))
    ct.set(final(), right)
    step.refresh_from_db()
    assert step.status == "COMPLETED"


def test_a_wrongly_chosen_entry_that_was_complete_already_stays_so(ct: Modality) -> None:
    step = make_step()
    ct.set(final(), started(ct, creation(step)))
    ct.set(discontinued("110514"), started(ct, creation(step)))
    step.refresh_from_db()
    assert step.status == "COMPLETED"


def test_what_staff_ended_by_hand_is_not_opened_again(ct: Modality) -> None:
    step = make_step()
    uid = started(ct, creation(step))
    ScheduledProcedureStep.objects.get(pk=step.pk).transition(S.COMPLETED)
    ct.set(discontinued("110514"), uid)
    step.refresh_from_db()
    assert step.status == "COMPLETED"
    (alarm,) = alarms_of(AlarmKind.WRONG_ENTRY)
    assert "on the worklist again" not in alarm.text


def test_all_entries_of_one_wrong_report_are_on_the_worklist_again(ct: Modality) -> None:
    first = make_step(patient=JANE)
    second = make_step(patient=first.requested_procedure.patient)
    ct.set(discontinued("110514", scheme="dcm "), started(ct, creation(first, second)))
    assert set(ScheduledProcedureStep.objects.values_list("status", flat=True)) == {"SCHEDULED"}


# -- other reasons


@pytest.mark.parametrize(
    ("code", "meaning", "scheme", "said"),
    [
        ("110501", "Equipment failure", "DCM", "Equipment failure"),
        ("110501", "", "DCM", "Equipment failure"),
        ("110505", "", "", "Patient refused to continue"),
        ("110514", "Out of cake", "99LOCAL", "Out of cake"),
        ("X7", "", "99LOCAL", "X7 99LOCAL"),
        ("", "", "", ""),
    ],
)
def test_another_reason_stands_beside_the_status_in_words(
    ct: Modality, code: str, meaning: str, scheme: str, said: str
) -> None:
    step = make_step()
    with disable_value_validation():
        ct.set(discontinued(code, meaning, scheme), started(ct, creation(step)))
    step.refresh_from_db()
    assert (step.status, step.status_reason) == ("DISCONTINUED", said)
    reason = ScheduledProcedureStep.history.filter(id=step.pk).first().history_change_reason
    assert reason == ("MPPS from CT1: " + said if said else "MPPS from CT1")
    assert alarms_of(AlarmKind.WRONG_ENTRY) == []


def test_a_completed_step_has_no_reason_left(ct: Modality) -> None:
    step = make_step()
    ct.set(discontinued("110501"), started(ct, creation(step)))
    ct.set(final(), started(ct, creation(step)))
    step.refresh_from_db()
    assert (step.status, step.status_reason) == ("COMPLETED", "")


def test_the_codes_that_are_put_in_words_are_those_of_the_standard() -> None:
    defined = {concept.value for concept in codes.cid9301.concepts.values() if concept.scheme_designator == "DCM"}
    assert {*_WORDS} == defined


# -- another patient


def test_a_report_that_names_another_patient_is_an_alarm_at_once_and_until_it_is_settled(ct: Modality) -> None:
    step = make_step(patient=JANE, requested={"accession_number": "A-1"})
    uid = started(ct, creation(step, PatientID="P-9", PatientName="Roe^Mary"))
    assert linked(uid) == []
    (alarm,) = alarms_of(AlarmKind.OTHER_PATIENT)
    assert alarm.text == (
        "CT1 reports an examination of Roe, Mary (P-9) under the entry of Doe, Jane (P0001), A-1."
        " Different: patient ID, name."
    )
    assert doubts([step]) == {step.pk: "reported for another patient by CT1"}
    ct.set(final(), uid)
    step.refresh_from_db()
    assert step.status == "SCHEDULED"
    assert PerformedProcedureStep.objects.settle(None) == 1
    assert alarms_of(AlarmKind.OTHER_PATIENT) == []
    assert doubts([step]) == {}


def test_a_report_about_nobodys_entry_is_no_alarm(ct: Modality) -> None:
    from tests.mpps.scu import unscheduled

    started(ct, unscheduled())
    started(ct, creation(make_step()))
    assert alarms_of(AlarmKind.OTHER_PATIENT) == alarms_of(AlarmKind.WRONG_ENTRY) == []


def test_of_two_entries_the_one_of_another_patient_is_the_alarm(ct: Modality) -> None:
    mine, other = make_step(patient=JANE), make_step(patient={"family_name": "Roe", "given_name": "Mary"})
    uid = started(ct, creation(mine, other))
    assert linked(uid) == [mine.pk]
    assert list(stored(uid).doubted_steps.all()) == [other]


def test_a_stranger_alarms_nobody_over_a_stations_entry(provider: Provider) -> None:
    step = make_step(patient=JANE, stations=[make_station("CT1")])
    with modality(provider.port, calling="STRANGER") as stranger:
        started(stranger, creation(step, PatientID="P-9", PatientName="Roe^Mary"))
    assert alarms_of(AlarmKind.OTHER_PATIENT) == []


def test_the_id_of_a_merged_record_without_entries_is_the_same_person(ct: Modality) -> None:
    step = make_step(patient={**JANE, "patient_id": "P-KEPT"})
    kept = step.requested_procedure.patient
    for number, target in enumerate((None, kept)):
        # The record was merged into one that was merged in turn.
        old = make_patient(patient_id=f"P-OLD{number}", **JANE)
        into = target or make_patient(patient_id="P-MIDDLE", **JANE)
        merge(into, old, seen=(into.version, old.version), entries_seen=0)
    kept.refresh_from_db()
    middle = Patient.objects.get(patient_id="P-MIDDLE")
    merge(kept, middle, seen=(kept.version, middle.version), entries_seen=0)
    for known in ("P-OLD0", "P-OLD1", "P-MIDDLE", "P-KEPT"):
        assert linked(started(ct, creation(step, PatientID=known))) == [step.pk], known
    assert linked(started(ct, creation(step, PatientID="P-NONE"))) == []
    assert linked(started(ct, creation(step, PatientID="P-OLD0", PatientName="Roe^Mary"))) == []


def test_the_id_before_it_was_changed_is_the_same_person(ct: Modality) -> None:
    step = make_step(patient={**JANE, "patient_id": "TEMP-1"})
    before = creation(step)
    patient = step.requested_procedure.patient
    patient.patient_id = "REAL-1"
    patient.save()
    assert linked(started(ct, before)) == [step.pk]


# -- the study alone


def by_study(step: ScheduledProcedureStep, **values: Any) -> Dataset:
    ds = creation(step, **values)
    (item,) = ds.ScheduledStepAttributesSequence
    item.ScheduledProcedureStepID = item.AccessionNumber = ""
    return ds


def with_another(step: ScheduledProcedureStep, **values: Any) -> ScheduledProcedureStep:
    other = make_step(patient=step.requested_procedure.patient, **values)
    other.requested_procedure = step.requested_procedure
    other.save()
    return other


def test_the_study_alone_is_enough_for_the_one_open_step(ct: Modality) -> None:
    step = make_step()
    with_another(step, status=S.COMPLETED)
    assert linked(started(ct, by_study(step))) == [step.pk]


def test_the_study_alone_is_not_enough_for_one_of_two_or_for_an_ended_one(ct: Modality) -> None:
    step = make_step()
    other = with_another(step)
    assert linked(started(ct, by_study(step))) == []
    ScheduledProcedureStep.objects.filter(pk__in=(step.pk, other.pk)).update(status=S.COMPLETED)
    assert linked(started(ct, by_study(step))) == []


def test_the_study_alone_never_takes_one_modalitys_report_for_another_ones_step(ct: Modality) -> None:
    step = make_step(status=S.COMPLETED)
    other = with_another(step, modality="MR")
    assert linked(started(ct, by_study(step))) == []
    assert linked(started(ct, by_study(step, Modality="MR"))) == [other.pk]


def test_the_study_alone_of_another_patient_is_an_alarm(ct: Modality) -> None:
    step = make_step(patient=JANE)
    assert linked(started(ct, by_study(step, PatientName="Roe^Mary"))) == []
    assert len(alarms_of(AlarmKind.OTHER_PATIENT)) == 1


# -- lenient where a report would be lost


def test_values_that_are_repeated_unchanged_are_taken(ct: Modality) -> None:
    step = make_step(patient={**JANE, "family_name": "Müller"})
    ds = creation(step)
    uid = started(ct, ds)
    again = final(
        ScheduledStepAttributesSequence=[step_item(step)],
        **{
            keyword: ds[keyword].value
            for keyword in (
                "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "PerformedProcedureStepID",
                "PerformedStationAETitle", "PerformedStationName", "PerformedLocation", "Modality", "StudyID",
                "PerformedProcedureStepStartDate", "PerformedProcedureStepStartTime",
            )
        },
    )  # fmt: skip
    again.SpecificCharacterSet = "ISO_IR 192"
    again.PatientName = step.requested_procedure.patient.patient_name
    assert ct.set(again, uid).status == 0x0000
    step.refresh_from_db()
    assert step.status == "COMPLETED"
    assert stored(uid).patient_name == "Müller^Jane"
    assert stored(uid).notes == "Values that are given once, at the start, were sent again unchanged."


@pytest.mark.parametrize("spelling", ["1030", "103000", "103000.0", "103000.000000"])
def test_a_time_that_is_repeated_in_another_spelling_is_unchanged(ct: Modality, spelling: str) -> None:
    ds = creation(make_step(patient=JANE))
    ds.PerformedProcedureStepStartTime = "103000"
    uid = started(ct, ds)
    assert ct.set(final(PerformedProcedureStepStartTime=spelling), uid).status == 0x0000
    assert stored(uid).performed_procedure_step_status == "COMPLETED"


def test_of_values_that_are_repeated_the_changed_ones_are_named(ct: Modality) -> None:
    step = make_step(patient=JANE)
    uid = started(ct, creation(step))
    answer = ct.set(final(PatientSex="F", PatientID="P-OTHER", Modality="CT"), uid)
    assert (answer.status, answer.offending) == (0x0105, ["PatientID"])


def test_uids_with_leading_zeros_are_taken_with_a_note(ct: Modality) -> None:
    with disable_value_validation():
        ds = creation(make_step())
        ds.ScheduledStepAttributesSequence[0].StudyInstanceUID = "1.2.03.4"
        ds.ScheduledStepAttributesSequence[0].AccessionNumber = ""
        assert ct.create(ds, "1.02.3").status == 0x0000
        assert ct.set(final(), "1.02.3").status == 0x0000
    row = stored("1.02.3")
    assert (row.performed_procedure_step_status, row.study_instance_uid) == ("COMPLETED", "1.2.03.4")
    assert row.notes == "A UID has a component with a leading zero."


@pytest.mark.parametrize("keyword", ["PerformedProcedureStepEndDate", "PerformedProcedureStepEndTime"])
def test_a_discontinued_step_may_leave_out_when_it_ended(ct: Modality, keyword: str) -> None:
    step = make_step()
    uid = started(ct, creation(step))
    missing: Any = {keyword: None}
    assert ct.set(final(**missing), uid).status == 0x0121
    assert ct.set(final("DISCONTINUED", **missing), uid).status == 0x0000
    step.refresh_from_db()
    assert step.status == "DISCONTINUED"
    assert stored(uid).notes == "The modality did not say when it was discontinued."


def test_a_report_without_oddities_has_no_note(ct: Modality) -> None:
    uid = started(ct, creation(make_step()))
    ct.set(changes(PerformedProcedureStepDescription="x"), uid)
    ct.set(final(), uid)
    assert stored(uid).notes == ""

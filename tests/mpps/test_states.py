"""N-CREATE, N-SET and N-GET against the real provider: every state, every status, and what becomes of the entries."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.tag import Tag
from pydicom.uid import generate_uid

from dicom_encoding.syntaxes import IMPLICIT_LITTLE
from mwl_admin.models import PerformedProcedureStep, ScheduledProcedureStep, Station, StepStatus
from mwl_admin.patients.merging import merge
from tests.factory import make_station, make_step
from tests.mpps.scu import Modality, changes, creation, final, modality, offered, series, unscheduled
from tests.mwl_scp.conftest import Provider

pytestmark = pytest.mark.usefixtures("database")

S = StepStatus
MULLER = {"family_name": "Müller", "given_name": "Änne"}


@pytest.fixture
def ct(provider: Provider) -> Iterator[Modality]:
    with modality(provider.port) as opened:
        yield opened


def status_of(step: ScheduledProcedureStep) -> str:
    return str(ScheduledProcedureStep.objects.values_list("status", flat=True).get(pk=step.pk))


def started(ct: Modality, *steps: ScheduledProcedureStep) -> str:
    uid = str(generate_uid())
    assert ct.create(creation(*steps), uid).status == 0x0000
    return uid


def stored(uid: str) -> PerformedProcedureStep:
    return PerformedProcedureStep.objects.get(sop_instance_uid=uid)


@pytest.mark.parametrize(
    "before", [S.SCHEDULED, S.ARRIVED, S.READY, S.STARTED, S.COMPLETED, S.DISCONTINUED, S.CANCELLED]
)
def test_a_created_step_starts_its_entry_whatever_that_was(ct: Modality, before: StepStatus) -> None:
    step = make_step(status=before)
    uid = started(ct, step)
    assert status_of(step) == "STARTED"
    assert list(stored(uid).scheduled_procedure_steps.all()) == [step]


@pytest.mark.parametrize("end", ["COMPLETED", "DISCONTINUED"])
@pytest.mark.parametrize("before", [S.SCHEDULED, S.ARRIVED, S.READY])
def test_the_final_state_ends_the_entry(ct: Modality, before: StepStatus, end: str) -> None:
    step = make_step(status=before)
    uid = started(ct, step)
    assert ct.set(final(end), uid).status == 0x0000
    assert status_of(step) == end
    assert stored(uid).performed_procedure_step_status == end


def test_what_was_reported_is_kept_whole_and_in_columns(ct: Modality) -> None:
    step = make_step(patient=MULLER, requested={"accession_number": "A-1"})
    uid = started(ct, step)
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "110501", "DCM", "Equipment failure"
    ended = final(
        "DISCONTINUED",
        PerformedSeriesSequence=[series(3), series(2, "Scout")],
        PerformedProcedureStepDiscontinuationReasonCodeSequence=[code],
        TotalNumberOfExposures=7,
        ImageAndFluoroscopyAreaDoseProduct="12.5",
    )
    ended.add_new(0x00110010, "LO", "SYNTHETIC")
    ended.add_new(0x00111001, "OB", b"\x01\x02\x03\x04")
    assert ct.set(ended, uid).status == 0x0000
    row = stored(uid)
    assert row.patient_name == "Müller^Änne"
    assert (row.accession_number, row.study_instance_uid) == ("A-1", step.requested_procedure.study_instance_uid)
    assert (row.performed_start_date, row.performed_start_time) == (
        datetime.date(2026, 5, 4),
        datetime.time(10, 31, 5, 500_000),
    )
    assert (row.performed_end_date, row.performed_end_time) == (datetime.date(2026, 5, 4), datetime.time(10, 45))
    assert (row.series_count, row.instance_count, row.modality) == (2, 5, "CT")
    assert (row.protocol, row.discontinuation_reason) == ("Thorax routine, Scout", "Equipment failure")
    assert (row.calling_ae_title, row.performed_station_ae_title) == ("CT1", "CT1")
    assert row.data_set["00400301"] == {"vr": "US", "Value": [7]}
    assert row.data_set["00111001"] == {"vr": "OB", "InlineBinary": "AQIDBA=="}


def test_without_a_uid_one_is_made_and_returned(ct: Modality) -> None:
    step = make_step()
    answer = ct.create(creation(step))
    assert answer.status == 0x0000
    assert ct.set(final(), answer.command.AffectedSOPInstanceUID).status == 0x0000
    assert status_of(step) == "COMPLETED"


def test_updates_while_in_progress_replace_attributes_and_leave_the_others(ct: Modality) -> None:
    step = make_step(patient=MULLER)
    uid = started(ct, step)
    assert ct.set(changes(PerformedSeriesSequence=[series(1)]), uid).status == 0x0000
    assert ct.set(changes(PerformedSeriesSequence=[series(1), series(4)]), uid).status == 0x0000
    assert ct.set(changes(PerformedProcedureStepStatus="IN PROGRESS"), uid).status == 0x0000
    assert status_of(step) == "STARTED"
    row = stored(uid)
    assert (row.series_count, row.instance_count, row.patient_name) == (2, 5, "Müller^Änne")


def test_create_and_set_travel_on_associations_of_their_own(provider: Provider) -> None:
    step = make_step()
    make_station("CT1_B")
    with modality(provider.port) as one:
        uid = started(one, step)
    with modality(provider.port, calling="CT1_B", transfer_syntax=IMPLICIT_LITTLE) as other:
        assert other.set(final(), uid).status == 0x0000
    assert status_of(step) == "COMPLETED"


@pytest.mark.parametrize("end", ["COMPLETED", "DISCONTINUED"])
@pytest.mark.parametrize(
    "late", [final("COMPLETED"), final("DISCONTINUED"), changes(PerformedProcedureStepStatus="IN PROGRESS"), changes()]
)
def test_nothing_changes_after_the_final_state(ct: Modality, end: str, late: Dataset) -> None:
    step = make_step()
    uid = started(ct, step)
    ct.set(final(end), uid)
    before = stored(uid)
    late.PerformedProcedureStepDescription = "Too late"
    answer = ct.set(late, uid)
    assert (answer.status, answer.command.ErrorID) == (0x0110, 0xA710)
    assert answer.command.ErrorComment == "Performed Procedure Step Object may no longer be updated"
    assert (stored(uid).data_set, stored(uid).updated_at) == (before.data_set, before.updated_at)
    assert status_of(step) == end


def test_a_uid_is_taken_once(ct: Modality) -> None:
    step, other = make_step(), make_step()
    uid = started(ct, step)
    assert ct.create(creation(other), uid).status == 0x0111
    assert status_of(other) == "SCHEDULED"
    ct.set(final(), uid)
    assert ct.create(creation(other), uid).status == 0x0111
    assert PerformedProcedureStep.objects.count() == 1


def test_an_unknown_uid_is_told(ct: Modality) -> None:
    assert ct.set(final(), "1.2.3.4").status == 0x0112
    assert ct.get("1.2.3.4").status == 0x0112


@pytest.mark.parametrize("status", ["COMPLETED", "DISCONTINUED", "STARTED"])
def test_a_step_is_created_in_progress_only(ct: Modality, status: str) -> None:
    step = make_step()
    answer = ct.create(creation(step, PerformedProcedureStepStatus=status), "1.2.3")
    assert (answer.status, answer.offending) == (0x0106, ["PerformedProcedureStepStatus"])
    assert status_of(step) == "SCHEDULED"
    assert not PerformedProcedureStep.objects.exists()


@pytest.mark.parametrize("status", ["DONE", "SCHEDULED", ""])
def test_a_status_that_is_none_is_refused_and_changes_nothing(ct: Modality, status: str) -> None:
    uid = started(ct, make_step())
    answer = ct.set(changes(PerformedProcedureStepStatus=status, PerformedProcedureStepDescription="x"), uid)
    assert (answer.status, answer.offending) == (0x0106, ["PerformedProcedureStepStatus"])
    assert "00400254" not in stored(uid).data_set or "Value" not in stored(uid).data_set["00400254"]


MANDATORY = [
    "Modality",
    "PerformedStationAETitle",
    "PerformedProcedureStepStartDate",
    "PerformedProcedureStepStartTime",
    "PerformedProcedureStepStatus",
    "PerformedProcedureStepID",
]


@pytest.mark.parametrize("keyword", [*MANDATORY, "ScheduledStepAttributesSequence"])
def test_a_mandatory_attribute_that_is_missing_is_named(ct: Modality, keyword: str) -> None:
    answer = ct.create(creation(make_step(), **{keyword: None}), "1.2.3")
    assert (answer.status, answer.offending) == (0x0120, [keyword])
    tag = Tag(keyword)
    assert f"({tag.group:04X},{tag.element:04X})" in answer.command.ErrorComment
    assert not PerformedProcedureStep.objects.exists()


def test_all_that_is_missing_is_named_at_once(ct: Modality) -> None:
    answer = ct.create(creation(make_step(), **dict.fromkeys(MANDATORY)), "1.2.3")
    assert answer.status == 0x0120
    assert sorted(answer.offending) == sorted(MANDATORY)


@pytest.mark.parametrize("keyword", MANDATORY)
def test_a_mandatory_attribute_without_a_value_is_named(ct: Modality, keyword: str) -> None:
    answer = ct.create(creation(make_step(), **{keyword: ""}), "1.2.3")
    assert (answer.status, answer.offending) == (0x0121, [keyword])


def test_each_scheduled_step_names_its_study(ct: Modality) -> None:
    ds = creation(make_step())
    del ds.ScheduledStepAttributesSequence[0].StudyInstanceUID
    answer = ct.create(ds, "1.2.3")
    assert (answer.status, answer.offending) == (0x0120, ["StudyInstanceUID"])
    ds.ScheduledStepAttributesSequence[0].StudyInstanceUID = ""
    answer = ct.create(ds, "1.2.3")
    assert (answer.status, answer.offending) == (0x0121, ["StudyInstanceUID"])


@pytest.mark.parametrize("keyword", ["PerformedProcedureStepEndDate", "PerformedProcedureStepEndTime"])
def test_a_final_state_tells_when_it_was_reached(ct: Modality, keyword: str) -> None:
    step = make_step()
    uid = started(ct, step)
    missing: Any = {keyword: None}
    answer = ct.set(final(**missing), uid)
    assert (answer.status, answer.offending) == (0x0121, [keyword])
    assert status_of(step) == "STARTED"
    assert ct.set(final(), uid).status == 0x0000


FIXED = {
    "PatientName": "Other^One",
    "PatientID": "P-2",
    "PatientBirthDate": "19000101",
    "PatientSex": "O",
    "ReferencedPatientSequence": [changes(ReferencedSOPInstanceUID="1.2.3")],
    "AdmissionID": "ADM",
    "ScheduledStepAttributesSequence": [],
    "PerformedProcedureStepID": "2",
    "PerformedStationAETitle": "CT2",
    "PerformedStationName": "CT 2",
    "PerformedLocation": "Room",
    "PerformedProcedureStepStartDate": "20260505",
    "PerformedProcedureStepStartTime": "1200",
    "Modality": "MR",
    "StudyID": "1",
}


@pytest.mark.parametrize("keyword", FIXED)
def test_what_is_given_at_creation_cannot_be_set_later(ct: Modality, keyword: str) -> None:
    step = make_step()
    uid = started(ct, step)
    before = stored(uid).data_set
    given: Any = {keyword: FIXED[keyword]}
    answer = ct.set(final(**given), uid)
    assert (answer.status, answer.offending) == (0x0105, [keyword])
    assert stored(uid).data_set == before
    assert status_of(step) == "STARTED"


def test_an_id_that_is_repeated_is_forgiven(ct: Modality) -> None:
    first, second = make_step(), make_step()
    started(ct, first)
    uid = started(ct, second)  # the same Performed Procedure Step ID, as devices that count from 1 give it
    assert ct.set(final(PerformedProcedureStepID="1"), uid).status == 0x0000
    assert status_of(second) == "COMPLETED"


def test_type_2_attributes_may_be_missing_and_sequences_empty(ct: Modality) -> None:
    step = make_step()
    optional = [
        "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "ReferencedPatientSequence",
        "PerformedStationName", "PerformedLocation", "PerformedProcedureStepEndDate", "PerformedProcedureStepEndTime",
        "PerformedProcedureStepDescription", "PerformedProcedureTypeDescription", "ProcedureCodeSequence",
        "PerformedProcedureStepDiscontinuationReasonCodeSequence", "StudyID", "PerformedProtocolCodeSequence",
        "PerformedSeriesSequence", "SpecificCharacterSet",
    ]  # fmt: skip
    assert ct.create(creation(step, **dict.fromkeys(optional)), "1.2.3").status == 0x0000
    assert ct.set(final(PerformedSeriesSequence=[Dataset()]), "1.2.3").status == 0x0000
    assert status_of(step) == "COMPLETED"


def test_a_uid_that_is_none_is_refused(ct: Modality) -> None:
    from pydicom.config import disable_value_validation

    with disable_value_validation():
        assert ct.create(creation(make_step()), "1..3").status == 0x0117
    assert not PerformedProcedureStep.objects.exists()


def test_an_operation_belongs_to_its_sop_class(ct: Modality) -> None:
    from tests.mpps.scu import MPPS, RETRIEVE

    assert ct.create(creation(make_step()), "1.2.3", sop_class=RETRIEVE).status == 0x0211
    ct.assoc.send_n_get([], MPPS, "1.2.3")
    assert ct.received[-1].Status == 0x0211


def test_one_report_may_cover_several_steps(ct: Modality) -> None:
    first = make_step()
    second = make_step(status=S.ARRIVED, patient=first.requested_procedure.patient)
    uid = started(ct, first, second)
    assert (status_of(first), status_of(second)) == ("STARTED", "STARTED")
    ct.set(final(), uid)
    assert (status_of(first), status_of(second)) == ("COMPLETED", "COMPLETED")


@pytest.mark.parametrize(
    ("ends", "result"),
    [
        (("COMPLETED", "COMPLETED"), "COMPLETED"),
        (("COMPLETED", "DISCONTINUED"), "COMPLETED"),
        (("DISCONTINUED", "COMPLETED"), "COMPLETED"),
        (("DISCONTINUED", "DISCONTINUED"), "DISCONTINUED"),
    ],
)
def test_a_step_ends_with_the_last_of_its_reports(ct: Modality, ends: tuple[str, str], result: str) -> None:
    step = make_step()
    one, other = started(ct, step), started(ct, step)
    ct.set(final(ends[0]), one)
    assert status_of(step) == "STARTED"
    ct.set(final(ends[1]), other)
    assert status_of(step) == result


def test_a_report_appended_to_a_complete_step_opens_it_until_that_ends_too(ct: Modality) -> None:
    step = make_step()
    ct.set(final(), started(ct, step))
    assert status_of(step) == "COMPLETED"
    appended = started(ct, step)
    assert status_of(step) == "STARTED"
    ct.set(final("DISCONTINUED"), appended)
    assert status_of(step) == "COMPLETED"


def test_what_staff_completed_by_hand_stays_so(ct: Modality) -> None:
    step = make_step()
    uid = started(ct, step)
    step.transition(S.COMPLETED)
    assert ct.set(final("DISCONTINUED"), uid).status == 0x0000
    assert status_of(step) == "COMPLETED"


def test_an_unscheduled_procedure_is_kept_and_listed_as_such(ct: Modality) -> None:
    assert ct.create(unscheduled(), "1.2.3").status == 0x0000
    assert ct.set(final(), "1.2.3").status == 0x0000
    assert [row.sop_instance_uid for row in PerformedProcedureStep.objects.unscheduled()] == ["1.2.3"]


def test_a_procedure_without_any_item_is_unscheduled(ct: Modality) -> None:
    make_step()
    assert ct.create(creation(), "1.2.3").status == 0x0000
    assert PerformedProcedureStep.objects.unscheduled().count() == 1


def linked(ct: Modality, ds: Dataset) -> list[int]:
    uid = str(generate_uid())
    assert ct.create(ds, uid).status == 0x0000
    return list(stored(uid).scheduled_procedure_steps.order_by("pk").values_list("pk", flat=True))


def item_with(ds: Dataset, **values: Any) -> Dataset:
    for keyword, value in values.items():
        setattr(ds.ScheduledStepAttributesSequence[0], keyword, value)
    return ds


def test_a_step_is_found_by_accession_number_where_the_study_is_unknown(ct: Modality) -> None:
    step = make_step(requested={"accession_number": "A-1"})
    assert linked(ct, item_with(creation(step), StudyInstanceUID="2.25.1", ScheduledProcedureStepID="")) == [step.pk]
    assert linked(ct, item_with(creation(step), StudyInstanceUID="2.25.1", ScheduledProcedureStepID="?")) == [step.pk]


def test_an_accession_number_finds_the_open_steps_of_the_modality(ct: Modality) -> None:
    step = make_step(requested={"accession_number": "A-1"})
    others = [make_step(status=S.COMPLETED), make_step(modality="MR")]
    for other in others:
        other.requested_procedure = step.requested_procedure
        other.save()
    ds = item_with(creation(step), StudyInstanceUID="2.25.1", ScheduledProcedureStepID="")
    assert linked(ct, ds) == [step.pk]


def test_an_accession_number_of_another_patient_links_nothing(ct: Modality) -> None:
    step = make_step(requested={"accession_number": "A-1"})
    ds = item_with(creation(step), StudyInstanceUID="2.25.1", ScheduledProcedureStepID="")
    ds.PatientID = "SOMEONE-ELSE"
    assert linked(ct, ds) == []
    assert status_of(step) == "SCHEDULED"


@pytest.mark.parametrize(
    "other",
    [
        {"PatientID": "SOMEONE-ELSE"},
        {"PatientName": "Doe^John"},
        {"PatientName": "Roe^Jane"},
        {"PatientBirthDate": "19710228"},
        {"PatientSex": "M"},
    ],
)
def test_a_report_that_names_another_patient_is_kept_and_links_nothing(ct: Modality, other: dict[str, str]) -> None:
    step = make_step(patient=JANE)
    ds = creation(step, **other)
    assert linked(ct, ds) == []
    assert status_of(step) == "SCHEDULED"
    assert PerformedProcedureStep.objects.unscheduled().count() == 1


JANE = {
    "family_name": "Doe",
    "given_name": "Jane",
    "patient_birth_date": datetime.date(1950, 7, 1),
    "patient_sex": "F",
    "issuer_of_patient_id": "ELSEWHERE",
}


@pytest.mark.parametrize(
    ("known", "told"),
    [
        ("Müller^Änne", "Mueller^Aenne"),
        ("Müller^Änne", "MULLER^ANNE"),
        ("Müller^Änne", "M?ller^?nne"),
        ("Müller^Änne", "Müller"),
        ("Wolfeschlegelsteinhausen^Änne", "Wolfeschlegelste"),
        ("Müller^Änne", ""),
    ],
)
def test_what_a_console_makes_of_a_name_is_no_other_patient(ct: Modality, known: str, told: str) -> None:
    family_name, given_name = known.split("^")
    step = make_step(patient={**JANE, "family_name": family_name, "given_name": given_name})
    assert linked(ct, creation(step, PatientName=told)) == [step.pk]


def test_a_report_with_what_was_read_before_a_correction_or_a_merge_is_linked(ct: Modality) -> None:
    kept, given_up = (make_step(patient={**JANE, "patient_id": name}) for name in ("P-KEPT", "P-OLD"))
    before = creation(given_up)
    patient, old = (step.requested_procedure.patient for step in (kept, given_up))
    old.family_name = "Corrected"
    old.save()
    merge(patient, old, seen=(patient.version, old.version), entries_seen=1)
    assert linked(ct, before) == [given_up.pk]
    assert linked(ct, creation(kept, PatientID="P-OLD")) == [kept.pk]
    assert linked(ct, creation(kept, PatientID="P-NONE")) == []


def test_an_order_taken_away_from_a_patient_is_that_patients_no_more(ct: Modality) -> None:
    step, other = make_step(patient=JANE), make_step(patient={**JANE, "given_name": "Joan"})
    before = creation(step)
    order = step.requested_procedure
    order.patient = other.requested_procedure.patient
    order.save()
    assert linked(ct, before) == []


def test_a_step_id_of_another_study_links_nothing(ct: Modality) -> None:
    step = make_step()
    assert linked(ct, item_with(creation(step), StudyInstanceUID="2.25.1", AccessionNumber="")) == []


def test_a_started_step_is_offered_to_its_own_station_only(ct: Modality, provider: Provider) -> None:
    step = make_step()
    uid = started(ct, step)
    assert offered(provider.port, "CT1") == [step.scheduled_procedure_step_id]
    assert offered(provider.port, "CT2") == []
    ct.set(final(), uid)
    assert offered(provider.port, "CT1") == []


def test_a_step_that_staff_started_is_offered_to_all(provider: Provider) -> None:
    make_step(status=S.STARTED)
    assert len(offered(provider.port, "CT1")) == len(offered(provider.port, "CT2")) == 1


@pytest.mark.parametrize("before", [S.SCHEDULED, S.READY])
def test_a_completion_that_is_taken_back_is_on_every_list_again(
    ct: Modality, provider: Provider, before: StepStatus
) -> None:
    step = make_step(status=before)
    uid = started(ct, step)
    ct.set(final(), uid)
    reported = stored(uid).data_set
    ScheduledProcedureStep.objects.get(pk=step.pk).undo()
    assert status_of(step) == before
    assert len(offered(provider.port, "CT1")) == len(offered(provider.port, "CT2")) == 1
    assert stored(uid).performed_procedure_step_status == "COMPLETED"
    assert stored(uid).data_set == reported
    assert ct.set(final(), uid).status == 0x0110


def test_a_report_that_was_taken_back_counts_no_more(ct: Modality) -> None:
    step = make_step()
    ct.set(final(), started(ct, step))
    ScheduledProcedureStep.objects.get(pk=step.pk).undo()
    again = started(ct, step)
    ct.set(final("DISCONTINUED"), again)
    assert status_of(step) == "DISCONTINUED"


def test_the_station_was_seen(ct: Modality) -> None:
    make_station()
    started(ct, make_step())
    assert Station.objects.get(ae_title="CT1").last_mpps_at is not None


@pytest.mark.parametrize("transfer_syntax", [IMPLICIT_LITTLE, "1.2.840.10008.1.2.1"])
def test_what_was_reported_can_be_retrieved(provider: Provider, transfer_syntax: str) -> None:
    with modality(provider.port, transfer_syntax=transfer_syntax) as ct:
        uid = started(ct, make_step(patient=MULLER))
        ct.set(final(TotalNumberOfExposures=7), uid)
        answer = ct.get(uid)
    assert answer.status == 0x0000
    ds = answer.data
    assert ds is not None
    assert (ds.PerformedProcedureStepStatus, str(ds.PatientName)) == ("COMPLETED", "Müller^Änne")
    assert ds.TotalNumberOfExposures == 7
    assert len(ds.PerformedSeriesSequence[0].ReferencedImageSequence) == 3


def test_single_attributes_can_be_retrieved_and_those_that_are_unknown_are_named(ct: Modality) -> None:
    uid = started(ct, make_step())
    answer = ct.get(uid, 0x00080060, 0x00400280)
    assert answer.status == 0x0000
    assert answer.data == changes(Modality="CT", CommentsOnThePerformedProcedureStep="")
    answer = ct.get(uid, 0x00080060, 0x00081030)
    assert answer.status == 0x0001
    assert answer.data == changes(Modality="CT")
    assert answer.command.AttributeIdentifierList == Tag(0x00081030)

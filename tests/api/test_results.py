"""What became of an entry, as other systems read it: reasons, what modalities reported, what the receiver has."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from django.utils import timezone
from pydicom import Dataset

from mwl_admin.models import ReceivedStudy, RequestedProcedure, ScheduledProcedureStep
from tests.api.bodies import ENTRY, STEPS, WORKLIST, entry, problems, step
from tests.api.conftest import Caller, caller
from tests.factory import make_station
from tests.mpps.scu import creation, final, series
from tests.mpps.test_page import reported

pytestmark = pytest.mark.django_db

RESULTS = "/api/results/A-5001"


def the_step(number: int = 0) -> ScheduledProcedureStep:
    return ScheduledProcedureStep.objects.select_related("requested_procedure__patient").order_by("pk")[number]


def received(**values: Any) -> ReceivedStudy:
    order = RequestedProcedure.objects.get()
    now = timezone.now()
    return ReceivedStudy.objects.create(
        **{
            "study_instance_uid": order.study_instance_uid,
            "requested_procedure": order,
            "patient_id": "P-1001",
            "modalities": ["CT"],
            "senders": ["CT1"],
            "series_count": 2,
            "instance_count": 40,
            "first_arrival_at": now - datetime.timedelta(minutes=9),
            "last_arrival_at": now - datetime.timedelta(minutes=1),
            "announced_at": now,
            **values,
        }
    )


def test_of_an_entry_with_nothing_done_only_its_steps_are_told(ris: Caller) -> None:
    ris.post(WORKLIST, entry())
    answer = ris.get(RESULTS)
    assert answer.status_code == 200
    assert answer["Cache-Control"] == "no-store"
    told = answer.json()
    assert told["AccessionNumber"] == "A-5001"
    assert told["StudyInstanceUID"] == RequestedProcedure.objects.get().study_instance_uid
    step_id = the_step().scheduled_procedure_step_id
    assert told["steps"] == [
        {"ScheduledProcedureStepID": step_id, "ScheduledProcedureStepStatus": "SCHEDULED", "Modality": "CT"}
    ]
    assert (told["performed"], told["images"]) == ([], [])


def test_why_a_step_was_cancelled_can_be_read_in_every_form(ris: Caller) -> None:
    ris.post(WORKLIST, entry(step(), step(ScheduledProcedureStepStartTime="1200")))
    first = the_step().scheduled_procedure_step_id
    ris.delete(f"{ENTRY}?step={first}&reason=patient+has+a+pacemaker")
    cancelled, other = ris.get(ENTRY).json()[STEPS]
    assert cancelled["ReasonForCancellation"] == "patient has a pacemaker"
    assert "ReasonForCancellation" not in other
    listed = ris.get(WORKLIST).json()[0][STEPS][0]
    assert listed["ReasonForCancellation"] == "patient has a pacemaker"
    in_dicom_json = ris.get(ENTRY, Accept="application/dicom+json").json()[0]["00400100"]["Value"][0]
    assert in_dicom_json["00741238"] == {"vr": "LT", "Value": ["patient has a pacemaker"]}
    assert ris.get(RESULTS).json()["steps"][0]["ReasonForCancellation"] == "patient has a pacemaker"


def test_an_entry_with_a_reason_can_be_sent_back_and_changes_nothing(ris: Caller) -> None:
    ris.post(WORKLIST, entry(step(), step(ScheduledProcedureStepStartTime="1200")))
    ris.delete(f"{ENTRY}?step={the_step().scheduled_procedure_step_id}&reason=double+order")
    read = ris.get(ENTRY)
    for send in (ris.put, ris.patch):
        assert send(ENTRY, read.json())["ETag"] == read["ETag"]
    assert ris.get(ENTRY).json() == read.json()
    # Of the entry itself it is no attribute.
    assert problems(ris.patch(ENTRY, {"ReasonForCancellation": "x"})) == {"ReasonForCancellation": "unknown"}


def test_what_a_modality_reported_is_told_with_its_series_times_and_dose(ris: Caller) -> None:
    make_station()
    ris.post(WORKLIST, entry(step(ScheduledStationAETitle=["CT1"])))
    exposure = Dataset()
    exposure.KVP, exposure.ExposureTime = "120", "750"
    reported(
        creation(the_step()),
        final(
            PerformedSeriesSequence=[series(3), series(2, "Scout")],
            TotalNumberOfExposures=7,
            ImageAndFluoroscopyAreaDoseProduct="12.5",
            ExposureDoseSequence=[exposure],
            CommentsOnRadiationDose="phantom only",
        ),
    )
    told = ris.get(RESULTS).json()
    step_id = the_step().scheduled_procedure_step_id
    assert told["steps"][0]["ScheduledProcedureStepStatus"] == "COMPLETED"
    (performed,) = told["performed"]
    assert performed["PerformedProcedureStepStatus"] == "COMPLETED"
    assert performed["steps"] == [step_id]
    assert performed["PerformedStationAETitle"] == "CT1"
    times = ("StartDate", "StartTime", "EndDate", "EndTime")
    assert [performed[f"PerformedProcedureStep{name}"] for name in times] == [
        "20260504",
        "103105",
        "20260504",
        "104500",
    ]
    first, second = performed["PerformedSeriesSequence"]
    assert first == {
        "SeriesInstanceUID": "2.25.9003",
        "ProtocolName": "Thorax routine",
        "SeriesDescription": "Axial",
        "OperatorsName": "Adams^Ann",
        "NumberOfSeriesRelatedInstances": 3,
    }
    assert (second["ProtocolName"], second["NumberOfSeriesRelatedInstances"]) == ("Scout", 2)
    assert performed["dose"] == {
        "TotalNumberOfExposures": 7,
        "ImageAndFluoroscopyAreaDoseProduct": 12.5,
        "CommentsOnRadiationDose": "phantom only",
        "ExposureDoseSequence": [{"KVP": 120, "ExposureTime": 750}],
    }


def test_why_an_examination_was_discontinued_is_told(ris: Caller) -> None:
    make_station()
    ris.post(WORKLIST, entry(step(ScheduledStationAETitle=["CT1"])))
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = (
        "110513",
        "DCM",
        "Discontinued for unspecified reason",
    )
    reported(
        creation(the_step()),
        final(
            "DISCONTINUED", PerformedProcedureStepDiscontinuationReasonCodeSequence=[code], PerformedSeriesSequence=[]
        ),
    )
    told = ris.get(RESULTS).json()
    assert told["steps"][0]["ScheduledProcedureStepStatus"] == "DISCONTINUED"
    (performed,) = told["performed"]
    assert performed["PerformedProcedureStepDiscontinuationReasonCodeSequence"] == [
        {"CodeValue": "110513", "CodingSchemeDesignator": "DCM", "CodeMeaning": "Discontinued for unspecified reason"}
    ]
    assert "dose" not in performed


@pytest.mark.parametrize("odd", ["", "NaN", "Infinity", "1e999", "a lot"])
def test_a_number_that_is_none_is_left_out(ris: Caller, odd: str) -> None:
    make_station()
    ris.post(WORKLIST, entry(step(ScheduledStationAETitle=["CT1"])))
    performed = reported(creation(the_step()), final())
    performed.data_set["00400302"] = {"vr": "US", "Value": [odd]}
    performed.save()
    answer = ris.get(RESULTS)
    assert answer.status_code == 200
    assert "dose" not in answer.json()["performed"][0]
    assert "NaN" not in answer.content.decode()


def test_the_images_that_the_receiver_has_are_counted(ris: Caller) -> None:
    ris.post(WORKLIST, entry())
    received()
    (study,) = ris.get(RESULTS).json()["images"]
    assert (study["NumberOfStudyRelatedSeries"], study["NumberOfStudyRelatedInstances"]) == (2, 40)
    assert (study["ModalitiesInStudy"], study["senders"]) == (["CT"], ["CT1"])
    assert study["of_another_patient"] is False
    assert datetime.datetime.fromisoformat(study["first_arrival"]) < datetime.datetime.fromisoformat(
        study["last_arrival"]
    )


def test_images_of_another_patient_are_marked_and_the_other_is_not_named(ris: Caller) -> None:
    ris.post(WORKLIST, entry())
    received(patient_id="P-9999", patient_name="Secret^Sam")
    answer = ris.get(RESULTS)
    assert answer.json()["images"][0]["of_another_patient"] is True
    assert "Secret" not in answer.content.decode()
    assert "P-9999" not in answer.content.decode()


def test_a_station_is_told_of_its_own_steps_only(ris: Caller) -> None:
    make_station()
    make_station("MR1", "MR", station_name="MR room")
    ris.post(
        WORKLIST,
        entry(
            step(ScheduledStationAETitle=["CT1"]),
            step(Modality="MR", ScheduledStationAETitle=["MR1"], ScheduledProcedureStepStartTime="1200"),
        ),
    )
    reported(creation(the_step(1), Modality="MR", PerformedStationAETitle="MR1"), calling_ae="MR1")
    mine = the_step().stations.get()
    told = caller(name="CT1", station=mine).get(RESULTS).json()
    assert [item["Modality"] for item in told["steps"]] == ["CT"]
    assert told["performed"] == []


def test_an_accession_number_with_a_slash_is_found(ris: Caller) -> None:
    ris.post(WORKLIST, entry(AccessionNumber="26/5001"))
    for path in ("/api/results/26/5001", "/api/results/26%2F5001"):
        assert ris.get(path).json()["AccessionNumber"] == "26/5001"
    assert problems(ris.get("/api/results/26/5002")) == {"AccessionNumber": "unknown"}

"""The table of attributes, held against the models, the data dictionary and PS3.4 Table K.6-1."""

from __future__ import annotations

import pytest
from django.core.exceptions import FieldDoesNotExist
from django.db import models
from pydicom.datadict import dictionary_VR, tag_for_keyword

from mwl_admin.models import ScheduledProcedureStep, Station
from mwl_admin.worklist.attributes import (
    ATTRIBUTES,
    PROTOCOL_CODES,
    STATION_IDS,
    STEP_ATTRIBUTES,
    Matching,
    WorklistAttribute,
)

EVERY = [*ATTRIBUTES, *STEP_ATTRIBUTES, *(child for attribute in ATTRIBUTES for child in attribute.children)]

K_6_1 = {
    # keyword: (matching key type R or O, return key type) as PS3.4 Table K.6-1 has them
    "ScheduledStationAETitle": ("R", "1"),
    "ScheduledProcedureStepStartDate": ("R", "1"),
    "ScheduledProcedureStepStartTime": ("R", "1"),
    "Modality": ("R", "1"),
    "ScheduledPerformingPhysicianName": ("R", "2"),
    "ScheduledProcedureStepDescription": ("O", "1C"),
    "ScheduledStationName": ("O", "2"),
    "ScheduledProcedureStepLocation": ("O", "2"),
    "ScheduledProtocolCodeSequence": ("O", "1C"),
    "PreMedication": ("O", "2C"),
    "ScheduledProcedureStepID": ("O", "1"),
    "RequestedContrastAgent": ("O", "2C"),
    "ScheduledProcedureStepStatus": ("O", "3"),
    "RequestedProcedureID": ("O", "1"),
    "RequestedProcedureDescription": ("O", "1C"),
    "RequestedProcedureCodeSequence": ("O", "1C"),
    "StudyInstanceUID": ("O", "1"),
    "ReferencedStudySequence": ("O", "2"),
    "RequestedProcedurePriority": ("O", "2"),
    "PatientTransportArrangements": ("O", "2"),
    "AccessionNumber": ("O", "2"),
    "RequestingPhysician": ("O", "2"),
    "ReferringPhysicianName": ("O", "2"),
    "AdmissionID": ("O", "2"),
    "CurrentPatientLocation": ("O", "2"),
    "ReferencedPatientSequence": ("O", "2"),
    "PatientName": ("R", "1"),
    "PatientID": ("R", "1"),
    "PatientBirthDate": ("O", "2"),
    "PatientSex": ("O", "2"),
    "PatientWeight": ("O", "2"),
    "ConfidentialityConstraintOnPatientDataDescription": ("O", "2"),
    "PatientState": ("O", "2"),
    "PregnancyStatus": ("O", "2"),
    "MedicalAlerts": ("O", "2"),
    "Allergies": ("O", "2"),
    "SpecialNeeds": ("O", "2"),
}


def by_keyword(keyword: str) -> WorklistAttribute:
    return next(attribute for attribute in EVERY if attribute.keyword == keyword)


@pytest.mark.parametrize("attribute", EVERY, ids=lambda attribute: attribute.keyword)
def test_every_keyword_is_in_the_dictionary(attribute: WorklistAttribute) -> None:
    assert attribute.tag == tag_for_keyword(attribute.keyword) != 0
    assert attribute.vr == dictionary_VR(attribute.tag)


@pytest.mark.parametrize(("keyword", "types"), K_6_1.items())
def test_matching_and_return_types_are_the_standards(keyword: str, types: tuple[str, str]) -> None:
    attribute = by_keyword(keyword)
    assert attribute.return_type == types[1]
    if types[0] == "R":
        assert attribute.matching is not Matching.NONE


def field_of(path: str) -> models.Field[object, object]:
    model: type[models.Model] = ScheduledProcedureStep
    *relations, name = path.split("__")
    for relation in relations:
        model = model._meta.get_field(relation).related_model  # type: ignore[assignment]
    return model._meta.get_field(name)  # type: ignore[return-value]


@pytest.mark.parametrize("attribute", EVERY, ids=lambda attribute: attribute.keyword)
def test_every_column_is_in_the_models(attribute: WorklistAttribute) -> None:
    for column in attribute.columns:
        if column not in {STATION_IDS, PROTOCOL_CODES}:
            field_of(column)
    for path in attribute.paths:
        if attribute.matching is Matching.STATION or path == "location":
            Station._meta.get_field(path)
        elif not path.startswith("protocolcode__"):
            field_of(path)
    if attribute.matching is Matching.NONE:
        assert not attribute.paths


@pytest.mark.parametrize("attribute", EVERY, ids=lambda attribute: attribute.keyword)
def test_a_column_that_is_sent_as_it_is_has_the_vr_of_its_attribute(attribute: WorklistAttribute) -> None:
    if attribute.compose is not None or len(attribute.columns) != 1 or attribute.items is not None:
        return
    field = field_of(attribute.columns[0])
    if hasattr(field, "vr"):
        # A field may be stricter than its attribute's VR, never laxer.
        laxer = {"SH": {"SH", "CS"}, "LO": {"LO", "SH"}, "ST": {"LO", "ST"}, "LT": {"LT", "LO", "ST"}}
        assert field.vr in laxer.get(attribute.vr, {attribute.vr})
    else:
        assert field.choices, attribute.keyword


def test_a_path_that_is_no_column_would_be_noticed() -> None:
    with pytest.raises(FieldDoesNotExist):
        field_of("requested_procedure__patient__nonesuch")

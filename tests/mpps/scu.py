"""A modality's side of MPPS, with pynetdicom; the command set of each response as it came."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pydicom import Dataset
from pydicom.datadict import keyword_for_tag
from pydicom.tag import Tag
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    ModalityPerformedProcedureStep,
    ModalityPerformedProcedureStepRetrieve,
    ModalityWorklistInformationFind,
)

from dicom_encoding.syntaxes import EXPLICIT_LITTLE
from mwl_admin.models import ScheduledProcedureStep
from simulator.answers import keep_answers

MPPS = str(ModalityPerformedProcedureStep)
RETRIEVE = str(ModalityPerformedProcedureStepRetrieve)


@dataclass
class Answer:
    """A response: its command set, and its data set where it had one."""

    command: Dataset
    data: Dataset | None = None

    @property
    def status(self) -> int:
        return int(self.command.Status)

    @property
    def offending(self) -> list[str]:
        """Offending Element, which Attribute Identifier List repeats, as keywords."""
        named = _many(self.command.get("OffendingElement"))
        assert named == _many(self.command.get("AttributeIdentifierList"))
        return [keyword_for_tag(tag) for tag in named]


def _many(value: Any) -> list[int]:
    if value is None:
        return []
    return list(value) if hasattr(value, "__iter__") else [value]


@dataclass
class Modality:
    """One association, and all responses that came over it."""

    assoc: Association
    received: list[Dataset] = field(default_factory=list)

    def create(self, ds: Dataset, uid: str | None = None, *, sop_class: str = MPPS) -> Answer:
        _, data = self.assoc.send_n_create(ds, sop_class, uid)
        return Answer(self.received[-1], data)

    def set(self, ds: Dataset, uid: str, *, sop_class: str = MPPS) -> Answer:
        _, data = self.assoc.send_n_set(ds, sop_class, uid)
        return Answer(self.received[-1], data)

    def get(self, uid: str, *tags: int) -> Answer:
        _, data = self.assoc.send_n_get([Tag(tag) for tag in tags], RETRIEVE, uid)
        return Answer(self.received[-1], data)


@contextmanager
def modality(port: int, *, calling: str = "CT1", transfer_syntax: str = EXPLICIT_LITTLE) -> Iterator[Modality]:
    received: list[Dataset] = []
    ae = AE(ae_title=calling)
    for sop_class in (MPPS, RETRIEVE):
        ae.add_requested_context(sop_class, transfer_syntax)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 30
    note = (evt.EVT_DIMSE_RECV, lambda event: received.append(event.message.command_set))
    assoc = ae.associate("127.0.0.1", port, ae_title="MWL_SCP", evt_handlers=[note])
    assert assoc.is_established
    keep_answers(assoc)
    try:
        yield Modality(assoc, received)
    finally:
        if assoc.is_established:
            assoc.release()


def offered(port: int, calling: str) -> list[str]:
    """Return the step IDs that a station gets from the worklist."""
    ae = AE(ae_title=calling)
    ae.add_requested_context(ModalityWorklistInformationFind)
    assoc = ae.associate("127.0.0.1", port, ae_title="MWL_SCP")
    assert assoc.is_established
    ds = Dataset()
    item = Dataset()
    item.ScheduledProcedureStepID = ""
    ds.ScheduledProcedureStepSequence = [item]
    found = [identifier for _, identifier in assoc.send_c_find(ds, ModalityWorklistInformationFind) if identifier]
    assoc.release()
    return [identifier.ScheduledProcedureStepSequence[0].ScheduledProcedureStepID for identifier in found]


def step_item(step: ScheduledProcedureStep) -> Dataset:
    """The item of the Scheduled Step Attributes Sequence that a modality makes of a worklist entry."""
    requested = step.requested_procedure
    item = Dataset()
    item.StudyInstanceUID = requested.study_instance_uid
    item.ReferencedStudySequence = []
    item.AccessionNumber = requested.accession_number
    item.RequestedProcedureID = requested.requested_procedure_id
    item.RequestedProcedureDescription = ""
    item.ScheduledProcedureStepID = step.scheduled_procedure_step_id
    item.ScheduledProcedureStepDescription = ""
    item.ScheduledProtocolCodeSequence = []
    return item


def creation(*steps: ScheduledProcedureStep, **values: Any) -> Dataset:
    """The data set of an N-CREATE; None leaves an attribute out."""
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.ScheduledStepAttributesSequence = [step_item(step) for step in steps]
    # The patient of the entry, as a modality copies it; nobody else's report would be linked.
    patient = steps[0].requested_procedure.patient if steps else None
    ds.PatientName = patient.patient_name if patient else "Müller^Änne"
    ds.PatientID = patient.patient_id if patient else "WALK-IN"
    ds.PatientBirthDate = "19500701"
    ds.PatientSex = "F"
    ds.ReferencedPatientSequence = []
    ds.PerformedProcedureStepID = "1"
    ds.PerformedStationAETitle = "CT1"
    ds.PerformedStationName = "CT room 1"
    ds.PerformedLocation = ""
    ds.PerformedProcedureStepStartDate = "20260504"
    ds.PerformedProcedureStepStartTime = "103105.5"
    ds.PerformedProcedureStepEndDate = ""
    ds.PerformedProcedureStepEndTime = ""
    ds.PerformedProcedureStepStatus = "IN PROGRESS"
    ds.PerformedProcedureStepDescription = ""
    ds.PerformedProcedureTypeDescription = ""
    ds.ProcedureCodeSequence = []
    ds.PerformedProcedureStepDiscontinuationReasonCodeSequence = []
    ds.Modality = "CT"
    ds.StudyID = ""
    ds.PerformedProtocolCodeSequence = []
    ds.PerformedSeriesSequence = []
    return _with(ds, values)


def unscheduled(**values: Any) -> Dataset:
    """The data set of an N-CREATE for what nobody ordered: a study, and no accession number and step ID."""
    ds = creation(**values)
    item = Dataset()
    item.StudyInstanceUID = "2.25.4711"
    item.ReferencedStudySequence = []
    item.AccessionNumber = ""
    item.RequestedProcedureID = ""
    item.ScheduledProcedureStepID = ""
    ds.ScheduledStepAttributesSequence = [item]
    return ds


def series(images: int, protocol: str = "Thorax routine") -> Dataset:
    item = Dataset()
    item.PerformingPhysicianName = ""
    item.ProtocolName = protocol
    item.OperatorsName = "Adams^Ann"
    item.SeriesInstanceUID = f"2.25.900{images}"
    item.SeriesDescription = "Axial"
    item.RetrieveAETitle = ""
    item.ReferencedNonImageCompositeSOPInstanceSequence = []
    item.ReferencedImageSequence = []
    for number in range(images):
        image = Dataset()
        image.ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
        image.ReferencedSOPInstanceUID = f"2.25.901{number + 1}"
        item.ReferencedImageSequence.append(image)
    return item


def final(status: str = "COMPLETED", **values: Any) -> Dataset:
    """The data set of a final N-SET; None leaves an attribute out."""
    ds = Dataset()
    ds.PerformedProcedureStepStatus = status
    ds.PerformedProcedureStepEndDate = "20260504"
    ds.PerformedProcedureStepEndTime = "104500"
    ds.PerformedSeriesSequence = [series(3)]
    return _with(ds, values)


def changes(**values: Any) -> Dataset:
    return _with(Dataset(), values)


def _with(ds: Dataset, values: dict[str, Any]) -> Dataset:
    for keyword, value in values.items():
        if value is None:
            delattr(ds, keyword)
        else:
            setattr(ds, keyword, value)
    return ds

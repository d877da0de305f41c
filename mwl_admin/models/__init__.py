"""The worklist's data model: DICOM's model of the real world (PS3.3 §7), as far as a worklist needs it.

Columns that hold a DICOM attribute are named after its keyword, in snake case.
"""

from mwl_admin.models.account import FirstPassword
from mwl_admin.models.caller import Enrolment, KeptOut, ServiceName, UnknownCaller, UsedNonce
from mwl_admin.models.catalogue import Procedure, ProtocolCode
from mwl_admin.models.changed import ChangeFeed, EntryChange
from mwl_admin.models.client import APIClient
from mwl_admin.models.downtime import DowntimeRecord
from mwl_admin.models.former import FormerPatientID
from mwl_admin.models.outgoing import OutgoingChange
from mwl_admin.models.patient import MergedPatient, Patient
from mwl_admin.models.performed import PerformedProcedureStep
from mwl_admin.models.query import WorklistDelivery, WorklistQuery
from mwl_admin.models.reading import PatientRead
from mwl_admin.models.received import ReceivedStudy, SettledStep, StudyNotice
from mwl_admin.models.requested import RequestedProcedure
from mwl_admin.models.scheduled import ScheduledProcedureStep
from mwl_admin.models.sequence import Sequence
from mwl_admin.models.station import DeviceKind, Station
from mwl_admin.models.status import StepStatus

__all__ = [
    "APIClient",
    "ChangeFeed",
    "DeviceKind",
    "DowntimeRecord",
    "Enrolment",
    "EntryChange",
    "FirstPassword",
    "FormerPatientID",
    "KeptOut",
    "MergedPatient",
    "OutgoingChange",
    "Patient",
    "PatientRead",
    "PerformedProcedureStep",
    "Procedure",
    "ProtocolCode",
    "ReceivedStudy",
    "RequestedProcedure",
    "ScheduledProcedureStep",
    "Sequence",
    "ServiceName",
    "SettledStep",
    "Station",
    "StepStatus",
    "StudyNotice",
    "UnknownCaller",
    "UsedNonce",
    "WorklistDelivery",
    "WorklistQuery",
]

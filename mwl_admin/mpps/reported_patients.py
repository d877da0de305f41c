"""Whom a report is about: the patient of the entry that it refers to, or somebody else."""

from __future__ import annotations

from collections.abc import Iterator

from gateway_link import names
from mwl_admin.models import MergedPatient, Patient, RequestedProcedure
from mwl_admin.mpps.dataset import DataSet
from mwl_admin.mpps.report import date, text
from mwl_admin.patients import identity


def differences(ds: DataSet, order: RequestedProcedure) -> tuple[str, ...]:
    """Return in which keywords a report's demographics contradict those of the order's patient; none for the same one.

    A station repeats what it read, be it some hours ago: the record as it was before a correction counts too, and so
    does the record that was merged into this one.
    """
    told = identity.Demographics(
        text(ds, "PatientID"),
        text(ds, "IssuerOfPatientID"),
        text(ds, "PatientName"),
        date(ds, "PatientBirthDate"),
        text(ds, "PatientSex"),
    )
    differs = _differs(identity.of_record(order.patient), told)
    if differs and all(_differs(known, told) for known in _before(order)):
        return differs
    return ()


def _differs(known: identity.Demographics, told: identity.Demographics) -> tuple[str, ...]:
    differs = identity.judge(known, told, lossy=True).differs
    # Few stations repeat the issuer, and its absence in a report is no word for the department's own.
    return tuple(keyword for keyword in differs if keyword != "IssuerOfPatientID" or told.issuer)


def _before(order: RequestedProcedure) -> Iterator[identity.Demographics]:
    """Yield what the order's patient was called before: the record's versions, and those of records merged into it.

    Merging moved the entries of a record and deleted it. A record that an order was taken away from, and that still
    exists, is another patient's.
    """
    orders = RequestedProcedure.objects.filter(patient=order.patient_id).values("pk")
    owners = set(RequestedProcedure.history.filter(id__in=orders).values_list("patient_id", flat=True))
    others = set(Patient.objects.filter(pk__in=owners).values_list("pk", flat=True))
    # Records without entries leave no trace in the orders' history.
    merged = MergedPatient.objects.filter(patient=order.patient_id).values_list("record_id", flat=True)
    for version in Patient.history.filter(id__in={*(owners - others), *merged, order.patient_id}):
        parts = (version.family_name, version.given_name)
        groups = (names.join(parts), version.ideographic_name, version.phonetic_name)
        yield identity.Demographics(
            version.patient_id,
            version.issuer_of_patient_id,
            names.join(groups, "="),
            version.patient_birth_date,
            version.patient_sex,
        )

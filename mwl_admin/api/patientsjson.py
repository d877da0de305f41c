"""Patients as the API shows them and takes them: DICOM JSON, or keywords with bare values."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from mwl_admin.api.dicomjson import DataSet
from mwl_admin.entries.entry_attributes import COLUMNS, Level
from mwl_admin.entries.jsonform import entry_from_json
from mwl_admin.entries.patients import only_patient
from mwl_admin.models import Patient

_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")


def shown(patient: Patient) -> DataSet:
    """Return a record as DICOM JSON, without what is empty."""
    data_set = {"00100010": {"vr": "PN", "Value": [_name(patient)]}}
    for column in COLUMNS.values():
        value = getattr(patient, column.name) if column.level is Level.PATIENT else None
        if value not in {None, ""}:
            lines = value.splitlines() if column.attribute.multiple else [_plain(value)]
            data_set[f"{column.attribute.tag:08X}"] = {"vr": column.attribute.vr, "Value": lines}
    return dict(sorted(data_set.items()))


def _name(patient: Patient) -> dict[str, str]:
    groups = zip(_GROUPS, patient.patient_name.split("="), strict=False)
    return {group: value for group, value in groups if value}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime.date):
        return f"{value:%Y%m%d}"
    if isinstance(value, Decimal):
        number = float(value)
        return int(number) if number.is_integer() else number
    return value


def values_of(body: Any) -> Mapping[str, Any]:
    """Return what a JSON document says of a patient.

    :raises EntryError: it is no JSON of a patient, or of more than one.
    """
    return only_patient(entry_from_json(body))


def tag_of(patient: Patient) -> str:
    """Return the entity tag (RFC 9110 section 8.8.3) of a record."""
    return f'"p{patient.pk}-{patient.version}"'

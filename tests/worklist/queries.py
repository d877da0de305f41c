"""Queries as a modality would write them, and what the worklist answers."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from io import BytesIO
from typing import Any

from pydicom import Dataset
from pydicom.config import disable_value_validation
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset

from dicom_encoding.syntaxes import EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE
from mwl_admin.models import ScheduledProcedureStep
from mwl_admin.worklist.identifier import Identifier, parse
from mwl_admin.worklist.policy import Policy
from mwl_admin.worklist.query import PreparedQuery, prepare

NOON = datetime.datetime(2026, 5, 4, 12, 0)  # noqa: DTZ001 - the department's wall clock
NOBODY = "WORKSTATION"
"""A calling AE title that belongs to no station, so that no profile applies."""


def identifier(step: dict[str, Any] | None = None, **keys: Any) -> Dataset:
    """Return an identifier with keys by keyword; ``step`` are those of the scheduled step, None leaves it out.

    Nothing is validated: wild cards and ranges are no values of their VRs.
    """
    ds = Dataset()
    with disable_value_validation():
        for keyword, value in keys.items():
            setattr(ds, keyword, value)
        if step is not None:
            item = Dataset()
            for keyword, value in step.items():
                setattr(item, keyword, value)
            ds.ScheduledProcedureStepSequence = [item]
    return ds


def encoded(ds: Dataset, transfer_syntax: str = IMPLICIT_LITTLE) -> bytes:
    """Return a data set's bytes, as pydicom writes them."""
    out = DicomBytesIO()
    out.is_implicit_VR = transfer_syntax == IMPLICIT_LITTLE
    out.is_little_endian = transfer_syntax != EXPLICIT_BIG
    write_dataset(out, ds)
    return out.getvalue()


def decoded(data: bytes, transfer_syntax: str = IMPLICIT_LITTLE) -> Dataset:
    """Return the data set of ``data``, as pydicom reads it."""
    return read_dataset(BytesIO(data), transfer_syntax == IMPLICIT_LITTLE, transfer_syntax != EXPLICIT_BIG)


def parsed(ds: Dataset, transfer_syntax: str = IMPLICIT_LITTLE) -> Identifier:
    return parse(encoded(ds, transfer_syntax), transfer_syntax)


def query(
    ds: Dataset,
    *,
    caller: str = NOBODY,
    policy: Policy | None = None,
    transfer_syntax: str = EXPLICIT_LITTLE,
    now: datetime.datetime = NOON,
    address: str = "",
) -> PreparedQuery:
    """Prepare a query of a data set."""
    policy = policy or Policy()
    return prepare(parsed(ds, transfer_syntax), caller, transfer_syntax, policy, now=now, address=address)


def found(ds: Dataset, **options: Any) -> list[int]:
    """Return the primary keys of the steps that a query finds, in order."""
    return [match.step_pk for match in query(ds, **options).run()]


def answers(ds: Dataset, *, transfer_syntax: str = EXPLICIT_LITTLE, **options: Any) -> list[Dataset]:
    """Return the responses to a query as pydicom reads them."""
    run = query(ds, transfer_syntax=transfer_syntax, **options).run()
    return [decoded(match.identifier, transfer_syntax) for match in run]


def pks(steps: Sequence[ScheduledProcedureStep]) -> list[int]:
    return [step.pk for step in steps]

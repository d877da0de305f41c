"""Entries as a table, one row a step: with the columns of an import, so that what is written can be read again."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

from mwl_admin.entries.entry_attributes import COLUMNS, NAME_FIELDS, STATIONS, Level
from mwl_admin.entries.tables.columns import CODE_PARTS, DOWNTIME, HEADINGS, NAME_PARTS, Heading
from mwl_admin.entries.tables.spreadsheets import write_csv, write_xlsx
from mwl_admin.models import ScheduledProcedureStep, StepStatus
from mwl_admin.models.scheduled import ScheduledProcedureStepQuerySet

EXPORTED = tuple(heading for heading in HEADINGS if heading.name != "Patient name")
"""The name is written by its parts; the whole of it only where it has more than the alphabetic form."""


def headings() -> list[str]:
    """Return the headings of an export."""
    return [heading.name for heading in EXPORTED]


def to_be_filled_in() -> list[str]:
    """Return the headings of the template: those that an import reads."""
    return [heading.name for heading in EXPORTED if heading.name not in DOWNTIME]


def rows(steps: ScheduledProcedureStepQuerySet) -> Iterator[list[Any]]:
    """Yield the cells of each step."""
    whole = steps.select_related("requested_procedure__patient", "requested_procedure__procedure", "downtime_record")
    for step in whole.prefetch_related("stations").iterator(chunk_size=500):
        yield [_cell(heading, step) for heading in EXPORTED]


def _cell(heading: Heading, step: ScheduledProcedureStep) -> Any:
    order = step.requested_procedure
    if heading.name in NAME_PARTS:
        return getattr(order.patient, NAME_FIELDS[NAME_PARTS.index(heading.name)])
    if heading.name in CODE_PARTS:
        fields = ("code_value", "coding_scheme_designator", "code_meaning")
        return getattr(order, fields[CODE_PARTS.index(heading.name)])
    if heading.name in DOWNTIME:
        return _done_in_downtime(step)[DOWNTIME.index(heading.name)]
    if heading.keyword == STATIONS:
        return "; ".join(station.ae_title for station in step.stations.all())
    if not heading.keyword:
        return order.procedure.name if order.procedure else ""
    column = COLUMNS[heading.keyword]
    owner = {Level.PATIENT: order.patient, Level.REQUESTED: order, Level.STEP: step}[column.level]
    return _written(getattr(owner, column.name), several=column.attribute.multiple)


def _done_in_downtime(step: ScheduledProcedureStep) -> tuple[str, str]:
    """Return the times that staff entered after a downtime; empty where the step is not completed by them."""
    record = getattr(step, "downtime_record", None)
    if record is None or step.status != StepStatus.COMPLETED:
        return "", ""
    start, end = (timezone.localtime(moment) for moment in (record.performed_start_at, record.performed_end_at))
    return f"{start:%Y-%m-%d %H:%M}", f"{end:%Y-%m-%d %H:%M}"


def _written(value: Any, *, several: bool) -> Any:
    if value is None:
        return ""
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, datetime.time):
        return value.strftime("%H:%M:%S" if value.second else "%H:%M")
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    return "; ".join(value.splitlines()) if several else value


def template_xlsx() -> bytes:
    """Return a workbook with the headings and nothing below them, and a sheet that explains them."""
    explained: Iterable[list[str]] = [
        [_("Column"), _("What it is"), _("Example"), _("DICOM attribute")],
        *(
            [heading.name, str(heading.meaning), heading.example, heading.keyword]
            for heading in HEADINGS
            if heading.name not in DOWNTIME
        ),
    ]
    return write_xlsx(to_be_filled_in(), [], help_rows=explained)


def template_csv() -> bytes:
    """Return the headings as CSV."""
    return write_csv(to_be_filled_in(), [])

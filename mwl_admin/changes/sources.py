"""Which tables an entry's look is made of, and which entries a row of each belongs to: one statement for all triggers.

What is added to what an entry shows is added here, and then every writer of it is seen: form, import, API, MPPS, merge,
bulk update, cascade, another program.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mwl_admin.models import (
    Patient,
    PerformedProcedureStep,
    ProtocolCode,
    ReceivedStudy,
    RequestedProcedure,
    ScheduledProcedureStep,
    Station,
)


@dataclass(frozen=True, slots=True)
class Source:
    """A table. ``entries`` is SQL that selects the entries of the row ``{row}``, which is OLD or NEW.

    ``columns`` are the only ones whose update matters; empty: all.
    """

    table: str
    entries: str
    columns: tuple[str, ...] = ()


def table(model: Any) -> str:
    """Return the name of a model's table."""
    return str(model._meta.db_table)


ENTRIES = table(RequestedProcedure)
_STEPS = table(ScheduledProcedureStep)
_STATIONS = table(ScheduledProcedureStep.stations.through)
_CODES = table(ScheduledProcedureStep.protocol_codes.through)
_PERFORMED = table(PerformedProcedureStep.scheduled_procedure_steps.through)


def _of_steps(through: str, column: str, value: str) -> str:
    return (
        f"SELECT s.requested_procedure_id AS entry FROM {_STEPS} s "
        f"JOIN {through} t ON t.scheduledprocedurestep_id = s.id WHERE t.{column} = {value}"
    )


_OF_STEP = f"SELECT requested_procedure_id AS entry FROM {_STEPS} WHERE id = {{row}}.scheduledprocedurestep_id"
# A step without stations names all of its modality.
_OF_STATION = (
    f"{_of_steps(_STATIONS, 'station_id', '{row}.id')} UNION "
    f"SELECT s.requested_procedure_id FROM {_STEPS} s WHERE s.modality = {{row}}.modality "
    f"AND NOT EXISTS (SELECT 1 FROM {_STATIONS} t WHERE t.scheduledprocedurestep_id = s.id)"
)

SOURCES = (
    Source(ENTRIES, "SELECT {row}.id AS entry"),
    Source(_STEPS, "SELECT {row}.requested_procedure_id AS entry"),
    Source(_STATIONS, _OF_STEP),
    Source(_CODES, _OF_STEP),
    Source(_PERFORMED, _OF_STEP),
    Source(table(Patient), f"SELECT id AS entry FROM {ENTRIES} WHERE patient_id = {{row}}.id"),
    Source(table(Station), _OF_STATION, ("ae_title", "station_name", "location", "modality", "enabled")),
    Source(table(ProtocolCode), _of_steps(_CODES, "protocolcode_id", "{row}.id")),
    Source(table(PerformedProcedureStep), _of_steps(_PERFORMED, "performedprocedurestep_id", "{row}.id")),
    Source(table(ReceivedStudy), "SELECT {row}.requested_procedure_id AS entry"),
)

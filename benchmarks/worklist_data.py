"""A worklist of any size, written by the database itself: a million entries in a minute."""

from __future__ import annotations

import datetime

from django.core.management.color import no_style
from django.db import connection, models

from mwl_admin.models import Patient, RequestedProcedure, ScheduledProcedureStep, Station

PER_DAY = 50


def fill(entries: int, today: datetime.date, *, per_day: int = PER_DAY) -> None:
    """Fill an empty, migrated worklist with ``entries`` steps, ``per_day`` on each day around ``today``.

    Each has a patient and an order of its own; every second one is assigned to station CT1.
    """
    station = Station.objects.create(ae_title="CT1", modality="CT", station_name="CT room 1", location="Ground floor")
    half = entries // per_day // 2
    _insert(
        Patient,
        entries,
        patient_id="'P' || n",
        family_name="'Doe' || (n % 1000)",
        given_name="'Jane' || n",
        name_key="'doe' || (n % 1000) || '^jane' || n",
        name_folded="'doe' || (n % 1000) || '^jane' || n",
        patient_sex="'F'",
        patient_birth_date=_day("n % 20000", datetime.date(1940, 1, 1)),
    )
    _insert(
        RequestedProcedure,
        entries,
        patient_id="n",
        accession_number="'A' || n",
        requested_procedure_id="'R' || n",
        study_instance_uid="'2.25.1000000000000000000' || n",
        requested_procedure_description="'CT thorax'",
        requested_procedure_priority="'ROUTINE'",
        code_value="'CTTHX'",
        coding_scheme_designator="'99LOCAL'",
        code_meaning="'CT of thorax'",
        referring_physician_name="'Adams^Jo'",
        referring_physician_name_key="'adams^jo'",
        referring_physician_name_folded="'adams^jo'",
    )
    _insert(
        ScheduledProcedureStep,
        entries,
        requested_procedure_id="n",
        scheduled_procedure_step_id="'S' || n",
        status="'SCHEDULED'",
        modality="'CT'",
        scheduled_date=_day(f"((n - 1) / {per_day} - {half})", today),
        scheduled_time=_time(f"8 + (n % {per_day}) * 12 / {per_day}", "(n % 6) * 10"),
        scheduled_procedure_step_description="'CT thorax with contrast'",
        scheduled_performing_physician_name="'Baker^Bo'",
        scheduled_performing_physician_name_key="'baker^bo'",
        scheduled_performing_physician_name_folded="'baker^bo'",
    )
    link = ScheduledProcedureStep.stations.through._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {link} (scheduledprocedurestep_id, station_id) "
            f"SELECT id, %s FROM {ScheduledProcedureStep._meta.db_table} WHERE id %% 2 = 0",
            [station.pk],
        )
        for statement in connection.ops.sequence_reset_sql(
            no_style(), [Patient, RequestedProcedure, ScheduledProcedureStep]
        ):
            cursor.execute(statement)


def _insert(model: type[models.Model], count: int, **given: str) -> None:
    """Insert ``count`` rows; ``given`` are SQL expressions in the row's number n, all else is the model's default."""
    columns = {"id": "n"}
    for field in model._meta.concrete_fields:
        name = field.column or field.name
        if name not in columns:
            columns[name] = given.pop(name, "") or _default(field)
    assert not given, given
    names, values = ", ".join(f'"{name}"' for name in columns), ", ".join(columns.values())
    with connection.cursor() as cursor:
        cursor.execute(
            f'INSERT INTO "{model._meta.db_table}" ({names}) '
            f"WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {count}) "
            f"SELECT {values} FROM numbers"
        )


def _default(field: models.Field[object, object]) -> str:
    if isinstance(field, models.DateTimeField):
        return "'2026-01-01 00:00:00'" if connection.vendor == "sqlite" else "TIMESTAMPTZ '2026-01-01 00:00:00Z'"
    if field.null:
        return "NULL"
    if isinstance(field, models.IntegerField):
        return "0"
    return "''"


def _day(offset: str, start: datetime.date) -> str:
    if connection.vendor == "sqlite":
        return f"date('{start}', {offset} || ' days')"
    return f"DATE '{start}' + ({offset})::int"


def _time(hour: str, minute: str) -> str:
    if connection.vendor == "sqlite":
        return f"printf('%02d:%02d:00', {hour}, {minute})"
    return f"make_time(({hour})::int, ({minute})::int, 0)"

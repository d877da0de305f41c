"""Statements that run with each request and differ by their parameters alone: made once, then only run.

To make a statement of a queryset takes Django longer than the database needs to answer it.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.db import connection, models
from django.db.models import QuerySet

M = TypeVar("M", bound=models.Model)
_SAMPLES: dict[type, Callable[[int], Any]] = {
    int: lambda place: -7_360_000_000 - place,
    str: lambda place: f"sample parameter {place}",
    datetime.date: lambda place: datetime.date(1000, 3, 1 + place),
}
"""Parameters that no statement has by itself."""
Kind = type[int] | type[str] | type[datetime.date]
Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class _Made:
    """A statement. ``parameters`` are places in what it is run with, or -1 and a value of its own."""

    sql: str
    parameters: Sequence[tuple[int, Any]]
    converters: Sequence[tuple[int, Any]]

    def converted(self, row: Row) -> Row:
        """Return a row with the values that the columns' fields make of what the database holds."""
        values = list(row)
        for place, (converters, expression) in self.converters:
            for convert in converters:
                values[place] = convert(values[place], expression, connection)
        return tuple(values)


def _for_database(parameter: Any) -> Any:
    """Return a parameter as the fields of this kind of database hand it over."""
    return connection.ops.adapt_datefield_value(parameter) if isinstance(parameter, datetime.date) else parameter


class Prepared:
    """A statement of ``build``, which makes a queryset of rows (``values_list``) for sample parameters.

    Parameters must reach the statement as they are: ``kinds`` are ``int``, ``str`` or ``date``, and conditions those
    that compare a column with the parameter itself. Text is given as its field stores it (`fields.normalise`).
    """

    def __init__(self, build: Callable[..., QuerySet[Any, Any]], *kinds: Kind) -> None:
        self._build = build
        self._samples = [_SAMPLES[kind](place) for place, kind in enumerate(kinds)]
        self._made: dict[str, _Made] = {}

    def rows(self, *parameters: Any) -> list[Row]:
        """Run the statement; return its rows."""
        made = self._made.get(connection.vendor)
        if made is None:
            made = self._made[connection.vendor] = self._make()
        with connection.cursor() as cursor:
            given = [_for_database(parameter) for parameter in parameters]
            cursor.execute(made.sql, [given[place] if place >= 0 else value for place, value in made.parameters])
            rows: list[Row] = cursor.fetchall()
        return [made.converted(row) for row in rows] if made.converters else rows

    def first(self, *parameters: Any) -> Row | None:
        """Run the statement; return its first row, None when there is none."""
        return next(iter(self.rows(*parameters)), None)

    def _make(self) -> _Made:
        query = self._build(*self._samples).query
        compiler = query.get_compiler(connection=connection)
        sql, values = compiler.as_sql()
        samples = [_for_database(sample) for sample in self._samples]
        parameters = [(samples.index(value) if value in samples else -1, value) for value in values]
        if {place for place, _ in parameters if place >= 0} != set(range(len(self._samples))):
            raise ValueError("a parameter did not reach the statement as it is")
        converters = compiler.get_converters([column[0] for column in compiler.select])
        return _Made(sql, parameters, list(converters.items()))


class PreparedInstances(Generic[M]):
    """The same for whole rows of one model, as its instances. ``build`` makes a queryset of the model."""

    def __init__(self, model: type[M], build: Callable[..., QuerySet[M]], *kinds: Kind) -> None:
        self._model = model
        self._names = [field.attname for field in model._meta.concrete_fields]
        self._rows = Prepared(lambda *samples: build(*samples).values_list(*self._names), *kinds)

    def all(self, *parameters: Any) -> list[M]:
        """Run the statement; return the instances."""
        return [self._model.from_db(connection.alias, self._names, row) for row in self._rows.rows(*parameters)]

    def first(self, *parameters: Any) -> M | None:
        """Run the statement; return the first instance, None when there is none."""
        return next(iter(self.all(*parameters)), None)

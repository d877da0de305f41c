"""Database expressions that Django does not have: DICOM's wild cards, component groups, and one row per step.

SQLite and PostgreSQL must answer alike, to the letter: SQLite's LIKE takes a for A and so is not used.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import CharField, Func, IntegerField, Lookup, TextField, Value
from django.db.models.expressions import Combinable
from django.db.models.sql.compiler import SQLCompiler

if TYPE_CHECKING:
    _Lookup = Lookup[bool]
else:
    _Lookup = Lookup


@CharField.register_lookup
@TextField.register_lookup
class Wildcard(_Lookup):
    """`*` stands for any characters and `?` for one; all others are literal (PS3.4 §C.2.2.2.4).

    Both translations are case-sensitive, and both let the planner use an index up to the first wild card.
    """

    lookup_name = "wildcard"
    prepare_rhs = False

    def as_sql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> Any:
        lhs, params = self.process_lhs(compiler, connection)
        # Neighbouring stars are one star, which keeps the backtracking of either database short.
        pattern = re.sub(r"\*+", "*", str(self.rhs))
        if connection.vendor == "sqlite":
            return f"{lhs} GLOB %s", [*params, glob(pattern)]
        return f"{lhs} LIKE %s", [*params, like(pattern)]


def glob(pattern: str) -> str:
    """Write a DICOM pattern as SQLite's GLOB reads it: only brackets are special beside the wild cards."""
    return pattern.replace("[", "[[]")


def like(pattern: str) -> str:
    r"""Write a DICOM pattern as PostgreSQL's LIKE reads it, with its `%`, `_` and `\` made literal."""
    literal = re.sub(r"([\\%_])", r"\\\1", pattern)
    return literal.replace("*", "%").replace("?", "_")


class NameGroup(Func):
    """One component group, counted from 1, of a stored name key `alphabetic=ideographic=phonetic`."""

    function = "SPLIT_PART"
    arity = 3
    output_field = CharField()

    def __init__(self, name: Combinable | str, group: int) -> None:
        super().__init__(name, Value("="), Value(group, output_field=IntegerField()))
        self._group = group

    def as_sqlite(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **_extra: Any) -> Any:
        name, params = compiler.compile(self.source_expressions[0])
        # Always three groups, then the part between the separators.
        rest, times = f"({name} || '===')", 1
        for _ in range(self._group - 1):
            rest, times = f"SUBSTR({rest}, INSTR({rest}, '=') + 1)", times * 2
        return f"SUBSTR({rest}, 1, INSTR({rest}, '=') - 1)", list(params) * times * 2


class JoinedNumbers(Func):
    """Aggregate: whole numbers joined by commas; NULL of no rows."""

    contains_aggregate = False  # it stands alone in its own subquery, which needs no GROUP BY
    output_field = TextField()
    template = "STRING_AGG((%(expressions)s)::text, ',')"

    def as_sqlite(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **extra: Any) -> Any:
        return self.as_sql(compiler, connection, template="GROUP_CONCAT(%(expressions)s, ',')", **extra)


class JoinedLists(Func):
    """Aggregate: the expressions of each row as a JSON list, all rows as a JSON list of those; NULL of no rows."""

    contains_aggregate = False
    output_field = TextField()
    template = "JSON_AGG(JSON_BUILD_ARRAY(%(expressions)s))::text"

    def as_sqlite(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **extra: Any) -> Any:
        template = "NULLIF(JSON_GROUP_ARRAY(JSON_ARRAY(%(expressions)s)), '[]')"
        return self.as_sql(compiler, connection, template=template, **extra)

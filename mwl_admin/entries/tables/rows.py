"""A table's rows into the worklist: all of them, or none. Web and command both come by here."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.utils.translation import gettext

from gateway_link import names
from mwl_admin.entries import entry_patients
from mwl_admin.entries.entries import store
from mwl_admin.entries.entry import Entry, Mode, StoredEntry
from mwl_admin.entries.entry_attributes import PROCEDURE_CODE, STEPS
from mwl_admin.entries.jsonform import is_storable
from mwl_admin.entries.problems import DIFFERS, EntryError, Problem
from mwl_admin.entries.tables.columns import BY_KEYWORD, CODE_PARTS, HEADINGS, NAME_PARTS, PROCEDURE, Heading, find
from mwl_admin.entries.tables.files import Table
from mwl_admin.entries.tables.table_limits import TableError
from mwl_admin.models import RequestedProcedure
from mwl_admin.patients import identity
from mwl_admin.patients.identity import Demographics

CREATE, UPDATE, UNCHANGED, ERROR = "create", "update", "unchanged", "error"


@dataclass(slots=True)
class TableRow:
    """One row and what becomes of it. ``problems`` are pairs of a column's heading and what is wrong there."""

    number: int
    values: dict[str, Any] = field(default_factory=dict)
    cells: list[Any] = field(default_factory=list)
    action: str = UNCHANGED
    problems: list[tuple[str, str]] = field(default_factory=list)
    note: str = ""
    requested: RequestedProcedure | None = None

    def complain(self, heading: str, message: str) -> None:
        """Note what is wrong."""
        self.action = ERROR
        self.problems.append((heading, message))


@dataclass(slots=True)
class TableReport:
    """What was, or would be, done with a table. ``applied`` is false when nothing was changed."""

    headings: list[str]
    rows: list[TableRow]
    applied: bool = False

    def count(self, action: str) -> int:
        """Return how many rows have this outcome."""
        return sum(row.action == action for row in self.rows)


def import_table(
    table: Table, *, dry_run: bool = False, source: str = "", update_patients: bool = False
) -> TableReport:
    """Make or update the entries of a table, in one transaction; nothing is changed when a row is wrong.

    ``update_patients``: a row whose demographics differ from the patient's record corrects it; otherwise it is wrong.

    :raises TableError: the table's headings can't be understood.
    """
    headings = check(table)
    report = TableReport([heading.name for heading in headings], [_read_row(headings, *row) for row in table.rows])
    groups = _groups(report.rows)
    _refuse_two_persons(report.rows)
    with transaction.atomic():
        for rows in groups:
            _store(rows, source, update_patients=update_patients)
        report.applied = not dry_run and not report.count(ERROR)
        if not report.applied:
            transaction.set_rollback(True)
    return report


def check(table: Table) -> list[Heading]:
    """Return the columns of a table.

    :raises TableError: when they can't be understood, or nothing is in them.
    """
    headings = _headings(table.headings)
    if not table.rows:
        raise TableError(gettext("The file has headings, but no rows below them."))
    return headings


def _headings(given: Sequence[str]) -> list[Heading]:
    found: list[Heading] = []
    for name in given:
        if not name:
            raise TableError(gettext("A column has no heading."))
        heading = find(name)
        if heading is None:
            near = difflib.get_close_matches(name, [heading.name for heading in HEADINGS], n=1)
            if near:
                text = gettext("There is no column “%(name)s”. Do you mean “%(near)s”?")
                raise TableError(text % {"name": name[:64], "near": near[0]})
            text = gettext("There is no column “%(name)s”. The template has all headings.")
            raise TableError(text % {"name": name[:64]})
        if heading in found:
            raise TableError(gettext("The column “%(name)s” is there twice.") % {"name": heading.name})
        found.append(heading)
    if BY_KEYWORD["AccessionNumber"] not in found:
        raise TableError(
            gettext("The column “%(name)s” is missing: it tells which entry a row is.") % {"name": "Accession number"}
        )
    return found


def _read_row(headings: Sequence[Heading], number: int, cells: Sequence[Any]) -> TableRow:
    row = TableRow(number, cells=list(cells[: len(headings)]))
    if any(str(cell or "").strip() for cell in cells[len(headings) :]):
        row.complain("", gettext("has more cells than there are headings."))
    for heading, cell in zip(headings, cells, strict=False):
        if cell is None or (isinstance(cell, str) and not cell.strip()):
            continue  # an empty cell says nothing
        try:
            if isinstance(cell, str) and not is_storable(cell):
                raise ValueError(gettext("holds a character that can't be stored."))
            row.values[heading.name] = heading.read(cell)
        except ValueError as error:
            row.complain(heading.name, str(error))
    if not row.values.get("Accession number") and not row.problems:
        row.complain("Accession number", gettext("is required."))
    return row


def _groups(rows: Sequence[TableRow]) -> list[list[TableRow]]:
    """Return the rows of each entry; rows of one entry must say the same of patient and order."""
    groups: dict[str, list[TableRow]] = {}
    for row in rows:
        number = row.values.get("Accession number")
        if number:
            groups.setdefault(str(number), []).append(row)
    for group in groups.values():
        first = group[0]
        for row in group[1:]:
            for heading in HEADINGS:
                if heading.is_step or heading.name not in row.values:
                    continue
                if row.values[heading.name] != first.values.get(heading.name):
                    text = gettext("differs from row %(number)d, which is of the same entry.")
                    row.complain(heading.name, text % {"number": first.number})
    return list(groups.values())


def _refuse_two_persons(rows: Sequence[TableRow]) -> None:
    seen: dict[tuple[str, tuple[str, ...]], tuple[TableRow, Demographics]] = {}
    for row in rows:
        person = entry_patients.told(_keywords(row.values))
        if not person.patient_id:
            continue
        key = (person.patient_id, tuple(sorted(identity.issuers(person.issuer))))
        first, known = seen.setdefault(key, (row, person))
        differs = identity.judge(known, person).differs
        if differs:
            text = gettext("has another %(what)s in row %(number)d.")
            row.complain("Patient ID", text % {"what": identity.in_words(differs), "number": first.number})


def _store(rows: list[TableRow], source: str, *, update_patients: bool) -> None:
    entry = _entry(rows)
    if any(row.problems for row in rows):
        # Still worth asking the rest of the rules, so that all that is wrong is told at once; nothing stays of it.
        _tell(rows, _try(entry, source, update_patients), known=True)
        return
    outcome = _try(entry, source, update_patients)
    if isinstance(outcome, EntryError):
        _tell(rows, outcome)
        return
    action = CREATE if outcome.created else UPDATE if outcome.changed else UNCHANGED
    for row in rows:
        row.action, row.requested = action, outcome.requested
    notes = [str(problem) for problem in outcome.notes]
    for step in outcome.ended:
        text = gettext("Step %(id)s is %(status)s and stays as it is.")
        notes.append(text % {"id": step.scheduled_procedure_step_id, "status": step.get_status_display()})
    rows[0].note = " ".join(notes)


def _try(entry: Entry, source: str, update_patient: bool) -> StoredEntry | EntryError:
    try:
        return store(entry, Mode.UPSERT, source=source, update_patient=update_patient)
    except EntryError as error:
        return error


def _tell(rows: list[TableRow], outcome: StoredEntry | EntryError, *, known: bool = False) -> None:
    if isinstance(outcome, StoredEntry):
        return
    for row in rows:
        row.action = ERROR
    for problem in outcome.problems:
        if problem.code == DIFFERS:
            continue  # the patient ID's own problem says what differs
        row, heading = _place(rows, problem)
        # What could not be read is missing now, and was told as what it is.
        if not (known and any(heading == told for told, _ in row.problems)):
            row.complain(heading, problem.message)


def _place(rows: list[TableRow], problem: Problem) -> tuple[TableRow, str]:
    """Return the row and the column that a problem is about."""
    item = re.match(rf"{STEPS}\[(\d+)\]\.(\w+)", problem.attribute)
    row = rows[int(item[1]) - 1] if item and int(item[1]) <= len(rows) else rows[0]
    keyword = item[2] if item else problem.attribute
    if keyword == "PatientName" and "Patient name" not in row.values:
        return row, "Family name"
    if keyword == PROCEDURE_CODE:
        return row, CODE_PARTS[0]
    heading = BY_KEYWORD.get(keyword)
    return row, heading.name if heading else keyword


def _name(values: dict[str, Any]) -> str:
    if values.get("Patient name"):
        return str(values["Patient name"])
    return names.join(str(values.get(part, "")) for part in NAME_PARTS)


def _entry(rows: list[TableRow]) -> Entry:
    first = rows[0].values
    values = _keywords(first)
    if any(part in first for part in CODE_PARTS):
        keywords = ("CodeValue", "CodingSchemeDesignator", "CodeMeaning")
        values[PROCEDURE_CODE] = [
            {keyword: first.get(part, "") for keyword, part in zip(keywords, CODE_PARTS, strict=True)}
        ]
    steps = tuple(dict(_step(row)) for row in rows)
    return Entry(values, steps, procedure=str(first.get(PROCEDURE, "")))


def _keywords(values: dict[str, Any]) -> dict[str, Any]:
    """Return what a row says of patient and order, by keyword."""
    found = {
        heading.keyword: values[heading.name]
        for heading in HEADINGS
        if heading.keyword and not heading.is_step and heading.name in values
    }
    if _name(values):
        found["PatientName"] = _name(values)
    return found


def _step(row: TableRow) -> Iterator[tuple[str, Any]]:
    for heading in HEADINGS:
        if heading.is_step and heading.keyword and heading.name in row.values:
            yield heading.keyword, row.values[heading.name]

"""An entry as JSON: DICOM's own JSON model (PS3.18 Annex F), and a short form of it with keywords and bare values.

{"00100020": {"vr": "LO", "Value": ["P-1"]}}        the same as        {"PatientID": "P-1"}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mwl_admin.entries.entry import Entry
from mwl_admin.entries.entry_attributes import KEYWORDS, READ_ONLY, REASON, STATUS, STEP_KEYWORDS, STEPS, keyword_of
from mwl_admin.entries.problems import InvalidEntryError, Problem
from mwl_admin.worklist.attributes import WorklistAttribute

MAX_STEPS = 100
_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")


def entry_from_json(body: Any) -> Entry:
    """Return the entry that a JSON document tells of.

    :raises InvalidEntryError: when it is none.
    """
    reader = _Reader()
    if not isinstance(body, dict):
        raise InvalidEntryError([Problem("", "The entry must be one JSON object.")])
    values = reader.data_set(body, KEYWORDS, "")
    steps = values.pop(STEPS, None)
    if reader.problems:
        raise InvalidEntryError(reader.problems)
    return Entry(values, tuple(steps or ()))


def is_storable(text: str) -> bool:
    """Whether a database takes the text at all, be it only to compare: no null character, no half of a pair."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


class _Reader:
    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def data_set(self, body: Mapping[str, Any], known: Mapping[str, WorklistAttribute], path: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, given in body.items():
            keyword = keyword_of(name)
            attribute = known.get(keyword)
            if keyword == REASON and STATUS in known:
                continue  # of what is over: told with a step, and no attribute of the worklist
            if attribute is None:
                self.problems.append(Problem(path + (keyword or name[:64]), self._unknown(keyword, known), "unknown"))
            elif keyword in found:
                self.problems.append(Problem(path + keyword, "stands twice.", "repeated"))
            elif keyword not in READ_ONLY:
                found[keyword] = self.value(attribute, given, path)
        return found

    @staticmethod
    def _unknown(keyword: str, known: Mapping[str, WorklistAttribute]) -> str:
        if keyword in STEP_KEYWORDS and known is KEYWORDS:
            return f"belongs into an item of {STEPS}."
        return "is no attribute of an entry."

    def value(self, attribute: WorklistAttribute, given: Any, path: str) -> Any:
        where = path + attribute.keyword
        values = self.unwrapped(attribute, given, where)
        if attribute.vr == "SQ":
            return self.items(attribute, values, where)
        read = [self.single(attribute, value, where) for value in values]
        if len(read) > 1 and not attribute.multiple:
            self.problems.append(Problem(where, "has one value only."))
        return read if attribute.multiple else next(iter(read), "")

    def unwrapped(self, attribute: WorklistAttribute, given: Any, where: str) -> list[Any]:
        """Return the values, of an element as of the short form."""
        if isinstance(given, dict) and ((given.keys() <= {"vr", "Value"} and attribute.vr != "SQ") or "vr" in given):
            if given.get("vr", attribute.vr) != attribute.vr:
                self.problems.append(Problem(where, f"has the VR {attribute.vr}.", "vr"))
            unsupported = given.keys() - {"vr", "Value"}
            if unsupported:
                self.problems.append(Problem(where, f"{min(unsupported)} is not taken here; use Value."))
            given = given.get("Value", [])
            if not isinstance(given, list):
                self.problems.append(Problem(where, "Value must be a list."))
                return []
        if given is None:
            return []
        return given if isinstance(given, list) else [given]

    def single(self, attribute: WorklistAttribute, value: Any, where: str) -> Any:
        if value is None:
            return ""
        if attribute.vr == "PN" and isinstance(value, dict):
            groups = [value.get(group) or "" for group in _GROUPS]
            if value.keys() <= {*_GROUPS} and all(isinstance(group, str) for group in groups):
                value = "=".join(groups).rstrip("=")
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            self.problems.append(Problem(where, "must be a text or a number."))
            return ""
        if isinstance(value, str) and not is_storable(value):
            self.problems.append(Problem(where, "holds a character that can't be stored."))
            return ""
        return value

    def items(self, attribute: WorklistAttribute, values: list[Any], where: str) -> list[Any]:
        if not all(isinstance(value, dict) for value in values):
            self.problems.append(Problem(where, "must be a list of objects."))
            return []
        if len(values) > MAX_STEPS:
            self.problems.append(Problem(where, f"has more than {MAX_STEPS} items."))
            return []
        known = {child.keyword: child for child in attribute.children}
        return [self.data_set(value, known, f"{where}[{number}].") for number, value in enumerate(values, start=1)]

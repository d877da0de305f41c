"""What is taken although it is not as the standard has it, since a refusal would lose the report; each with a note."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator

from django.utils.translation import gettext as _

from mwl_admin.models.performed import PerformedStatus
from mwl_admin.mpps import report
from mwl_admin.mpps.dataset import DataSet

logger = logging.getLogger(__name__)

_LEADING_ZERO = re.compile(r"(?:^|\.)0[0-9]")
_END = ("PerformedProcedureStepEndDate", "PerformedProcedureStepEndTime")


def notes(ds: DataSet, sop_instance_uid: str, *, before: str = "", repeats: bool = False) -> str:
    """Return what there is to say of a report, a line each, after what was said ``before``; log what is new.

    ``repeats``: attributes that are given once and for all were said again, unchanged.
    """
    said = before.splitlines()
    found = dict(_found(ds, sop_instance_uid, repeats=repeats))
    new = {why: text for why, text in found.items() if text not in said}
    if new:
        logger.info("report taken with a note", extra={"fields": {"because": ", ".join(new)}})
    return "\n".join((*said, *new.values()))


def _found(ds: DataSet, sop_instance_uid: str, *, repeats: bool) -> Iterator[tuple[str, str]]:
    """Yield a few words for the log, and the note for staff."""
    if any(_LEADING_ZERO.search(uid) for uid in (sop_instance_uid, *_uids(ds))):
        yield "leading zero", _("A UID has a component with a leading zero.")
    if repeats:
        yield "repeated", _("Values that are given once, at the start, were sent again unchanged.")
    if report.text(ds, "PerformedProcedureStepStatus") == PerformedStatus.DISCONTINUED and not all(
        report.text(ds, keyword) for keyword in _END
    ):
        yield "no end", _("The modality did not say when it was discontinued.")


def _uids(ds: DataSet) -> Iterator[str]:
    for element in ds.values():
        for value in element.get("Value", ()):
            if element["vr"] == "SQ":
                yield from _uids(value)
            elif element["vr"] == "UI" and isinstance(value, str):
                yield value

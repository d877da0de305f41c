"""Why a procedure step was discontinued, in words for staff (PS3.16 CID 9300)."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from mwl_admin.mpps import report
from mwl_admin.mpps.dataset import DataSet

WRONG_ENTRY = "110514"
"""Incorrect worklist entry selected: the step was not performed for the patient that it names."""

_SEQUENCE = "PerformedProcedureStepDiscontinuationReasonCodeSequence"
_WORDS = {
    "110500": _("Doctor canceled the procedure"),
    "110501": _("Equipment failure"),
    "110502": _("Incorrect procedure ordered"),
    "110503": _("Patient allergic to media or contrast"),
    "110504": _("Patient died"),
    "110505": _("Patient refused to continue"),
    "110506": _("Patient taken for treatment or surgery"),
    "110507": _("Patient did not arrive"),
    "110508": _("Patient pregnant"),
    "110509": _("Change of procedure for correct charging"),
    "110510": _("Duplicate order"),
    "110511": _("Nursing unit canceled"),
    "110512": _("Incorrect side ordered"),
    "110513": _("Discontinued for unspecified reason"),
    WRONG_ENTRY: _("Incorrect worklist entry selected"),
    "110515": _("Patient's condition prevented continuing"),
    "110516": _("Equipment change"),
}
"""What the coding scheme DCM defines for a step at a modality. Devices name the meaning in English, or not at all."""


def words(ds: DataSet) -> list[str]:
    """Return the reasons of a report in words, or else as codes; none unless it was discontinued."""
    if report.text(ds, "PerformedProcedureStepStatus") != "DISCONTINUED":
        return []
    found = (_in_words(item) for item in report.items(ds, _SEQUENCE))
    return list(dict.fromkeys(filter(None, found)))


def is_wrong_entry(ds: DataSet) -> bool:
    """Whether a report says that it was begun under the wrong entry of the worklist."""
    discontinued = report.text(ds, "PerformedProcedureStepStatus") == "DISCONTINUED"
    return discontinued and any(_dcm(item) == WRONG_ENTRY for item in report.items(ds, _SEQUENCE))


def _dcm(item: DataSet) -> str:
    """Return a code of the scheme DCM; a device that leaves the scheme out means that one."""
    scheme = report.text(item, "CodingSchemeDesignator").upper()
    return report.text(item, "CodeValue") if scheme in {"DCM", ""} else ""


def _in_words(item: DataSet) -> str:
    known = _WORDS.get(_dcm(item))
    return str(known) if known else report.text(item, "CodeMeaning") or report.code(item)

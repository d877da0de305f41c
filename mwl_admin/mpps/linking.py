"""From a report to the entries of the worklist that it is about."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from django.db.models import Q, QuerySet

from mwl_admin.models import ScheduledProcedureStep
from mwl_admin.models.status import OPEN
from mwl_admin.mpps.dataset import DataSet
from mwl_admin.mpps.report import items, text

logger = logging.getLogger(__name__)


def scheduled_steps(ds: DataSet) -> set[int]:
    """Return the primary keys of the scheduled steps that a report refers to; none is an unscheduled procedure."""
    found: set[int] = set()
    for item in items(ds, "ScheduledStepAttributesSequence"):
        found |= set(_by_identifiers(item)) or set(_by_accession_number(item, ds))
    return found


def _by_identifiers(item: DataSet) -> Iterable[int]:
    study, step_id = text(item, "StudyInstanceUID"), text(item, "ScheduledProcedureStepID")
    if not (study and step_id):
        return ()
    return _pks(Q(requested_procedure__study_instance_uid=study, scheduled_procedure_step_id=step_id))


def _by_accession_number(item: DataSet, ds: DataSet) -> Iterable[int]:
    """Find the steps of an order: those that are still open, of the modality at work, before any others."""
    accession_number = text(item, "AccessionNumber")
    if not accession_number:
        return ()
    order = Q(requested_procedure__accession_number=accession_number)
    patient_id = text(ds, "PatientID")
    if patient_id and (pks := _pks(order)) and not _pks(order & Q(requested_procedure__patient__patient_id=patient_id)):
        # A number mistyped at the console must not end another patient's examination.
        logger.warning(
            "report not linked: its accession number is another patient's", extra={"fields": {"steps": len(pks)}}
        )
        return ()
    of_modality = Q(modality=text(ds, "Modality"))
    by_step = Q(scheduled_procedure_step_id=text(item, "ScheduledProcedureStepID"))
    open_ = Q(status__in=sorted(OPEN))
    for narrower in (by_step, of_modality & open_, of_modality, open_):
        pks = _pks(order & narrower)
        if pks:
            return pks
    return _pks(order)


def _pks(condition: Q) -> list[int]:
    steps: QuerySet[ScheduledProcedureStep] = ScheduledProcedureStep.objects.filter(condition)
    return list(steps.order_by("pk").values_list("pk", flat=True))

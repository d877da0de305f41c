"""From a report to the entries of the worklist that it is about."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from django.db.models import Q, QuerySet

from mwl_admin.models import RequestedProcedure, ScheduledProcedureStep
from mwl_admin.models.status import OPEN
from mwl_admin.mpps import persons
from mwl_admin.mpps.dataset import DataSet
from mwl_admin.mpps.report import items, text

logger = logging.getLogger(__name__)


def scheduled_steps(ds: DataSet, *, by_station: bool) -> set[int]:
    """Return the primary keys of the scheduled steps that a report refers to; none is an unscheduled procedure.

    A report that names another patient than a step's refers to none, whatever its identifiers say. A station may report
    what was planned on another one; an AE title that belongs to no station (``by_station`` is false) reports only steps
    that are kept for none.
    """
    found: set[int] = set()
    for item in items(ds, "ScheduledStepAttributesSequence"):
        found |= set(_by_identifiers(item)) or set(_by_accession_number(item, ds))
    theirs = {pk for pk in found if persons.names_another(ds, _order(pk))}
    if theirs:
        logger.warning("report not linked: it names another patient", extra={"fields": {"steps": len(theirs)}})
    return _free(found - theirs) if not by_station else found - theirs


def _free(steps: set[int]) -> set[int]:
    free = set(_pks(Q(pk__in=steps, stations=None)))
    if free != steps:
        fields = {"steps": len(steps - free)}
        logger.warning("report not linked: a stranger reports a station's step", extra={"fields": fields})
    return free


def _order(step_pk: int) -> RequestedProcedure:
    return RequestedProcedure.objects.select_related("patient").get(scheduled_procedure_steps=step_pk)


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

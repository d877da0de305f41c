"""From a report to the entries of the worklist that it is about."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Q, QuerySet

from mwl_admin.models import RequestedProcedure, ScheduledProcedureStep
from mwl_admin.models.status import OPEN
from mwl_admin.mpps import reported_patients
from mwl_admin.mpps.dataset import DataSet
from mwl_admin.mpps.report import items, text

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Referred:
    """Primary keys of scheduled steps: those that a report is about, and those that it names with another patient.

    ``differs`` are the keywords in which that patient is another.
    """

    steps: set[int]
    of_others: set[int]
    differs: tuple[str, ...] = ()


def scheduled_steps(ds: DataSet, *, by_station: bool) -> Referred:
    """Return the scheduled steps that a report refers to; none is an unscheduled procedure.

    A report that names another patient than a step's is not about it, whatever its identifiers say. A station may
    report what was planned on another one; an AE title that belongs to no station (``by_station`` is false) reports
    only steps that are kept for none.
    """
    found: set[int] = set()
    for item in items(ds, "ScheduledStepAttributesSequence"):
        found |= set(_by_identifiers(item)) or set(_by_accession_number(item, ds)) or set(_by_study(item, ds))
    different = {pk: differs for pk in found if (differs := reported_patients.differences(ds, _order(pk)))}
    theirs = {*different}
    if theirs:
        logger.warning("report not linked: it names another patient", extra={"fields": {"steps": len(theirs)}})
    differs = tuple(dict.fromkeys(keyword for keywords in different.values() for keyword in keywords))
    if by_station:
        return Referred(found - theirs, theirs, differs)
    return Referred(_free(found - theirs), _free(theirs), differs)


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


def _by_study(item: DataSet, ds: DataSet) -> Iterable[int]:
    """Find the one open step of a study that is named alone: some devices give back no other identifier.

    Not where the order has had a step of the modality at work: the report may be one more of that.
    """
    study = text(item, "StudyInstanceUID")
    if not study or text(item, "ScheduledProcedureStepID") or text(item, "AccessionNumber"):
        return ()
    order = Q(requested_procedure__study_instance_uid=study)
    of_modality = Q(modality=text(ds, "Modality"))
    open_ = _pks(order & Q(status__in=sorted(OPEN)))
    if len(open_) != 1 or (_pks(order & of_modality) and not _pks(Q(pk=open_[0]) & of_modality)):
        return ()
    return open_


def _pks(condition: Q) -> list[int]:
    steps: QuerySet[ScheduledProcedureStep] = ScheduledProcedureStep.objects.filter(condition)
    return list(steps.order_by("pk").values_list("pk", flat=True))

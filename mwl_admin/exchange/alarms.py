"""What does not fit: images without an entry, images of somebody else, an examination without images.

The staff's pages show these; nothing here changes anything.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from enum import Enum

from django.conf import settings
from django.db.models import Exists, OuterRef, QuerySet
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from mwl_admin.models import ReceivedStudy, ScheduledProcedureStep, StepStatus
from mwl_admin.models.received import ALARM_DAYS, ReceivedStudyQuerySet

LIMIT = 50
"""How many alarms of each kind are told one by one."""


class Kind(Enum):
    """What is wrong."""

    MIXED_UP = "mixed up"
    NO_ENTRY = "no entry"
    NO_IMAGES = "no images"


@dataclass(frozen=True, slots=True)
class Alarm:
    """One thing to look at. ``text`` names the patient; ``study`` or ``step`` is what it is about."""

    kind: Kind
    since: datetime.datetime
    text: str
    study: ReceivedStudy | None = None
    step: ScheduledProcedureStep | None = None


def images_of_others() -> ReceivedStudyQuerySet:
    """Studies whose patient ID or name is not that of their entry: the mix-up alarm."""
    return ReceivedStudy.objects.to_be_looked_at().mixed_up().select_related("requested_procedure__patient")


def _to_be_told() -> ReceivedStudyQuerySet:
    return ReceivedStudy.objects.mixed_up_of_late().select_related("requested_procedure__patient")


def images_without_entry() -> ReceivedStudyQuerySet:
    """Studies that belong to no entry."""
    return ReceivedStudy.objects.to_be_looked_at().without_entry()


def steps_without_images(now: datetime.datetime | None = None) -> QuerySet[ScheduledProcedureStep]:
    """Steps that started longer ago than ``IMAGES_OVERDUE_MINUTES``, without images, and that nobody has settled.

    None while no receiver has ever told of a study: a site without one is not to be alarmed.
    """
    steps = ScheduledProcedureStep.objects.all()
    if not ReceivedStudy.objects.exists():
        return steps.none()
    now = now or timezone.now()
    late = now - datetime.timedelta(minutes=settings.IMAGES_OVERDUE_MINUTES)
    images = ReceivedStudy.objects.filter(requested_procedure=OuterRef("requested_procedure"))
    started = steps.filter(
        status=StepStatus.STARTED,
        scheduled_date__gte=timezone.localdate(now) - datetime.timedelta(days=ALARM_DAYS),
        images_settled=None,
    ).annotate(since=Coalesce("started_by__created_at", "updated_at"))
    overdue = started.filter(~Exists(images), since__lt=late)
    return overdue.select_related("requested_procedure__patient").order_by("since")


def alarms(limit: int = LIMIT) -> list[Alarm]:
    """Return what is to be looked at, the gravest first, at most ``limit`` of each kind."""
    return [
        *(_mixed_up(study) for study in _to_be_told()[:limit]),
        *(_no_entry(study) for study in images_without_entry()[:limit]),
        *(_no_images(step) for step in steps_without_images()[:limit]),
    ]


def count() -> dict[Kind, int]:
    """Return how many there are of each kind."""
    return {
        Kind.MIXED_UP: images_of_others().count(),
        Kind.NO_ENTRY: images_without_entry().count(),
        Kind.NO_IMAGES: steps_without_images().count(),
    }


def _mixed_up(study: ReceivedStudy) -> Alarm:
    order = study.requested_procedure
    entered = f"{order.patient}, {order.accession_number}" if order else ""
    text = ngettext(
        "%(n)d image of %(person)s arrived for the entry of %(entered)s.",
        "%(n)d images of %(person)s arrived for the entry of %(entered)s.",
        study.instance_count,
    )
    values = {"n": study.instance_count, "person": _shown(study), "entered": entered}
    return Alarm(Kind.MIXED_UP, study.last_arrival_at, text % values, study=study)


def _no_entry(study: ReceivedStudy) -> Alarm:
    values = {
        "n": study.instance_count,
        "person": _shown(study),
        "senders": ", ".join(study.senders) or _("an unknown sender"),
    }
    text = ngettext(
        "%(n)d image of %(person)s from %(senders)s.",
        "%(n)d images of %(person)s from %(senders)s.",
        study.instance_count,
    )
    return Alarm(Kind.NO_ENTRY, study.last_arrival_at, text % values, study=study)


def _no_images(step: ScheduledProcedureStep) -> Alarm:
    order = step.requested_procedure
    since: datetime.datetime = step.since  # type: ignore[attr-defined]  # an annotation
    what = step.scheduled_procedure_step_description or order.requested_procedure_description or step.modality
    text = _("%(person)s: %(what)s, %(number)s.")
    values = {"person": order.patient, "what": what, "number": order.accession_number}
    return Alarm(Kind.NO_IMAGES, since, text % values, step=step)


def images(count: int) -> str:
    """Return a number of images in words."""
    return ngettext("%(n)d image", "%(n)d images", count) % {"n": count}


def _shown(study: ReceivedStudy) -> str:
    name = " ".join(filter(None, study.patient_name.split("=")[0].replace("^", ", ", 1).split("^")))
    return f"{name or _('nobody named')} ({study.patient_id or _('no patient ID')})"

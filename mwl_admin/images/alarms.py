"""What does not fit: images or reports of somebody else, images without an entry, an examination without images.

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

from mwl_admin.models import PerformedProcedureStep, ReceivedStudy, ScheduledProcedureStep, StepStatus
from mwl_admin.models.performed import Doubt, PerformedProcedureStepQuerySet
from mwl_admin.models.received import ALARM_DAYS, ReceivedStudyQuerySet
from mwl_admin.models.status import OPEN
from mwl_admin.patients import identity

LIMIT = 50
"""How many alarms of each kind are told one by one."""


class AlarmKind(Enum):
    """What is wrong."""

    MIXED_UP = "mixed up"
    OTHER_PATIENT = "other patient"
    WRONG_ENTRY = "wrong entry"
    SET_ASIDE = "set aside"
    NO_ENTRY = "no entry"
    NO_IMAGES = "no images"


@dataclass(frozen=True, slots=True)
class Alarm:
    """One thing to look at. ``text`` names the patient; ``study``, ``step`` or ``report`` is what it is about."""

    kind: AlarmKind
    since: datetime.datetime
    text: str
    study: ReceivedStudy | None = None
    step: ScheduledProcedureStep | None = None
    report: PerformedProcedureStep | None = None


def images_of_others() -> ReceivedStudyQuerySet:
    """Studies of different patients, or whose patient ID or name is not that of their entry: the mix-up alarm."""
    return ReceivedStudy.objects.to_be_looked_at().mixed_up().select_related("requested_procedure__patient")


def _to_be_told() -> ReceivedStudyQuerySet:
    return ReceivedStudy.objects.mixed_up_of_late().select_related("requested_procedure__patient")


def images_set_aside() -> ReceivedStudyQuerySet:
    """Studies of which images came again with other content, and lie aside at the receiver."""
    return ReceivedStudy.objects.to_be_looked_at().with_set_aside()


def images_without_entry() -> ReceivedStudyQuerySet:
    """Studies that belong to no entry."""
    return ReceivedStudy.objects.to_be_looked_at().without_entry()


def reports_in_doubt(doubt: Doubt) -> PerformedProcedureStepQuerySet:
    """Reports that name an entry and are not about it."""
    return (
        PerformedProcedureStep.objects.to_be_looked_at()
        .filter(doubt=doubt)
        .prefetch_related(
            "doubted_steps__requested_procedure__patient", "doubted_steps__requested_procedure__received_studies"
        )
    )


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
        *(_other_patient(report) for report in reports_in_doubt(Doubt.OTHER_PATIENT)[:limit]),
        *(_wrong_entry(report) for report in reports_in_doubt(Doubt.WRONG_ENTRY)[:limit]),
        *(_set_aside(study) for study in images_set_aside()[:limit]),
        *(_no_entry(study) for study in images_without_entry()[:limit]),
        *(_no_images(step) for step in steps_without_images()[:limit]),
    ]


def count() -> dict[AlarmKind, int]:
    """Return how many there are of each kind."""
    return {
        AlarmKind.MIXED_UP: images_of_others().count(),
        AlarmKind.OTHER_PATIENT: reports_in_doubt(Doubt.OTHER_PATIENT).count(),
        AlarmKind.WRONG_ENTRY: reports_in_doubt(Doubt.WRONG_ENTRY).count(),
        AlarmKind.SET_ASIDE: images_set_aside().count(),
        AlarmKind.NO_ENTRY: images_without_entry().count(),
        AlarmKind.NO_IMAGES: steps_without_images().count(),
    }


def _mixed_up(study: ReceivedStudy) -> Alarm:
    if study.several_patients:
        return Alarm(AlarmKind.MIXED_UP, study.last_arrival_at, _several(study), study=study)
    order = study.requested_procedure
    entered = f"{order.patient}, {order.accession_number}" if order else ""
    text = ngettext(
        "%(n)d image of %(person)s arrived for the entry of %(entered)s.",
        "%(n)d images of %(person)s arrived for the entry of %(entered)s.",
        study.instance_count,
    )
    values = {"n": study.instance_count, "person": _shown(study), "entered": entered}
    return Alarm(AlarmKind.MIXED_UP, study.last_arrival_at, text % values, study=study)


def _other_patient(report: PerformedProcedureStep) -> Alarm:
    text = _("%(station)s reports an examination of %(person)s under the entry of %(entered)s. Different: %(what)s.")
    what = identity.in_words(report.differs.split())
    values = {"station": _station(report), "person": _shown(report), "entered": _entered(report), "what": what}
    return Alarm(AlarmKind.OTHER_PATIENT, report.created_at, text % values, report=report)


def _wrong_entry(report: PerformedProcedureStep) -> Alarm:
    """The examination was somebody else's, whom nobody has named; so are the images that were made meanwhile."""
    text = _("%(station)s had chosen the entry of %(entered)s by mistake.")
    parts = [text % {"station": _station(report), "entered": _entered(report)}]
    steps = report.doubted_steps.all()
    if any(step.status in OPEN for step in steps):
        parts.append(_("It is on the worklist again."))
    if report.instance_count:
        text = ngettext(
            "%(n)d image that was made then is not of this patient.",
            "%(n)d images that were made then are not of this patient.",
            report.instance_count,
        )
        parts.append(text % {"n": report.instance_count})
    elif any(step.requested_procedure.received_studies.all() for step in steps):
        parts.append(_("Look whether the images that came are of this patient."))
    return Alarm(AlarmKind.WRONG_ENTRY, report.updated_at, " ".join(parts), report=report)


def _station(report: PerformedProcedureStep) -> str:
    return str(report.performed_station_ae_title or report.calling_ae_title)


def _entered(report: PerformedProcedureStep) -> str:
    orders = dict.fromkeys(step.requested_procedure for step in report.doubted_steps.all())
    return "; ".join(f"{order.patient}, {order.accession_number}" for order in orders)


def _several(study: ReceivedStudy) -> str:
    others = [_named(person["name"], person["id"]) for person in study.other_patients]
    text = ngettext(
        "%(n)d image of different patients came as one study: %(persons)s.",
        "%(n)d images of different patients came as one study: %(persons)s.",
        study.instance_count,
    )
    persons = "; ".join(dict.fromkeys([_shown(study), *others]))
    return text % {"n": study.instance_count, "persons": persons}


def _set_aside(study: ReceivedStudy) -> Alarm:
    text = ngettext(
        "%(n)d image of %(person)s from %(senders)s came again with other content; the first one is kept.",
        "%(n)d images of %(person)s from %(senders)s came again with other content; the first ones are kept.",
        study.set_aside_count,
    )
    values = {
        "n": study.set_aside_count,
        "person": _shown(study),
        "senders": ", ".join(study.senders) or _("an unknown sender"),
    }
    return Alarm(AlarmKind.SET_ASIDE, study.last_arrival_at, text % values, study=study)


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
    return Alarm(AlarmKind.NO_ENTRY, study.last_arrival_at, text % values, study=study)


def _no_images(step: ScheduledProcedureStep) -> Alarm:
    order = step.requested_procedure
    since: datetime.datetime = step.since  # type: ignore[attr-defined]  # an annotation
    what = step.scheduled_procedure_step_description or order.requested_procedure_description or step.modality
    text = _("%(person)s: %(what)s, %(number)s.")
    values = {"person": order.patient, "what": what, "number": order.accession_number}
    return Alarm(AlarmKind.NO_IMAGES, since, text % values, step=step)


def images(count: int) -> str:
    """Return a number of images in words."""
    return ngettext("%(n)d image", "%(n)d images", count) % {"n": count}


def _shown(told: ReceivedStudy | PerformedProcedureStep) -> str:
    return _named(told.patient_name, told.patient_id)


def _named(patient_name: str, patient_id: str) -> str:
    name = " ".join(filter(None, patient_name.split("=", maxsplit=1)[0].replace("^", ", ", 1).split("^")))
    return f"{name or _('nobody named')} ({patient_id or _('no patient ID')})"

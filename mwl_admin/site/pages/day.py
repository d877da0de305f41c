"""One day's steps by station and time, as the day page shows them."""

import datetime
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django.db.models import Prefetch, Q, QuerySet
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from mwl_admin.entries import finding
from mwl_admin.images.alarms import images
from mwl_admin.models import PerformedProcedureStep, ReceivedStudy, ScheduledProcedureStep, Station, StepStatus
from mwl_admin.models.patient import PregnancyStatus
from mwl_admin.models.status import OPEN, SOURCES, WAITING
from mwl_admin.mpps.doubts import doubts
from mwl_admin.mpps.where import done_elsewhere

LATE_MINUTES = 15
LONG_STARTED_HOURS = 4
FOUND_ELSEWHERE = 30
_MINDED_PREGNANCY = frozenset({PregnancyStatus.POSSIBLY_PREGNANT, PregnancyStatus.DEFINITELY_PREGNANT})
"""How many steps of other days a search shows."""

NEXT: dict[str, StepStatus] = {
    StepStatus.SCHEDULED: StepStatus.ARRIVED,
    StepStatus.ARRIVED: StepStatus.READY,
    StepStatus.READY: StepStatus.STARTED,
    StepStatus.STARTED: StepStatus.COMPLETED,
}
"""What usually comes next."""


def action_labels() -> dict[str, str]:
    """Return what a change of status is called on its button."""
    return {
        StepStatus.ARRIVED: _("Arrived"),
        StepStatus.READY: _("Ready"),
        StepStatus.STARTED: _("Start"),
        StepStatus.COMPLETED: _("Complete"),
        StepStatus.DISCONTINUED: _("Discontinue"),
        StepStatus.CANCELLED: _("Cancel"),
    }


def status_note(step: ScheduledProcedureStep, reason: str = "") -> str:
    """Return what the history says of a change of status."""
    if reason:
        return _("Status: %(status)s. %(reason)s") % {"status": step.get_status_display(), "reason": reason}
    return _("Status: %(status)s.") % {"status": step.get_status_display()}


@dataclass(frozen=True, slots=True)
class Filters:
    """What the page is narrowed to. ``status`` is a status, ``open``, or empty for all."""

    day: datetime.date
    station: str = ""
    modality: str = ""
    status: str = ""
    text: str = ""

    def query(self, **changes: Any) -> dict[str, str]:
        """Return the parameters of the page's address, with changes."""
        values = {
            "day": self.day.isoformat(),
            "station": self.station,
            "modality": self.modality,
            "status": self.status,
            "q": self.text,
            **changes,
        }
        return {name: str(value) for name, value in values.items() if value or name in {"station", "modality"}}


@dataclass(slots=True)
class DayLine:
    """A line of the list: a step, and what is to be said of it."""

    step: ScheduledProcedureStep
    late: str = ""
    images: str = ""
    elsewhere: str = ""
    mixed_up: bool = False
    doubt: str = ""
    next: StepStatus | None = None
    others: Sequence[StepStatus] = field(default_factory=list)

    @property
    def movable(self) -> bool:
        """Whether it may still be rescheduled."""
        return self.step.status in WAITING

    @property
    def to_be_minded(self) -> list[str]:
        """What whoever examines must know of the patient, and of the examination, in words."""
        patient, step = self.step.requested_procedure.patient, self.step
        return [
            text
            for text in (
                *patient.allergies.splitlines(),
                *patient.medical_alerts.splitlines(),
                str(patient.get_pregnancy_status_display()) if patient.pregnancy_status in _MINDED_PREGNANCY else "",
                patient.special_needs,
                step.requested_contrast_agent,
                step.pre_medication,
                step.comments_on_the_scheduled_procedure_step,
            )
            if text
        ]


@dataclass(slots=True)
class Group:
    """The steps of one station, or those that any station of a modality may take."""

    title: str
    subtitle: str
    rows: list[DayLine] = field(default_factory=list)

    @property
    def counts(self) -> list[tuple[str, str, int]]:
        """Status, its name and how many, in the order of a step's life."""
        return status_counts(row.step.status for row in self.rows)


def status_counts(statuses: Iterable[str]) -> list[tuple[str, str, int]]:
    """Return status, its name and how many, in the order of a step's life; what there is none of is left out."""
    counted = Counter(statuses)
    return [(value, str(label), counted[value]) for value, label in StepStatus.choices if counted[value]]


def steps_of(filters: Filters) -> list[ScheduledProcedureStep]:
    """Return the steps of the day that the filters let through, all statuses, by time."""
    found = _with_all_that_is_shown(
        ScheduledProcedureStep.objects.filter(scheduled_date=filters.day).filter(
            _narrowed(filters) & (finding.steps_among(filters.text) if filters.text else Q())
        )
    )
    return list(found.order_by("scheduled_time", "pk"))


def steps_of_other_days(filters: Filters) -> list[ScheduledProcedureStep]:
    """Return what a search finds on other days, the latest first; nothing unless something is searched for."""
    if not finding.reaches_all_days(filters.text):
        return []
    found = ScheduledProcedureStep.objects.filter(finding.steps(filters.text)).exclude(scheduled_date=filters.day)
    return list(_with_all_that_is_shown(found).order_by("-scheduled_date", "-scheduled_time", "-pk")[:FOUND_ELSEWHERE])


def _with_all_that_is_shown(steps: QuerySet[ScheduledProcedureStep]) -> QuerySet[ScheduledProcedureStep]:
    arrived = ReceivedStudy.objects.only(
        "requested_procedure",
        "modalities",
        "instance_count",
        "first_arrival_at",
        "stored_patient_id",
        "stored_patient_name",
    )
    studies = Prefetch("requested_procedure__received_studies", arrived.order_by("first_arrival_at"))
    known = steps.select_related("requested_procedure__patient", "downtime_record")
    return known.prefetch_related("stations", studies)


def _narrowed(filters: Filters) -> Q:
    condition = Q()
    if filters.modality:
        condition &= Q(modality=filters.modality)
    if filters.station:
        station = Station.objects.filter(ae_title=filters.station).first()
        if station is not None:
            assigned = station.scheduled_procedure_steps.filter(scheduled_date=filters.day).values("pk")
            condition &= Q(pk__in=assigned) | Q(stations=None, modality=station.modality)
    return condition


def with_status(steps: Iterable[ScheduledProcedureStep], status: str) -> list[ScheduledProcedureStep]:
    """Return those of a status, ``open`` or any."""
    if status == "open":
        return [step for step in steps if step.status in OPEN]
    return [step for step in steps if not status or step.status == status]


def grouped(
    steps: Sequence[ScheduledProcedureStep], now: datetime.datetime, mixed_up: Collection[int] = ()
) -> list[Group]:
    """Return the steps by station. A step of several stations appears once, in a group with all their AE titles.

    ``mixed_up`` are the keys of entries that have images of another patient.
    """
    groups: dict[tuple[str, ...], Group] = {}
    for line in rows(steps, now, mixed_up):
        step = line.step
        stations = sorted(step.stations.all(), key=lambda station: station.ae_title)
        if stations:
            key = ("1", *(station.ae_title for station in stations))
            title = ", ".join(station.ae_title for station in stations)
            subtitle = ", ".join(filter(None, (station.station_name for station in stations)))
        else:
            key = ("2", step.modality)
            title = _("Any %(modality)s") % {"modality": step.modality}
            subtitle = _("no station assigned")
        groups.setdefault(key, Group(title, subtitle)).rows.append(line)
    return [groups[key] for key in sorted(groups)]


def rows(
    steps: Sequence[ScheduledProcedureStep], now: datetime.datetime, mixed_up: Collection[int] = ()
) -> list[DayLine]:
    """Return the lines of the list; ``now`` is the department's wall clock."""
    elsewhere, doubted = done_elsewhere(steps), doubts(steps)
    return [
        replace(_row(step, now, mixed_up, elsewhere.get(step.pk, "")), doubt=doubted.get(step.pk, "")) for step in steps
    ]


def _row(step: ScheduledProcedureStep, now: datetime.datetime, mixed_up: Collection[int], elsewhere: str) -> DayLine:
    next_status = NEXT.get(step.status)
    others = [
        target
        for target in StepStatus
        if step.status in SOURCES.get(target, ())
        and target not in {next_status, StepStatus.CANCELLED, StepStatus.DISCONTINUED}
    ]
    return DayLine(
        step,
        _lateness(step, now),
        _images(step),
        elsewhere,
        step.requested_procedure_id in mixed_up,
        next=next_status,
        others=others,
    )


def _images(step: ScheduledProcedureStep) -> str:
    """Return how many images the receiver has of the step's study, and while more may come since when."""
    studies = list(step.requested_procedure.received_studies.all())
    if not studies:
        return ""
    text = images(sum(study.instance_count for study in studies))
    modalities = {modality for study in studies for modality in study.modalities}
    if modalities and step.modality not in modalities:
        # The study is the entry's: here its images are those of another step, or of another name for the modality.
        text += f" ({', '.join(sorted(modalities))})"
    before = dict.fromkeys(study.stored_under for study in studies if study.stored_under)
    stored = "".join(", " + _("stored as %(person)s") % {"person": person} for person in before)
    if step.status == StepStatus.COMPLETED:
        return text + stored
    since = timezone.localtime(studies[0].first_arrival_at)
    form = "H:i" if since.date() == step.scheduled_date else "SHORT_WEEKDAY_DATETIME_FORMAT"
    return _("%(images)s since %(time)s") % {"images": text, "time": date_format(since, form)} + stored


def _lateness(step: ScheduledProcedureStep, now: datetime.datetime) -> str:
    start = datetime.datetime.combine(step.scheduled_date, step.scheduled_time)
    minutes = int((now - start).total_seconds() // 60)
    if step.status in WAITING and step.scheduled_date < now.date():
        return _("not done")
    if step.status == StepStatus.SCHEDULED and minutes >= LATE_MINUTES:
        return _late(minutes)
    if step.status in WAITING and minutes >= LATE_MINUTES:
        return _waiting(minutes)
    if step.status == StepStatus.STARTED and minutes >= LONG_STARTED_HOURS * 60:
        return _("started long ago")
    return ""


def _late(minutes: int) -> str:
    if minutes < 120:
        return _("late %(minutes)d min") % {"minutes": minutes}
    hours = minutes // 60
    return ngettext("late %(hours)d hour", "late %(hours)d hours", hours) % {"hours": hours}


def _waiting(minutes: int) -> str:
    if minutes < 120:
        return _("waiting %(minutes)d min") % {"minutes": minutes}
    hours = minutes // 60
    return ngettext("waiting %(hours)d hour", "waiting %(hours)d hours", hours) % {"hours": hours}


def unmatched(day: datetime.date) -> list[PerformedProcedureStep]:
    """Return the examinations of the day that no entry was found for."""
    first = timezone.make_aware(datetime.datetime.combine(day, datetime.time()))
    found = PerformedProcedureStep.objects.unscheduled().filter(
        created_at__gte=first, created_at__lt=first + datetime.timedelta(days=1)
    )
    return list(found.order_by("created_at")[:20])


def modalities() -> Iterator[str]:
    """Yield the modalities that the department has stations for."""
    yield from Station.objects.modalities().order_by("modality").values_list("modality", flat=True).distinct()

"""What does not fit, as the day page shows it: images and reports of somebody else first."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Self

from django.db.models import Model
from django.urls import reverse
from django.utils.translation import ngettext

from mwl_admin.images import alarms
from mwl_admin.images.alarms import Alarm, AlarmKind
from mwl_admin.models import PerformedProcedureStep
from mwl_admin.models.performed import Doubt

SHOWN = 5
"""How many of each kind the page shows; the others are a click away."""


@dataclass(frozen=True, slots=True)
class Band:
    """All alarms of one kind, the first of them shown. ``rest`` is where the others are, ``hidden`` how many."""

    kind: AlarmKind
    title: str
    alarms: Collection[Alarm]
    hidden: int = 0
    rest: str = ""

    @property
    def is_grave(self) -> bool:
        """Whether somebody's images may be taken for another's."""
        return self.kind in {AlarmKind.MIXED_UP, AlarmKind.OTHER_PATIENT}


@dataclass(frozen=True, slots=True)
class Alarms:
    """What one person is shown. ``mixed_up`` are the keys of entries that have images of another patient."""

    bands: Collection[Band] = ()
    mixed_up: frozenset[int] = frozenset()
    may_settle: bool = False

    @property
    def records(self) -> list[Model]:
        """The studies, reports, steps and entries that are named."""
        shown = [alarm for band in self.bands for alarm in band.alarms]
        entries = [alarm.study.requested_procedure for alarm in shown if alarm.study]
        steps = [step for report in self.reports for step in report.doubted_steps.all()]
        about = (alarm.study or alarm.report or alarm.step for alarm in shown)
        return [record for record in (*about, *entries, *steps) if record]

    @property
    def reports(self) -> list[PerformedProcedureStep]:
        """The reports that are named."""
        return [alarm.report for band in self.bands for alarm in band.alarms if alarm.report]

    @classmethod
    def seen_by(cls, user: Any) -> Self:
        """Return what this person may see; whoever may not see received studies sees nothing."""
        if not user.has_perm("mwl_admin.view_receivedstudy"):
            return cls()
        reports_too = user.has_perm("mwl_admin.view_performedprocedurestep")
        found: dict[AlarmKind, list[Alarm]] = {}
        for alarm in alarms.alarms():
            if reports_too or not alarm.report:
                found.setdefault(alarm.kind, []).append(alarm)
        if not found:
            return cls()
        # counting looks through all that came in weeks: only where the list was cut
        counts = alarms.count() if any(len(of_kind) == alarms.LIMIT for of_kind in found.values()) else {}
        return cls(
            [_band(kind, found[kind], counts.get(kind, 0)) for kind in AlarmKind if kind in found],
            frozenset(_entry(alarm) for alarm in found.get(AlarmKind.MIXED_UP, ())),
            user.has_perm("mwl_admin.change_receivedstudy"),
        )


def _entry(alarm: Alarm) -> int:
    return (alarm.study.requested_procedure_id if alarm.study else None) or 0


def _band(kind: AlarmKind, found: list[Alarm], counted: int) -> Band:
    total = max(counted, len(found))
    return Band(kind, _title(kind, total), found[:SHOWN], max(total - SHOWN, 0), _rest(kind))


def _title(kind: AlarmKind, count: int) -> str:
    titles = {
        AlarmKind.MIXED_UP: ngettext(
            "Mix-up? %(n)d study has images of another patient",
            "Mix-up? %(n)d studies have images of another patient",
            count,
        ),
        AlarmKind.OTHER_PATIENT: ngettext(
            "Mix-up? %(n)d examination names another patient than its entry",
            "Mix-up? %(n)d examinations name another patient than their entry",
            count,
        ),
        AlarmKind.WRONG_ENTRY: ngettext(
            "The wrong entry was chosen for %(n)d examination",
            "The wrong entry was chosen for %(n)d examinations",
            count,
        ),
        AlarmKind.SET_ASIDE: ngettext(
            "Images of %(n)d study came again with other content",
            "Images of %(n)d studies came again with other content",
            count,
        ),
        AlarmKind.NO_ENTRY: ngettext("%(n)d study has no entry", "%(n)d studies have no entry", count),
        AlarmKind.NO_IMAGES: ngettext(
            "%(n)d step was started long ago, and no images came",
            "%(n)d steps were started long ago, and no images came",
            count,
        ),
    }
    return titles[kind] % {"n": count}


_DOUBTS = {AlarmKind.OTHER_PATIENT: Doubt.OTHER_PATIENT, AlarmKind.WRONG_ENTRY: Doubt.WRONG_ENTRY}


def _rest(kind: AlarmKind) -> str:
    if kind is AlarmKind.NO_IMAGES:
        return f"{reverse('admin:mwl_admin_scheduledprocedurestep_changelist')}?day=all&status=STARTED"
    if doubt := _DOUBTS.get(kind):
        return f"{reverse('admin:mwl_admin_performedprocedurestep_changelist')}?doubt__exact={doubt}"
    fit = {AlarmKind.MIXED_UP: "mixed_up", AlarmKind.SET_ASIDE: "set_aside"}.get(kind, "no_entry")
    return f"{reverse('admin:mwl_admin_receivedstudy_changelist')}?fit={fit}"

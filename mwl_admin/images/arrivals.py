"""What the image receiver tells: a study is complete (its `docs/notifications.md` is the other side of this).

A notice is signed with HMAC SHA-256 over its time, a dot and its body, by a secret that both sides are given.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from gateway_link import names
from mwl_admin import validators
from mwl_admin.entries.problems import InvalidEntryError, Problem
from mwl_admin.models import (
    ReceivedStudy,
    RequestedProcedure,
    ScheduledProcedureStep,
    Station,
    StepStatus,
    StudyNotice,
)
from mwl_admin.models.base import history_reason
from mwl_admin.models.received import ALARM_DAYS
from mwl_admin.models.status import OPEN

TOLERANCE = datetime.timedelta(minutes=5)
"""How far the clocks of both sides may differ, and how old a copy of a notice may be."""
_EVENT_ID = re.compile(r"[0-9a-fA-F-]{8,64}")


class NoticeRefused(Exception):
    """A notice is not from the receiver, or too old; the text says nothing that helps to forge one."""


@dataclass(frozen=True, slots=True)
class NoticeOutcome:
    """What became of a notice: ``repeated`` when it was known, and the IDs of steps that it completed."""

    study: ReceivedStudy
    repeated: bool = False
    completed: tuple[str, ...] = ()


def verify(body: bytes, headers: Mapping[str, str], secret: str, now: datetime.datetime) -> None:
    """Check that the receiver has signed this body, lately.

    :raises NoticeRefused: when it has not.
    """
    stamp = headers.get("X-Gateway-Timestamp", "")
    given = headers.get("X-Gateway-Signature", "")
    if not re.fullmatch(r"[0-9]{1,12}", stamp) or not given:
        raise NoticeRefused("The notice is not signed.")
    expected = "sha256=" + hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected.encode(), given.encode("utf-8", "replace")):
        raise NoticeRefused("The signature does not match.")
    if abs(now.timestamp() - int(stamp)) > TOLERANCE.total_seconds():
        raise NoticeRefused("The notice is too old, or the clocks differ.")


@dataclass(frozen=True, slots=True)
class Notice:
    """A notice's content."""

    event_id: str
    announced_at: datetime.datetime
    study_instance_uid: str
    values: Mapping[str, Any]


def read(body: bytes) -> Notice:
    """Return what a notice says.

    :raises InvalidEntryError: when it is none.
    """
    try:
        content = json.loads(body)
    except ValueError:
        raise InvalidEntryError([Problem("", "The body is not JSON.")]) from None
    reader = _Reader(content if isinstance(content, dict) else {})
    notice = reader.notice()
    if reader.problems:
        raise InvalidEntryError(reader.problems)
    return notice


class _Reader:
    def __init__(self, content: dict[str, Any]) -> None:
        self.content = content
        self.problems: list[Problem] = []

    def part(self, name: str) -> dict[str, Any]:
        found = self.content.get(name)
        return found if isinstance(found, dict) else {}

    def notice(self) -> Notice:
        study, patient = self.part("study"), self.part("patient")
        if self.content.get("event") != "study.complete":
            self.problems.append(Problem("event", "must be study.complete."))
        event_id = _text(self.content.get("id"), 200)
        if not _EVENT_ID.fullmatch(event_id):
            self.problems.append(Problem("id", "must be a UUID."))
        uid = _text(study.get("uid"), 200)
        try:
            validators.validate_uid_of_device(uid)
        except ValidationError:
            uid = ""
        if not uid:
            self.problems.append(Problem("study.uid", "must be a UID."))
        name = _text(patient.get("name"), 200)
        others = _persons(self.content.get("other_patients"))
        values = {
            "accession_number": _text(study.get("accession_number"), 64),
            "patient_id": _text(patient.get("id"), 64),
            "patient_name": name,
            "name_folded": folded(name),
            "patient_birth_date": _date(patient.get("birth_date")),
            **_stored(self.part("original_patient")),
            "several_patients": bool(others),
            "other_patients": others,
            "description": _text(study.get("description"), 64),
            "modalities": _texts(study.get("modalities")),
            "senders": _senders(self.content.get("senders")),
            "series_count": self.count(study, "series"),
            "instance_count": self.count(study, "instances"),
            "set_aside_count": self.count(study, "set_aside") if "set_aside" in study else 0,
            "first_arrival_at": self.moment(study, "first_arrival", "study."),
            "last_arrival_at": self.moment(study, "last_arrival", "study."),
        }
        return Notice(event_id, self.moment(self.content, "at", ""), uid, values)

    def count(self, part: Mapping[str, Any], name: str) -> int:
        value = part.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31:
            return value
        self.problems.append(Problem(f"study.{name}", "must be a number."))
        return 0

    def moment(self, part: Mapping[str, Any], name: str, path: str) -> datetime.datetime:
        try:
            moment = datetime.datetime.fromisoformat(str(part.get(name)))
            if moment.tzinfo is not None:
                return moment
        except ValueError:
            pass
        self.problems.append(Problem(path + name, "must be a time with its offset from UTC."))
        return timezone.now()


def folded(name: str) -> str:
    """Return the start of a name that mixed-up images are told by: family and given name, and what separates them."""
    parts = [*names.folded(name.split("=", maxsplit=1)[0]).split("^"), ""][:2]
    return "^".join((*parts, "")) if any(parts) else ""


def _stored(patient: Mapping[str, Any]) -> dict[str, Any]:
    """Whom the images name, where the patient has become another since; nothing where it is the same."""
    return {
        "stored_patient_id": _text(patient.get("id"), 64),
        "stored_patient_name": _text(patient.get("name"), 200),
        "stored_patient_birth_date": _date(patient.get("birth_date")),
    }


def _text(value: Any, limit: int) -> str:
    # Images hold what they hold: too long or broken values are no reason to lose a notice.
    return "".join(sign for sign in str(value or "") if sign.isprintable())[:limit].strip(" ")


def _texts(value: Any) -> list[str]:
    return [_text(part, 64) for part in value[:100]] if isinstance(value, list) else []


def _senders(value: Any) -> list[str]:
    found = value if isinstance(value, list) else []
    titles = [_text(sender.get("ae_title"), 16) for sender in found[:100] if isinstance(sender, dict)]
    return [title for title in dict.fromkeys(titles) if title]


def _persons(value: Any) -> list[dict[str, str]]:
    """Read the patients whom images of a study name besides its own; a receiver of before tells of none."""
    found = [person for person in value[:20] if isinstance(person, dict)] if isinstance(value, list) else []
    return [{"id": _text(person.get("id"), 64), "name": _text(person.get("name"), 200)} for person in found]


def _date(value: Any) -> datetime.date | None:
    try:
        return datetime.date.fromisoformat(str(value))
    except ValueError:
        return None


def take(notice: Notice) -> NoticeOutcome:
    """Keep what a notice says, find its entry, and complete the steps that end with their images.

    Everything happens in one transaction, so the receiver gets its answer after the notice is stored for good.
    """
    with history_reason(_("images received")):
        try:
            with transaction.atomic():
                return _take(notice)
        except IntegrityError:
            # A parallel request stored this notice, or another of the same study; the second try reads its row.
            with transaction.atomic():
                return _take(notice)


def _take(notice: Notice) -> NoticeOutcome:
    known = StudyNotice.objects.filter(event_id=notice.event_id).select_related("study").first()
    if known is not None:
        return NoticeOutcome(known.study, repeated=True)
    studies = ReceivedStudy.objects.select_for_update(no_key=True)
    study = studies.filter(study_instance_uid=notice.study_instance_uid).first()
    is_newest = study is None or study.announced_at <= notice.announced_at
    study = study or ReceivedStudy(study_instance_uid=notice.study_instance_uid)
    if is_newest:
        if _is_news(study, notice):
            study.settled_at = study.settled_by = None  # more images, or others: to be looked at again
        for name, value in notice.values.items():
            setattr(study, name, value)
        study.announced_at = notice.announced_at
        study.requested_procedure = find_entry(study)
        study.save()
    StudyNotice.objects.create(event_id=notice.event_id, study=study, announced_at=notice.announced_at)
    return NoticeOutcome(study, completed=tuple(complete_steps(study)) if is_newest else ())


def _is_news(study: ReceivedStudy, notice: Notice) -> bool:
    """Whether there is more to look at than there was; that what was set aside is settled is not."""
    fewer = notice.values.get("set_aside_count", 0) < study.set_aside_count
    same = all(getattr(study, name) == value for name, value in notice.values.items() if name != "set_aside_count")
    return not (fewer and same)


def prune_notices(now: datetime.datetime) -> int:
    """Forget notices that were taken more than ``ALARM_DAYS`` ago; return how many.

    The receiver repeats a notice, every hour at least, until an answer reaches it. One that comes back later still, as
    after weeks without power, finds its study as it left it: all that it would do is to have an alarm looked at again,
    and by then there is none.
    """
    total = 0
    while True:
        before = now - datetime.timedelta(days=ALARM_DAYS)
        old = list(StudyNotice.objects.filter(received_at__lt=before).order_by("pk").values_list("pk", flat=True)[:500])
        if not old:
            return total
        total += StudyNotice.objects.filter(pk__in=old).delete()[0]


def find_entry(study: ReceivedStudy) -> RequestedProcedure | None:
    """Return the entry that a study belongs to: by its UID, or else by the accession number in its images."""
    orders = RequestedProcedure.objects.all()
    found = orders.filter(study_instance_uid=study.study_instance_uid).first()
    if found is None and study.accession_number:
        found = orders.filter(accession_number=study.accession_number).first()
    return found


def complete_steps(study: ReceivedStudy) -> list[str]:
    """Complete the steps that have no other way to end: those of stations without MPPS, when their images are there.

    Left alone: steps that are not due yet, steps that a modality reports by MPPS, and all when the images are of
    somebody else. Returns the IDs of the steps.
    """
    if study.requested_procedure is None or ReceivedStudy.objects.filter(pk=study.pk).mixed_up().exists():
        return []
    senders = Station.objects.filter(ae_title__in=study.senders)
    without_mpps = Station.objects.filter(completes_with_images=True)
    steps = ScheduledProcedureStep.objects.filter(
        requested_procedure=study.requested_procedure,
        modality__in=study.modalities,
        status__in=OPEN,
        performed_procedure_steps=None,
    )
    # The station that sent the images is the one that counts; who sends through another AE is known by the step alone.
    done_by = senders if senders.exists() else without_mpps.filter(scheduled_procedure_steps__in=steps)
    stations = without_mpps.filter(pk__in=done_by.values("pk"))
    mine = steps.filter(Q(stations__in=stations) | Q(stations=None, modality__in=stations.values("modality")))
    done = []
    for step in mine.distinct():
        if _is_due(step, study):
            step.transition(StepStatus.COMPLETED)
            done.append(step.scheduled_procedure_step_id)
    return done


def _is_due(step: ScheduledProcedureStep, study: ReceivedStudy) -> bool:
    last = timezone.localtime(study.last_arrival_at)
    return step.status == StepStatus.STARTED or step.scheduled_date <= last.date()

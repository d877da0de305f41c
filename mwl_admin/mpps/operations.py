"""N-CREATE, N-SET and N-GET of performed procedure steps (PS3.4 §F.7.2, §F.8.2), each in one transaction.

When one of these returns, what it did is committed. What is refused is a
:class:`mwl_admin.mpps.mpps_errors.MPPSError`.
"""

from __future__ import annotations

import datetime
import json
import uuid

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import Sum
from django.utils import timezone
from django.utils.translation import gettext as _

from dicom_encoding.elements import standard_vr, tag_name
from mwl_admin import validators
from mwl_admin.models import PerformedProcedureStep, Station
from mwl_admin.models.base import history_reason
from mwl_admin.models.performed import Doubt, PerformedStatus
from mwl_admin.mpps import entry_linking, following, leniency, reasons, report
from mwl_admin.mpps.dataset import DataSet, is_same
from mwl_admin.mpps.mpps_attributes import (
    FIXED_AT_CREATION,
    MANDATORY_AT_CREATION,
    MANDATORY_AT_THE_END,
    MANDATORY_WHEN_DISCONTINUED,
    SCHEDULED_STEPS,
    STATUS,
    STUDY_INSTANCE_UID,
    SUPPORTED,
)
from mwl_admin.mpps.mpps_errors import (
    DuplicateInstanceError,
    InvalidInstanceUIDError,
    InvalidValueError,
    MissingAttributeError,
    MissingValueError,
    NoLongerUpdatableError,
    NoSuchInstanceError,
    NotAllowedError,
    NotAuthorizedError,
    TooLargeError,
)

_SOP_COMMON = frozenset({"00080016", "00080018"})
"""SOP Class and Instance UID: of the command set, never of the attribute list."""


def create(ds: DataSet, sop_instance_uid: str, *, calling_ae: str) -> PerformedProcedureStep:
    """Keep a new performed procedure step and start the scheduled steps that it is for; make a UID when there is none.

    A procedure that nobody scheduled is kept without any.
    """
    uid = sop_instance_uid or f"2.25.{uuid.uuid4().int}"
    _check_uid(uid)
    _require(ds, MANDATORY_AT_CREATION)
    _require_studies(ds)
    if report.text(ds, "PerformedProcedureStepStatus") != PerformedStatus.IN_PROGRESS:
        raise InvalidValueError("A procedure step is created IN PROGRESS", STATUS)
    kept = _kept(ds)
    size = _size(kept)
    try:
        with transaction.atomic(), history_reason(_reported_by(calling_ae)):
            _refuse_flood(calling_ae, size)
            referred = entry_linking.scheduled_steps(kept, by_station=_is_station(calling_ae))
            following.lock(referred.steps | referred.of_others)
            performed = PerformedProcedureStep.objects.create(
                sop_instance_uid=uid,
                calling_ae_title=report.legal_ae_title(calling_ae),
                data_set=kept,
                size=size,
                notes=leniency.notes(kept, uid),
                differs=" ".join(referred.differs) if referred.of_others else "",
                **_columns(kept),
            )
            performed.scheduled_procedure_steps.set(referred.steps)
            if referred.of_others:
                following.doubt(performed, referred.of_others, Doubt.OTHER_PATIENT)
            following.follow(performed)
            _note_station(calling_ae)
    except IntegrityError as error:
        if PerformedProcedureStep.objects.filter(sop_instance_uid=uid).exists():
            raise DuplicateInstanceError("This SOP Instance UID exists already") from error
        raise
    return performed


def modify(ds: DataSet, sop_instance_uid: str, *, calling_ae: str) -> PerformedProcedureStep:
    """Replace attributes of a performed procedure step in progress; its final state ends its scheduled steps."""
    with transaction.atomic(), history_reason(_reported_by(calling_ae)):
        # The lock makes two who modify at once take turns; the second finds what the first has left.
        rows = PerformedProcedureStep.objects.select_for_update(no_key=True)
        performed = rows.filter(sop_instance_uid=sop_instance_uid).first()
        if performed is None:
            raise NoSuchInstanceError("There is no such performed procedure step")
        _refuse_strangers(performed, calling_ae)
        if performed.performed_procedure_step_status != PerformedStatus.IN_PROGRESS:
            raise NoLongerUpdatableError("Performed Procedure Step Object may no longer be updated")
        given = _kept(ds)
        changes = _without_repeated(given, performed.data_set)
        merged = {**performed.data_set, **changes}
        _check_status(merged)
        size = _size(merged)
        _refuse_flood(calling_ae, size - performed.size)
        notes = leniency.notes(merged, sop_instance_uid, before=performed.notes, repeats=len(changes) < len(given))
        if not PerformedProcedureStep.objects.filter(pk=performed.pk).update_in_progress(
            data_set=merged, size=size, notes=notes, **_columns(merged)
        ):
            raise NoLongerUpdatableError("Performed Procedure Step Object may no longer be updated")
        performed.refresh_from_db()
        with history_reason(_reported_by(calling_ae, reasons.words(merged))):
            if reasons.is_wrong_entry(merged):
                following.withdraw(performed)
            else:
                following.follow(performed)
        _note_station(calling_ae)
    return performed


def retrieve(sop_instance_uid: str, tags: tuple[int, ...], *, calling_ae: str) -> tuple[DataSet, tuple[int, ...]]:
    """Return the attributes with these tags, all when there are none, and the tags that are not supported.

    An attribute of the SOP class that the modality never gave comes back empty.
    """
    performed = PerformedProcedureStep.objects.filter(sop_instance_uid=sop_instance_uid).first()
    if performed is None:
        raise NoSuchInstanceError("There is no such performed procedure step")
    _refuse_strangers(performed, calling_ae)
    ds: DataSet = performed.data_set
    if not tags:
        return ds, ()
    found: DataSet = {}
    unsupported: list[int] = []
    for tag in tags:
        name = f"{tag:08X}"
        if name in ds:
            found[name] = ds[name]
        elif tag in SUPPORTED:
            found[name] = {"vr": standard_vr(tag)}
        else:
            unsupported.append(tag)
    return found, tuple(unsupported)


def _is_station(calling_ae: str) -> bool:
    """Tell whether a station reports; one that was switched off since its association began is refused."""
    enabled = Station.objects.filter(ae_title=calling_ae).values_list("enabled", flat=True).first()
    if enabled is False:
        raise NotAuthorizedError("The station is switched off")
    return bool(enabled)


def _refuse_strangers(performed: PerformedProcedureStep, calling_ae: str) -> None:
    """An AE title that belongs to no station has to do with its own reports only."""
    own = report.legal_ae_title(calling_ae)
    if not _is_station(calling_ae) and not (own and performed.calling_ae_title == own):
        raise NotAuthorizedError("Reported by another AE title")


def _reported_by(calling_ae: str, why: list[str] | None = None) -> str:
    text = _("MPPS from %(ae_title)s") % {"ae_title": calling_ae}
    return f"{text}: {', '.join(why)}" if why else text


def _columns(ds: DataSet) -> dict[str, object]:
    reason = report.printable(", ".join(reasons.words(ds)).replace("\\", "/"))
    return {**report.columns(ds), "discontinuation_reason": reason[:64].strip()}


def _kept(ds: DataSet) -> DataSet:
    return {name: element for name, element in ds.items() if name not in _SOP_COMMON}


def _size(ds: DataSet) -> int:
    """Return what a report takes in the database, about; raise when that is more than one may take."""
    size = len(json.dumps(ds)) + _ROW_BYTES
    if size > settings.MPPS_MAX_BYTES:
        raise TooLargeError("The report is larger than what is kept of one")
    return size


def _refuse_flood(calling_ae: str, more: int) -> None:
    """Refuse a sender whose reports of one day would take more than a day's may: reports are kept for ever."""
    since = timezone.now() - datetime.timedelta(days=1)
    sent = PerformedProcedureStep.objects.filter(
        calling_ae_title=report.legal_ae_title(calling_ae), created_at__gt=since
    ).aggregate(total=Sum("size"))["total"]
    if more > 0 and (sent or 0) + more > settings.MPPS_DAY_BYTES:
        raise TooLargeError("Too many reports of this device in one day")


_ROW_BYTES = 1000


def _check_uid(uid: str) -> None:
    try:
        validators.validate_uid_of_device(uid)
    except ValidationError:
        raise InvalidInstanceUIDError("The SOP Instance UID is not a UID") from None


def _require(ds: DataSet, tags: tuple[int, ...]) -> None:
    missing = [tag for tag in tags if f"{tag:08X}" not in ds]
    if missing:
        raise MissingAttributeError(_naming("Missing", missing), *missing)
    # An empty sequence of scheduled steps is how some devices write "unscheduled".
    empty = [tag for tag in tags if tag != SCHEDULED_STEPS and not any(_values(ds, tag))]
    if empty:
        raise MissingValueError(_naming("Empty", empty), *empty)


def _values(ds: DataSet, tag: int) -> list[object]:
    values: list[object] = ds[f"{tag:08X}"].get("Value", [])
    return values


def _require_studies(ds: DataSet) -> None:
    """Each scheduled step that is referred to names its study (PS3.3 §C.4.13)."""
    name = f"{STUDY_INSTANCE_UID:08X}"
    steps = report.items(ds, "ScheduledStepAttributesSequence")
    if any(name not in item for item in steps):
        raise MissingAttributeError(_naming("Missing", [STUDY_INSTANCE_UID]), STUDY_INSTANCE_UID)
    if not all(report.text(item, "StudyInstanceUID") for item in steps):
        raise MissingValueError(_naming("Empty", [STUDY_INSTANCE_UID]), STUDY_INSTANCE_UID)


def _without_repeated(ds: DataSet, stored: DataSet) -> DataSet:
    """Leave out what was given at creation and is only said again, which changes nothing; refuse what is not.

    Many devices send the whole of what they know in each message.
    """
    given = [tag for tag in sorted(FIXED_AT_CREATION) if f"{tag:08X}" in ds]
    changed = [tag for tag in given if not is_same(ds[f"{tag:08X}"], stored.get(f"{tag:08X}"))]
    if changed:
        raise NotAllowedError(_naming("Not to be set later", changed), *changed)
    return {name: element for name, element in ds.items() if int(name, 16) not in FIXED_AT_CREATION}


def _check_status(merged: DataSet) -> None:
    status = report.text(merged, "PerformedProcedureStepStatus")
    if status not in PerformedStatus.values:
        raise InvalidValueError("Not a status of a performed procedure step", STATUS)
    if status == PerformedStatus.COMPLETED:
        _require(merged, MANDATORY_AT_THE_END)
    elif status == PerformedStatus.DISCONTINUED:
        # Whoever gives up often does not say when; a refusal would leave the step in progress for ever.
        _require(merged, MANDATORY_WHEN_DISCONTINUED)


def _naming(what: str, tags: list[int]) -> str:
    text = f"{what}: {', '.join(map(tag_name, tags))}"
    return text if len(text) <= 64 else f"{text[:60].rpartition(',')[0]}, ..."


def _note_station(ae_title: str) -> None:
    Station.objects.filter(ae_title=ae_title).update(last_mpps_at=timezone.now())

"""The list for a downtime, and what was done in one."""

from __future__ import annotations

import datetime
import os
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from mwl_admin.api import resultschema
from mwl_admin.api.results import results
from mwl_admin.entries.tables import export
from mwl_admin.entries.tables.columns import DOWNTIME
from mwl_admin.entries.tables.files import Table
from mwl_admin.entries.tables.rows import import_table
from mwl_admin.exceptions import TransitionError
from mwl_admin.models import DowntimeRecord, PerformedProcedureStep, ScheduledProcedureStep, StepStatus
from mwl_admin.site.downtime import entering, listing
from tests.factory import make_patient, make_requested, make_station, make_step
from tests.site.markup import markup
from tests.site.test_today import make_today, shown

pytestmark = pytest.mark.django_db

DAY = datetime.timedelta(days=1)


def typed(moment: datetime.datetime) -> str:
    return timezone.localtime(moment).strftime("%Y-%m-%dT%H:%M")


def hours_ago(hours: float) -> datetime.datetime:
    return timezone.now().replace(second=0, microsecond=0) - datetime.timedelta(hours=hours)


# --- the list


def test_the_file_opens_without_the_site_and_holds_both_days_and_what_is_to_be_minded(tmp_path: Path) -> None:
    patient = make_patient(patient_id="P-1", family_name="<script>Doe", given_name="Jane", allergies="latex\niodine")
    today = timezone.localdate()
    make_step(make_requested(patient, accession_number="A-1"), scheduled_date=today).stations.add(make_station())
    make_step(make_requested(patient, accession_number="A-2"), scheduled_date=today + DAY)
    make_step(make_requested(patient, accession_number="A-3"), scheduled_date=today + 2 * DAY)
    make_step(make_requested(patient, accession_number="A-4"), scheduled_date=today).transition(StepStatus.CANCELLED)
    path = listing.write(tmp_path / "lists")
    text = path.read_text()
    assert path.name == f"worklist-{today.isoformat()}.html"
    assert [number in text for number in ("A-1", "A-2", "A-3", "A-4")] == [True, True, False, False]
    assert "latex" in text
    assert "iodine" in text
    assert "&lt;script&gt;Doe" in text
    assert "<script" not in text
    assert "default-src &#x27;none&#x27;" in text or "default-src 'none'" in text
    assert not any(part in text for part in ("http://", "https://", "src=", "href="))
    assert [oct(one.stat().st_mode & 0o777) for one in (path.parent, path)] == ["0o700", "0o600"]


def test_a_file_is_replaced_whole_and_old_lists_go_and_nothing_else(tmp_path: Path, settings: Any) -> None:
    settings.DOWNTIME_LIST_KEEP_DAYS = 7
    today = timezone.localdate()
    names = {days: f"worklist-{(today - days * DAY).isoformat()}.html" for days in (1, 7, 8, 400)}
    others = ("notes.html", "worklist-2020-13-45.html", "worklist-2020-01-01.html.bak")
    for name in (*names.values(), *others):
        (tmp_path / name).write_text("x")
    first = listing.write(tmp_path)
    inode = first.stat().st_ino
    make_today(1)
    assert listing.write(tmp_path).stat().st_ino != inode, "whoever has the old one open reads it to its end"
    assert "ACC-1" in first.read_text()
    assert {path.name for path in tmp_path.iterdir()} == {first.name, names[1], names[7], *others}


@pytest.mark.machine_clock
def test_a_list_is_due_when_it_is_missing_old_or_from_the_future(tmp_path: Path, settings: Any) -> None:
    settings.DOWNTIME_LIST_MINUTES = 15
    assert listing.is_due(tmp_path)
    path = listing.write(tmp_path)
    assert not listing.is_due(tmp_path)
    now = timezone.now().timestamp()
    for age, due in ((14 * 60, False), (16 * 60, True), (-3600, True)):
        os.utime(path, (now - age, now - age))
        assert listing.is_due(tmp_path) is due
    assert listing.is_due(tmp_path, timezone.now() + DAY), "each day has its own"


def test_the_command_writes_where_it_is_told_and_says_where(
    tmp_path: Path, settings: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("downtime_list", folder=tmp_path)
    assert capsys.readouterr().out.strip() == str(next(tmp_path.iterdir()))
    settings.DOWNTIME_LIST_DIR = ""
    with pytest.raises(CommandError, match="DOWNTIME_LIST_DIR"):
        call_command("downtime_list")
    (tmp_path / "file").touch()
    with pytest.raises(CommandError, match="can't be written"):
        call_command("downtime_list", folder=tmp_path / "file" / "below")


def test_the_page_shows_the_same_list_of_any_day(desk: Client) -> None:
    make_today(1)
    page = markup(desk.get(reverse("downtime_list")))
    assert "ACC-1" in page
    later = (timezone.localdate() + 2 * DAY).isoformat()
    assert "ACC-1" not in desk.get(reverse("downtime_list"), {"day": later}).content.decode()
    assert desk.get(reverse("downtime_list"), {"day": "2026-99-99"}).status_code == 200


# --- what was done


def enter(client: Client, step: ScheduledProcedureStep, start: datetime.datetime, end: datetime.datetime) -> Any:
    return client.post(reverse("done_in_downtime", args=[step.pk]), {"start": typed(start), "end": typed(end)})


def test_a_step_is_completed_with_its_real_times_and_history_tells_who(desk: Client) -> None:
    step, start, end = make_today(1), hours_ago(3), hours_ago(2)
    assert enter(desk, step, start, end).status_code == 302
    step.refresh_from_db()
    record = DowntimeRecord.objects.get(step=step)
    assert (step.status, step.previous_status) == ("COMPLETED", "SCHEDULED")
    assert (record.performed_start_at, record.performed_end_at) == (start, end)
    assert record.entered_by is not None
    assert record.history.get().history_user == record.entered_by
    assert step.history.first().history_change_reason == "done in a downtime"
    assert f"in a downtime, {timezone.localtime(start):%H:%M} to {timezone.localtime(end):%H:%M}" in shown(desk)


def test_times_can_be_corrected_and_the_first_ones_stay_in_the_history(desk: Client) -> None:
    step = make_today(1)
    enter(desk, step, hours_ago(3), hours_ago(2))
    version = ScheduledProcedureStep.objects.get(pk=step.pk).version
    corrected = hours_ago(5)
    enter(desk, step, corrected, hours_ago(4))
    record = DowntimeRecord.objects.get(step=step)
    assert record.performed_start_at == corrected
    assert record.history.count() == 2
    assert ScheduledProcedureStep.objects.get(pk=step.pk).version > version, "who follows changes sees it"


@pytest.mark.parametrize(
    ("start", "end", "told"),
    [
        (2, 3, "The end must be after the start."),
        (2, 2, "The end must be after the start."),
        (2, -1, "That lies in the future."),
        (-1, -2, "That lies in the future."),
    ],
)
def test_what_cannot_have_been_is_refused(desk: Client, start: float, end: float, told: str) -> None:
    step = make_today(1)
    answer = enter(desk, step, hours_ago(start), hours_ago(end))
    assert answer.status_code == 200
    assert told in markup(answer)
    assert not DowntimeRecord.objects.exists()
    assert ScheduledProcedureStep.objects.get(pk=step.pk).status == "SCHEDULED"


def test_the_database_refuses_an_end_before_the_start() -> None:
    step = make_today(1)
    with pytest.raises(IntegrityError), transaction.atomic():
        DowntimeRecord.objects.create(step=step, performed_start_at=hours_ago(1), performed_end_at=hours_ago(2))


def test_a_step_that_was_cancelled_or_reported_by_its_modality_takes_no_times(desk: Client) -> None:
    cancelled, reported = make_today(1), make_today(2)
    cancelled.transition(StepStatus.CANCELLED)
    report = PerformedProcedureStep.objects.create(
        sop_instance_uid="1.2.3", performed_procedure_step_status="COMPLETED"
    )
    report.scheduled_procedure_steps.add(reported)
    for step in (cancelled, reported):
        assert enter(desk, step, hours_ago(3), hours_ago(2)).status_code == 200
        with pytest.raises(TransitionError):
            entering.enter(step, hours_ago(3), hours_ago(2), None)
    assert not DowntimeRecord.objects.exists()


def test_the_api_tells_them_as_entered_and_no_longer_when_the_end_is_taken_back(desk: Client) -> None:
    step, start, end = make_today(1), hours_ago(3), hours_ago(2)
    enter(desk, step, start, end)
    steps = ScheduledProcedureStep.objects.all()
    (told,) = results(step.requested_procedure, steps)["steps"]
    assert told["done_in_downtime"]["PerformedProcedureStepStartTime"] == timezone.localtime(start).strftime("%H%M%S")
    assert told["done_in_downtime"]["PerformedProcedureStepEndDate"] == timezone.localtime(end).strftime("%Y%m%d")
    known = resultschema.results()["properties"]["steps"]["items"]["properties"]
    assert told["done_in_downtime"].keys() == known["done_in_downtime"]["properties"].keys()
    ScheduledProcedureStep.objects.get(pk=step.pk).undo()
    (told,) = results(step.requested_procedure, steps)["steps"]
    assert "done_in_downtime" not in told


def test_an_export_tells_them_and_can_be_imported_again(desk: Client) -> None:
    step, start, end = make_today(1), hours_ago(3), hours_ago(2)
    make_step(step.requested_procedure, scheduled_procedure_step_id="S-2")
    enter(desk, step, start, end)
    rows = list(export.rows(ScheduledProcedureStep.objects.order_by("pk")))
    told = dict(zip(export.headings(), rows[0], strict=True))
    assert [told[name] for name in DOWNTIME] == [f"{timezone.localtime(one):%Y-%m-%d %H:%M}" for one in (start, end)]
    assert not {*DOWNTIME} & {*export.to_be_filled_in()}
    report = import_table(Table(export.headings(), [(number, row) for number, row in enumerate(rows, 2)]))
    assert report.applied
    assert DowntimeRecord.objects.get().performed_start_at == start

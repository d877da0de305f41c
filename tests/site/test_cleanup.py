"""The site itself forgets what it has no use for any more, whether or not a worklist provider runs beside it."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.sessions.models import Session
from django.db import OperationalError
from django.utils import timezone
from pytest_django.plugin import DjangoDbBlocker

from mwl_admin.models import ReceivedStudy, StudyNotice
from mwl_admin.site import cleanup
from tests.databases import database
from tests.processes import Processes
from tests.waiting import wait_until

__all__ = ["database"]

OLD = """
import datetime
from django.contrib.sessions.models import Session
from django.utils import timezone
from mwl_admin.models import ReceivedStudy, StudyNotice
now = timezone.now()
Session.objects.create(session_key="old", session_data="x", expire_date=now - datetime.timedelta(days=1))
study = ReceivedStudy.objects.create(
    study_instance_uid="1.2.3", first_arrival_at=now, last_arrival_at=now, announced_at=now
)
StudyNotice.objects.create(event_id="00000001", study=study, announced_at=now)
StudyNotice.objects.update(received_at=now - datetime.timedelta(days=31))
"""
LEFT = """
from django.contrib.sessions.models import Session
from mwl_admin.models import StudyNotice
print("left:", Session.objects.count() + StudyNotice.objects.count())
"""


@pytest.fixture
def worklist(database: str, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Two notices, of which one is old, and a session that has ended."""
    with django_db_blocker.unblock():
        now = timezone.now()
        study = ReceivedStudy.objects.create(
            study_instance_uid="1.2.3", first_arrival_at=now, last_arrival_at=now, announced_at=now
        )
        for name, days in (("00000001", 31), ("00000002", 29)):
            made = StudyNotice.objects.create(event_id=name, study=study, announced_at=now)
            StudyNotice.objects.filter(pk=made.pk).update(received_at=now - datetime.timedelta(days=days))
        Session.objects.create(session_key="old", session_data="x", expire_date=now - datetime.timedelta(days=1))
        yield
        for model in (StudyNotice, ReceivedStudy, Session):
            model._default_manager.all().delete()


@pytest.fixture
def cleaner() -> Iterator[cleanup.Cleaner]:
    made = cleanup.Cleaner()
    yield made
    made.stop()


def _are_deleted() -> bool:
    return not Session.objects.exists() and [*StudyNotice.objects.values_list("event_id", flat=True)] == ["00000002"]


def test_notices_of_long_ago_and_ended_sessions_are_deleted(worklist: None, cleaner: cleanup.Cleaner) -> None:
    cleaner.start()
    wait_until(_are_deleted, what="what is old is deleted")


def test_a_database_that_refuses_is_asked_again(
    worklist: None, cleaner: cleanup.Cleaner, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    prune, refusing = cleanup.prune, iter([True])

    def refuses_once(now: datetime.datetime) -> dict[str, int]:
        if next(refusing, False):
            raise OperationalError("synthetic fault: Doe^John")
        return prune(now)

    monkeypatch.setattr(cleanup, "prune", refuses_once)
    monkeypatch.setattr(cleanup, "PAUSE_SECONDS", 0.05)
    caplog.set_level(logging.INFO, "mwl_admin.site.cleanup")
    cleaner.start()
    wait_until(_are_deleted, what="what is old is deleted")
    cleaner.stop()
    messages = [record.getMessage() for record in caplog.records]
    assert messages == ["old records could not be deleted", "old records deleted"]
    assert vars(caplog.records[0])["fields"] == {"error": "OperationalError"}


def test_it_deletes_once_an_hour_at_most(cleaner: cleanup.Cleaner, monkeypatch: pytest.MonkeyPatch) -> None:
    rounds: list[datetime.datetime] = []

    def counted(now: datetime.datetime) -> dict[str, int]:
        rounds.append(now)
        return {}

    monkeypatch.setattr(cleanup, "prune", counted)
    cleaner.start()
    cleaner.start()
    wait_until(lambda: rounds, what="the first round")
    cleaner.stop()
    assert len(rounds) == 1
    assert cleanup.PAUSE_SECONDS == 3600


def test_the_sites_process_does_so_with_no_worklist_provider_beside_it(tmp_path: Path) -> None:
    site = Processes(tmp_path)
    site.data_dir.mkdir()
    site.prepare()
    site.manage("shell", "-c", OLD)
    try:
        site.mwl_admin.start()
        wait_until(lambda: "left: 0" in site.manage("shell", "-c", LEFT), what="what is old is deleted", timeout=60)
    finally:
        site.stop()

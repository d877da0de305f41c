"""The log of changes: whoever writes, no reader misses a change or gets it twice. On both databases."""

from __future__ import annotations

import datetime
import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connection, models, transaction
from django.db.models import F
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django.plugin import DjangoDbBlocker

from mwl_admin.changes import feed
from mwl_admin.changes.feed import Feed, UnknownCursor, one_moment
from mwl_admin.changes.installing import install, remove
from mwl_admin.changes.sources import SOURCES
from mwl_admin.entries.cancelling import cancel
from mwl_admin.entries.entries import store
from mwl_admin.entries.entry import Entry, Mode
from mwl_admin.models import (
    ChangeFeed,
    EntryChange,
    Patient,
    PerformedProcedureStep,
    ProtocolCode,
    ReceivedStudy,
    RequestedProcedure,
    ScheduledProcedureStep,
    Station,
    StepStatus,
)
from mwl_admin.patients import merging
from mwl_admin.worklist.attributes import ATTRIBUTES, PROTOCOL_CODES, STATION_IDS, STEP_ATTRIBUTES
from tests.databases import database
from tests.factory import make_code, make_station

__all__ = ["database"]


@pytest.fixture(autouse=True)
def worklist(database: str, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Two patients, each with an entry on CT1; A-1 has a code, a report and images."""
    with django_db_blocker.unblock():
        ct1 = make_station()
        make_station("MR1", "MR")
        for number in (1, 2):
            make(f"A-{number}", f"P-{number}", ScheduledStationAETitle=["CT1"])
        code = make_code("X", coding_scheme_designator="99L", code_meaning="thorax")
        step = step_of("A-1")
        step.protocol_codes.add(code)
        report = PerformedProcedureStep.objects.create(
            sop_instance_uid="1.2.3", performed_procedure_step_status="IN PROGRESS"
        )
        report.scheduled_procedure_steps.add(step)
        now = timezone.now()
        ReceivedStudy.objects.create(
            study_instance_uid=order("A-1").study_instance_uid, requested_procedure=order("A-1"),
            first_arrival_at=now, last_arrival_at=now, announced_at=now,
        )  # fmt: skip
        assert ct1.scheduled_procedure_steps.count() == 2
        yield
        for model in (
            ReceivedStudy, PerformedProcedureStep, ScheduledProcedureStep, RequestedProcedure, Patient, Station,
            ProtocolCode, EntryChange, get_user_model(),
        ):  # fmt: skip
            model._base_manager.all().delete()


def make(number: str, patient: str, **step: Any) -> None:
    start = {"Modality": "CT", "ScheduledProcedureStepStartDate": "20260504", "ScheduledProcedureStepStartTime": "1030"}
    told = {"AccessionNumber": number, "PatientID": patient, "PatientName": f"Doe^{patient}"}
    store(Entry({**told, "PatientBirthDate": "19500701"}, ({**start, **step},)), Mode.CREATE)


def order(number: str) -> RequestedProcedure:
    return RequestedProcedure.objects.get(accession_number=number)


def step_of(number: str) -> ScheduledProcedureStep:
    return ScheduledProcedureStep.objects.get(requested_procedure__accession_number=number)


class Reader:
    """A system that polls: ``poll`` returns what came, deletions with a minus."""

    def __init__(self) -> None:
        with one_moment():
            self.cursor = Feed().end()

    def poll(self, limit: int = 100) -> list[str]:
        with one_moment():
            changes = Feed().read(self.cursor, limit)
            numbers = dict(RequestedProcedure.objects.values_list("pk", "accession_number"))
        self.cursor = changes.cursor
        return sorted(
            [*(numbers.get(pk, "nothing") for pk in changes.entries), *(f"-{gone}" for _, gone in changes.gone)]
        )


def admin_form() -> None:
    """Change a patient as staff do."""
    staff = Client()
    staff.force_login(get_user_model().objects.create_superuser("anna"))
    url = reverse("admin:mwl_admin_patient_change", args=[Patient.objects.get(patient_id="P-1").pk])
    form = staff.get(url).context["adminform"].form
    values = {bound.html_name: bound.value() for bound in form if bound.value() is not None}
    values |= {"patient_birth_date": "02/07/1950", "_save": "1"}
    for formset in staff.get(url).context["inline_admin_formsets"]:
        values |= {f"{formset.formset.prefix}-{name}_FORMS": "0" for name in ("TOTAL", "INITIAL")}
    answer = staff.post(url, values)
    assert answer.status_code == 302, answer.context["adminform"].form.errors


def merge() -> None:
    kept, given_up = Patient.objects.get(patient_id="P-2"), Patient.objects.get(patient_id="P-1")
    merging.merge(kept, given_up, seen=(kept.version, given_up.version), entries_seen=1)


def again() -> None:
    order("A-2").delete()
    make("A-2", "P-2")


def raw(statement: str, *values: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)


def _set(model: Any, found: dict[str, Any], **values: Any) -> Callable[[], object]:
    return lambda: model.objects.filter(**found).update(**values)


BOTH = ["A-1", "A-2"]
WRITERS: dict[str, tuple[Callable[[], object], list[str]]] = {
    "a form": (admin_form, ["A-1"]),
    "the API": (lambda: store(Entry({"AccessionNumber": "A-1", "AdmissionID": "7"}), Mode.UPDATE), ["A-1"]),
    "the API, of the patient": (
        lambda: store(Entry({"AccessionNumber": "A-1", "PatientSize": "1.8"}), Mode.UPDATE), ["A-1"]),
    "a new entry": (lambda: make("A-3", "P-3"), ["A-3"]),
    "another entry of a patient": (lambda: make("A-3", "P-1"), ["A-3"]),
    "a cancellation": (lambda: cancel("A-2"), ["A-2"]),
    "many at once": (lambda: ScheduledProcedureStep.objects.all().transition(StepStatus.ARRIVED), BOTH),
    "update of orders": (_set(RequestedProcedure, {"accession_number": "A-2"}, admission_id="9"), ["A-2"]),
    "update of patients": (_set(Patient, {}, patient_weight="70"), BOTH),
    "bulk_update": (lambda: Patient.objects.bulk_update(list(Patient.objects.all()), ["family_name"]), BOTH),
    "a merge": (merge, BOTH),
    "a station's name": (_set(Station, {"ae_title": "CT1"}, station_name="CT upstairs"), BOTH),
    "a station's deletion": (lambda: Station.objects.get(ae_title="CT1").delete(), BOTH),
    "other stations": (lambda: step_of("A-1").stations.set([Station.objects.get(ae_title="MR1")]), ["A-1"]),
    "a code's meaning": (_set(ProtocolCode, {}, code_meaning="chest"), ["A-1"]),
    "a code taken off": (lambda: step_of("A-1").protocol_codes.set([]), ["A-1"]),
    "a report": (_set(PerformedProcedureStep, {}, series_count=2), ["A-1"]),
    "a report of another step": (
        lambda: PerformedProcedureStep.objects.get().scheduled_procedure_steps.add(step_of("A-2")), ["A-2"]),
    "images": (_set(ReceivedStudy, {}, instance_count=2), ["A-1"]),
    "images of another entry": (lambda: ReceivedStudy.objects.update(requested_procedure=order("A-2")), BOTH),
    "another program": (
        lambda: raw("UPDATE mwl_admin_patient SET patient_state = %s WHERE patient_id = %s", "x", "P-2"), ["A-2"]),
    "deletion": (lambda: order("A-2").delete(), ["-A-2"]),
    "deletion of many": (lambda: RequestedProcedure.objects.all().delete(), ["-A-1", "-A-2"]),
    "deletion of a step": (lambda: step_of("A-2").delete(), ["A-2"]),
    "another number": (_set(RequestedProcedure, {"accession_number": "A-2"}, accession_number="B-2"), ["-A-2", "B-2"]),
    "a step moved": (
        lambda: ScheduledProcedureStep.objects.filter(pk=step_of("A-2").pk).update(
            requested_procedure=order("A-1"), scheduled_procedure_step_id="S-9"), BOTH),
    "nothing": (lambda: None, []),
    "a number used again": (again, ["A-2"]),
    "a query": (_set(Station, {}, last_query_at=timezone.now()), []),
}  # fmt: skip


@pytest.mark.parametrize("name", WRITERS)
def test_whoever_writes_is_noticed_once(name: str) -> None:
    write, told = WRITERS[name]
    reader = Reader()
    write()
    assert reader.poll() == told
    assert reader.poll() == []


def test_a_station_tells_of_the_steps_that_name_it_for_want_of_one() -> None:
    make("A-3", "P-3")
    make("A-4", "P-4", Modality="MR")
    reader = Reader()
    make_station("CT2")
    assert reader.poll() == ["A-3"]
    Station.objects.filter(ae_title="CT2").update(modality="MR")
    assert reader.poll() == ["A-3", "A-4"]
    Station.objects.filter(ae_title="MR1").update(enabled=False)
    assert reader.poll() == ["A-4"]


def test_all_that_an_entry_shows_has_a_source() -> None:
    """Each column that the worklist's table of attributes reads lies in a table that triggers watch."""
    watched = {source.table for source in SOURCES}
    shown = set()
    for attribute in (*ATTRIBUTES, *STEP_ATTRIBUTES):
        for column in attribute.columns:
            if column not in {STATION_IDS, PROTOCOL_CODES}:
                model: Any = ScheduledProcedureStep
                *path, last = column.split("__")
                for name in path:
                    model = model._meta.get_field(name).related_model
                assert model._meta.get_field(last)
                shown.add(model._meta.db_table)
    shown |= {ScheduledProcedureStep.stations.through._meta.db_table, Station._meta.db_table}
    shown |= {ScheduledProcedureStep.protocol_codes.through._meta.db_table, ProtocolCode._meta.db_table}
    assert shown <= watched
    assert all(isinstance(model, type(models.Model)) for model in apps.get_models())


def test_pages_follow_each_other() -> None:
    reader = Reader()
    for number in range(5):
        make(f"B-{number}", f"P-B{number}")
    order("B-4").delete()
    pages = [reader.poll(limit=2) for _ in range(4)]
    assert sorted(itertools.chain(*pages)) == ["-B-4", "B-0", "B-1", "B-2", "B-3"]
    assert [len(page) for page in pages] == [2, 2, 1, 0]


def test_a_clock_that_was_set_back_hides_nothing() -> None:
    reader = Reader()
    EntryChange.objects.update(changed_at=timezone.now() + datetime.timedelta(days=365))
    cancel("A-1")
    assert reader.poll() == ["A-1"]
    with one_moment():
        place = Feed().since(timezone.now() + datetime.timedelta(days=1))
        changed = Feed().changed(place).count()
    # From the first that claims to be so late on, the earlier time stamps after it too.
    assert changed == 2


def in_thread(work: Callable[[], Any]) -> Any:
    def run() -> Any:
        try:
            return work()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(run).result(timeout=60)


def test_an_early_writer_that_commits_late_is_not_missed(database: str) -> None:
    reader = Reader()
    if database.startswith("sqlite"):
        with transaction.atomic():
            cancel("A-1")
            assert in_thread(reader.poll) == []
        assert reader.poll() == ["A-1"]
        return
    with transaction.atomic():
        cancel("A-1")
        in_thread(lambda: cancel("A-2"))
        polls = [in_thread(reader.poll), in_thread(reader.poll)]
        with_moment = in_thread(lambda: _since(timezone.now() + datetime.timedelta(hours=1)))
    polls += [reader.poll(), reader.poll()]
    assert sorted(itertools.chain(*polls)) == BOTH
    # Who begins anew while somebody writes begins before what is written.
    reader.cursor = with_moment
    assert "A-1" in reader.poll()


def _beginning() -> str:
    with one_moment():
        return Feed().beginning()


def _since(moment: datetime.datetime) -> str:
    with one_moment():
        return Feed().since(moment)


def test_what_is_taken_back_is_no_change() -> None:
    reader = Reader()
    with transaction.atomic():
        cancel("A-1")
        transaction.set_rollback(True)
    assert reader.poll() == []


def test_with_many_writers_at_once_each_change_is_told_and_none_twice() -> None:
    """Each writer makes entries; a reader that polls all the while gets each of them once, and its last state."""
    reader = Reader()
    done = threading.Event()
    polled: list[str] = []

    def write(number: int) -> None:
        for count in range(8):
            with transaction.atomic():
                make(f"W-{number}-{count}", f"P-W{number}-{count}")
                if count % 4 == 3:
                    order(f"W-{number}-{count - 1}").delete()

    def read() -> None:
        while not done.is_set():
            polled.extend(reader.poll(limit=3))

    def closing(work: Callable[[], None]) -> None:
        try:
            work()
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        reading = pool.submit(closing, read)
        writing = [pool.submit(closing, lambda number=number: write(number)) for number in range(3)]  # type: ignore[misc]
        for future in writing:
            future.result(timeout=60)
        done.set()
        reading.result(timeout=60)
    while more := reader.poll():
        polled += more
    assert len(polled) == len(set(polled))
    gone = {f"W-{number}-{count}" for number in range(3) for count in (2, 6)}
    assert {name[1:] for name in polled if name.startswith("-")} == gone
    assert set(polled) >= set(
        RequestedProcedure.objects.filter(accession_number__startswith="W").values_list("accession_number", flat=True)
    )


def test_a_cursor_of_another_log_is_refused() -> None:
    reader = Reader()
    with one_moment():
        last = Feed().end()
    era, *numbers = last.split(".")
    with one_moment():
        for unknown in (
            ".".join(["0" * 12, *numbers]),
            ".".join([era, str(int(numbers[0]) + 10**9), *numbers[1:]]),
            ".".join([era, numbers[0], "9" * 18, *numbers[2:]]),
        ):
            with pytest.raises(UnknownCursor):
                Feed().read(unknown, 1)
        for wrong in ("", "x", last + "\n", last + "9" * 30, f"{era}.1"):
            with pytest.raises(ValueError, match="no cursor"):
                Feed().read(wrong, 1)
    assert reader.poll() == []


def test_deletions_are_forgotten_after_their_time_and_older_cursors_with_them() -> None:
    early = Reader()
    order("A-2").delete()
    late = Reader()
    for number in range(2):
        Patient.objects.update(patient_state=f"{number}")
    assert feed.prune(timezone.now()) == 0
    later = timezone.now() + feed.KEPT + datetime.timedelta(days=1)
    assert feed.prune(later) > 0
    with pytest.raises(UnknownCursor):
        early.poll()
    assert late.poll() == ["A-1"]
    # Who begins anew reads what is there, page by page, and has missed nothing.
    early.cursor = _beginning()
    make("A-3", "P-3")
    assert [early.poll(limit=1) for _ in range(3)] == [["A-1"], ["A-3"], []]
    order("A-3").delete()
    feed.prune(later)
    assert EntryChange.objects.filter(gone="").values("entry_id").distinct().count() == EntryChange.objects.count() == 1


def test_triggers_come_back_with_a_migration_and_nobody_knows_what_changed_without() -> None:
    reader = Reader()
    remove(connection)
    cancel("A-1")
    assert reader.poll() == []
    call_command("migrate", verbosity=0)
    assert reader.poll() == BOTH
    call_command("migrate", verbosity=0)
    assert reader.poll() == []
    cancel("A-2")
    assert reader.poll() == ["A-2"]


def test_the_log_stands_after_migrations_back_and_forth() -> None:
    """Migrations that make tables anew neither fail on triggers nor leave some out."""
    call_command("migrate", "mwl_admin", "0016", verbosity=0)
    cancel_without_log = ScheduledProcedureStep.objects.filter(pk=step_of("A-1").pk)
    assert cancel_without_log.update(pre_medication="x") == 1
    call_command("migrate", verbosity=0)
    reader = Reader()
    cancel("A-1")
    assert reader.poll() == ["A-1"]


def test_a_log_from_another_server_begins_anew() -> None:
    order("A-2").delete()
    reader = Reader()
    ChangeFeed.objects.update(system="elsewhere")
    # Its transactions were counted further than ours are.
    EntryChange.objects.update(position=2**60 + F("id"))
    install()
    with pytest.raises(UnknownCursor):
        reader.poll()
    reader = Reader()
    cancel("A-1")
    assert reader.poll() == ["A-1"]
    reader.cursor = _since(timezone.now() - datetime.timedelta(days=1))
    assert reader.poll() == ["-A-2", "A-1"]

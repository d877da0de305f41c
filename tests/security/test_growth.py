"""Nothing that a stranger or a device sends makes the worklist database, a page or the memory grow by a factor."""

from __future__ import annotations

import datetime
import json
import re
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from axes.models import AccessAttempt, AccessLog
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.contrib.sessions.models import Session
from django.db import connection, models
from django.db.models import Sum
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from pydicom import Dataset
from pydicom.dataelem import DataElement

from dicom_encoding.syntaxes import EXPLICIT_LITTLE
from mwl_admin.models import PerformedProcedureStep, WorklistQuery
from mwl_admin.mpps import operations
from mwl_admin.mpps.mpps_attributes import MANDATORY_AT_CREATION
from mwl_admin.mpps.mpps_errors import TooLargeError
from mwl_admin.site import cleanup
from mwl_admin.worklist.cutting import MARK, cut
from mwl_admin.worklist.identifier import Identifier, Key, parse
from mwl_admin.worklist.jsonmodel import to_json
from mwl_scp import mpps, recording
from mwl_scp.recording import QueryRecord, Recorder
from mwl_scp.recording_limits import RecordingLimits
from tests.mwl_scp.conftest import start_provider
from tests.mwl_scp.scu import find
from tests.site import demo
from tests.site.addresses import make_what_is_shown
from tests.waiting import wait_until
from tests.worklist.queries import encoded, identifier, parsed

DEFLATED = "1.2.840.10008.1.2.1.99"
LIMIT = 16_384


def element(tag: int, vr: str, value: bytes) -> bytes:
    return struct.pack("<HH2sHL", tag >> 16, tag & 0xFFFF, vr.encode(), 0, len(value)) + value


def nested(depth: int) -> Identifier:
    inner = Identifier({0x00100020: Key(0x00100020, "LO", b"P" * 40_000)})
    for _ in range(depth):
        inner = Identifier({0x00400100: Key(0x00400100, "SQ", items=(inner,) * 3)})
    return inner


HOSTILE: dict[str, Identifier] = {
    "one value of separators": parse(element(0x00104000, "UC", b"\\" * 2_600_000), EXPLICIT_LITTLE),
    "one long text": parse(element(0x00104000, "UT", b"x" * 2_600_000), EXPLICIT_LITTLE),
    "names of nobody": parse(element(0x00104000, "UC", b"^\\" * 500_000), EXPLICIT_LITTLE),
    "what JSON writes in six characters": parse(element(0x00104000, "UT", b"\x01" * 1_000_000), EXPLICIT_LITTLE),
    "letters beyond ASCII": Identifier.in_unicode({0x00104000: Key(0x00104000, "UT", "患".encode() * 300_000)}),
    "thousands of keys": Identifier({tag: Key(tag, "LO") for tag in range(0x00110000, 0x00111000)}),
    "thousands of long keys": Identifier({tag: Key(tag, "LO", b"x" * 60) for tag in range(0x00110000, 0x00111000)}),
    "items of items": nested(6),
    "thousands of items": Identifier(
        {0x00400100: Key(0x00400100, "SQ", items=(Identifier({0x00080060: Key(0x00080060, "CS", b"CT")}),) * 50_000)}
    ),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_of_a_query_no_more_is_kept_than_the_setting_says(what: str) -> None:
    text, was_cut = cut(HOSTILE[what], LIMIT)
    assert was_cut
    assert len(text) < LIMIT * 1.2
    assert len(text) > 400
    json.loads(text)


def test_a_cut_value_shows_that_it_is_cut_and_the_keys_after_it_are_kept() -> None:
    long = Identifier({0x00100010: Key(0x00100010, "PN", b"x" * 9000), 0x00100020: Key(0x00100020, "LO", b"P-1")})
    text, was_cut = cut(long, LIMIT)
    keys = json.loads(text)
    assert was_cut
    (name,) = keys["00100010"]["Value"]
    assert name["Alphabetic"].startswith("xxx")
    assert name["Alphabetic"].endswith(MARK)
    assert keys["00100020"]["Value"] == ["P-1"]


def test_a_modality_s_query_is_kept_whole() -> None:
    asked = parsed(
        identifier(step={"Modality": "CT", "ScheduledStationAETitle": "CT1"}, PatientName="Müller*", PatientID="")
    )
    text, was_cut = cut(asked, LIMIT)
    assert not was_cut
    assert json.loads(text) == to_json(asked)


def made(keys: Identifier | None = None, **values: Any) -> QueryRecord:
    taken = QueryRecord(timezone.now(), "CT1", "MWL_SCP", "127.0.0.1", status=0, identifier=keys)
    for name, value in values.items():
        setattr(taken, name, value)
    return taken


def test_what_waits_to_be_recorded_is_bounded_in_bytes() -> None:
    recorder = Recorder(
        0, limits=RecordingLimits(waiting=100_000)
    )  # its thread has not been started: nothing is written
    dropped = recording.DROPPED._value.get()
    tracemalloc.start()
    for _ in range(300):
        recorder.record(made(HOSTILE["one long text"]))
    held, _peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert recording.DROPPED._value.get() - dropped > 200
    assert held < 1_000_000


def test_deliveries_count_as_bytes_too() -> None:
    recorder = Recorder(0, limits=RecordingLimits(waiting=200_000))
    for _ in range(10):
        recorder.record(made(delivered=list(range(1000))))
    assert recorder._queue.qsize() == 1


@pytest.mark.django_db(transaction=True)
def test_of_all_queries_the_oldest_go_when_they_take_too_much() -> None:
    limit = 200_000
    with Recorder(0, limits=RecordingLimits(total=limit)).running() as recorder:
        for number in range(400):
            recorder.record(made(HOSTILE["one long text"], calling_ae_title=f"N{number}"))
            wait_until(lambda: recorder._queue.qsize() < 50, what="the recorder keeps up")
    kept = WorklistQuery.objects.aggregate(total=Sum("size"))["total"]
    assert 0.7 * limit < kept <= 1.2 * limit
    titles = set(WorklistQuery.objects.values_list("calling_ae_title", flat=True))
    assert "N399" in titles
    assert "N0" not in titles


@pytest.mark.django_db(transaction=True)
def test_no_limit_is_no_limit() -> None:
    with Recorder(0, limits=RecordingLimits(total=0)).running() as recorder:
        for _ in range(60):
            recorder.record(made(HOSTILE["one long text"]))
    assert WorklistQuery.objects.count() == 60


def test_forty_deflated_queries_leave_a_small_database(tmp_path: Path, django_db_blocker: Any) -> None:
    """15 kB on the wire, 15.7 MB each in the database before: now with the real client and the real provider."""
    from tests.databases import worklist_database

    ds = Dataset()
    ds.add(DataElement(0x00104000, "UC", "x\\" * 100_000))
    file = tmp_path / "worklist.sqlite3"
    with worklist_database(f"sqlite:///{file}", django_db_blocker):
        empty = sum(part.stat().st_size for part in tmp_path.glob("worklist*"))
        running = start_provider(tmp_path, f"sqlite:///{file}")
        try:
            for _ in range(40):
                find(running.port, ds, calling="CT1", transfer_syntax=DEFLATED)
            wait_until(lambda: WorklistQuery.objects.count() == 40, what="all queries are recorded")
            full = sum(part.stat().st_size for part in tmp_path.glob("worklist*"))
            assert full - empty < 6_000_000
            assert WorklistQuery.objects.filter(keys_cut=True).exists() or not WorklistQuery.objects.exclude(keys={})
        finally:
            running.stop()


# --- pages


@pytest.fixture
def site(db: None) -> Client:
    anna = User.objects.create_superuser("anna")
    Group.objects.get_or_create(name="Reception")
    demo.fill(timezone.localtime().replace(tzinfo=None))
    make_what_is_shown()
    client = Client()
    client.force_login(anna)
    return client


LARGE = (models.JSONField, models.TextField, models.BinaryField)
SHOWN_AND_BOUNDED = {
    # A list shows these; each is bounded where it is written.
    ("mwl_admin_patientread", "patient_identifiers"): "the patient IDs of one page, 64 characters each",
    ("mwl_admin_receivedstudy", "modalities"): "100 texts of 64 characters at most (images/arrivals.py)",
}
AXES = {("axes_accessattempt", "get_data"), ("axes_accessattempt", "post_data")}
"""Cut at 1,024 characters by the package that writes and lists them."""


def large_columns() -> set[tuple[str, str]]:
    return {
        (model._meta.db_table, str(field.column))
        for model in apps.get_models(include_auto_created=True)
        for field in model._meta.concrete_fields
        if isinstance(field, LARGE)
    }


def selected(statement: str) -> set[tuple[str, str]]:
    """Return the columns that a statement reads, as table and column."""
    read = re.match(r"SELECT (.*?) FROM ", statement, re.DOTALL)
    return set(re.findall(r'"(\w+)"\."(\w+)"', read[1])) if read else set()


@pytest.mark.parametrize("model", sorted(admin.site._registry, key=str), ids=str)
def test_no_list_loads_a_large_column(model: type[models.Model], site: Client) -> None:
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist"
    with CaptureQueriesContext(
        connection,
    ) as queries:
        answer = site.get(reverse(name), {"day": "all"} if "scheduled" in name else {})
    assert answer.status_code == 200
    assert len(answer.context["cl"].result_list) > 0
    # Django's own session is a text: it is read by its key.
    read = set().union(*(selected(query["sql"]) for query in queries)) - {("django_session", "session_data")}
    too_much = (read & large_columns()) - SHOWN_AND_BOUNDED.keys() - AXES
    assert not too_much


@pytest.mark.parametrize("page", ["today", "stations"])
def test_no_page_of_many_loads_a_report_or_the_keys_of_a_query(page: str, site: Client) -> None:
    with CaptureQueriesContext(connection) as queries:
        assert site.get(reverse(page)).status_code == 200
    read = set().union(*(selected(query["sql"]) for query in queries))
    assert ("mwl_admin_performedprocedurestep", "data_set") not in read


def test_the_list_of_queries_takes_the_same_memory_however_large_they_are(site: Client) -> None:
    keys = {"00104000": {"vr": "UC", "Value": [None] * 500_000}}
    WorklistQuery.objects.bulk_create(
        WorklistQuery(received_at=timezone.now(), calling_ae_title="CT1", keys=keys, status=0) for _ in range(10)
    )
    address = reverse("admin:mwl_admin_worklistquery_changelist")
    site.get(address)
    tracemalloc.start()
    answer = site.get(address)
    _held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert answer.status_code == 200
    assert peak < 15_000_000


def test_a_page_shortens_long_keys_and_says_where_they_are_whole(site: Client) -> None:
    value = "y" * 3000
    keys = {f"0011{number:04X}": {"vr": "LO", "Value": ["z"]} for number in range(500)}
    query = WorklistQuery.objects.create(
        received_at=timezone.now(),
        calling_ae_title="CT1",
        status=0,
        keys={"00100020": {"vr": "LO", "Value": [value]}, **keys},
    )
    address = reverse("query_explained", args=[query.pk])
    page = site.get(address).content.decode()
    assert value not in page
    assert "y" * 200 + MARK in page
    assert page.count("(0011,") < 200
    assert 'href="?whole=1"' in page
    whole = site.get(address + "?whole=1").content.decode()
    assert value in whole
    assert whole.count("(0011,") == 500


def test_a_cut_query_is_shown_as_cut_and_not_explained(site: Client) -> None:
    text, was_cut = cut(HOSTILE["names of nobody"], LIMIT)
    query = WorklistQuery.objects.create(
        received_at=timezone.now(), calling_ae_title="CT1", status=0, keys=json.loads(text), keys_cut=was_cut
    )
    page = site.get(reverse("query_explained", args=[query.pk])).content.decode()
    assert "The query is longer than Gateway keeps" in page
    assert "it would find" not in page


# --- MPPS


def report(uid: str, size: int = 0) -> dict[str, Any]:
    return {
        "00400270": {"vr": "SQ"},
        "00400253": {"vr": "SH", "Value": ["S1"]},
        "00400241": {"vr": "AE", "Value": ["CT1"]},
        "00400244": {"vr": "DA", "Value": ["20260504"]},
        "00400245": {"vr": "TM", "Value": ["1030"]},
        "00400252": {"vr": "CS", "Value": ["IN PROGRESS"]},
        "00080060": {"vr": "CS", "Value": ["CT"]},
        "00104000": {"vr": "LT", "Value": ["x" * size]},
        **{f"{tag:08X}": {"vr": "SH"} for tag in _REST},
    }


_REST = sorted(set(MANDATORY_AT_CREATION) - {0x00400270, 0x00400253, 0x00400241, 0x00400244, 0x00400245,
                                                         0x00400252, 0x00080060})  # fmt: skip


@pytest.mark.django_db
def test_a_report_is_bounded_and_so_are_those_of_a_day(settings: Any) -> None:
    settings.MPPS_MAX_BYTES, settings.MPPS_DAY_BYTES = 100_000, 250_000
    with pytest.raises(TooLargeError):
        operations.create(report("1", 100_000), "1.2.1", calling_ae="CT1")
    for number in (2, 3):
        operations.create(report("1", 90_000), f"1.2.{number}", calling_ae="CT1")
    with pytest.raises(TooLargeError):
        operations.create(report("1", 90_000), "1.2.4", calling_ae="CT1")
    operations.create(report("1", 90_000), "1.2.5", calling_ae="CT2")
    with pytest.raises(TooLargeError):  # nor does a report grow afterwards
        operations.modify({"00104000": {"vr": "LT", "Value": ["x" * 99_500]}}, "1.2.5", calling_ae="CT2")
    assert PerformedProcedureStep.objects.count() == 3
    PerformedProcedureStep.objects.update(created_at=timezone.now() - datetime.timedelta(hours=25))
    operations.create(report("1", 90_000), "1.2.6", calling_ae="CT1")
    assert mpps._refused(TooLargeError("x")).response.status == 0x0213


# --- what is swept away


@pytest.mark.django_db
def test_ended_sessions_and_old_refused_logins_are_deleted_and_logins_kept(client: Client) -> None:
    now = timezone.now()
    for key, days in (("old", -1), ("new", 1)):
        Session.objects.create(session_key=key, session_data="x", expire_date=now + datetime.timedelta(days=days))
    for days in (0, 2):
        row = AccessAttempt.objects.create(username=f"x{days}", ip_address="192.0.2.1", failures_since_start=1)
        AccessAttempt.objects.filter(pk=row.pk).update(attempt_time=now - datetime.timedelta(days=days))
    AccessLog.objects.create(username="anna", ip_address="192.0.2.1")
    AccessLog.objects.update(attempt_time=now - datetime.timedelta(days=900))
    assert cleanup.prune(now) == {
        "notices": 0,
        "changes": 0,
        "told_changes": 0,
        "sessions": 1,
        "refused_logins": 1,
    }
    assert list(Session.objects.values_list("session_key", flat=True)) == ["new"]
    assert AccessLog.objects.count() == 1


@pytest.mark.django_db
def test_strangers_leave_no_session_behind(client: Client) -> None:
    for path in ("/", "/admin/login/", "/today/", "/api/docs", "/health"):
        client.get(path)
    client.post("/admin/login/", {"username": "x", "password": "wrong"})
    assert not Session.objects.exists()


def test_each_encoding_of_a_value_is_cut_alike() -> None:
    for syntax in (EXPLICIT_LITTLE, "1.2.840.10008.1.2"):
        ds = Dataset()
        ds.add(DataElement(0x00104000, "UT", "x" * 60_000))
        assert cut(parse(encoded(ds, syntax), syntax), LIMIT)[1]

"""Strangers, and devices that are not what they say, at the real worklist provider: who is let in, and to what."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from pydicom.uid import generate_uid

from mwl_admin.models import (
    Enrolment,
    KeptOut,
    PerformedProcedureStep,
    ScheduledProcedureStep,
    Station,
    UnknownCaller,
)
from tests.clients import dcmtk
from tests.components import requires
from tests.factory import make_station, make_step
from tests.mpps.scu import creation, final, modality
from tests.mwl_scp.conftest import Provider, start_provider
from tests.mwl_scp.scu import find
from tests.postgres import PostgresServer
from tests.security.associations import CALLING_AE_NOT_RECOGNIZED, SERVICES, TEMPORARY_CONGESTION, asked
from tests.security.test_certificates import Authority
from tests.waiting import wait_until
from tests.worklist.queries import identifier

pytestmark = pytest.mark.usefixtures("database")

ALL = identifier(step={"ScheduledProcedureStepID": ""}, PatientID="")


@pytest.fixture(scope="module")
def beyond(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """A provider that other machines can reach, with default settings."""
    running = start_provider(tmp_path_factory.mktemp("beyond"), database, host="0.0.0.0")
    yield running
    assert running.stop() == 0, running.log_text()


@pytest.fixture(scope="module")
def loopback(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """A provider that only its own machine can reach, with default settings."""
    running = start_provider(tmp_path_factory.mktemp("loopback"), database)
    yield running
    assert running.stop() == 0, running.log_text()


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("called", ["MWL_SCP", "ANY-SCP", "PACS"])
def test_beyond_loopback_a_stranger_gets_nothing_whatever_it_calls_and_asks_for(
    beyond: Provider, service: str, called: str
) -> None:
    make_step()
    make_station("CT1")
    assert asked(beyond.port, "STRANGER", called, contexts=SERVICES[service]) == CALLING_AE_NOT_RECOGNIZED
    assert asked(beyond.port, "ct1", called, contexts=SERVICES[service]) == CALLING_AE_NOT_RECOGNIZED
    assert asked(beyond.port, "CT1", called, contexts=SERVICES[service]) is None


def test_on_loopback_a_stranger_is_served(loopback: Provider) -> None:
    step = make_step()
    (answer,) = find(loopback.port, ALL, calling="STRANGER").identifiers
    assert answer.ScheduledProcedureStepSequence[0].ScheduledProcedureStepID == step.scheduled_procedure_step_id


@pytest.mark.parametrize("where", ["127.0.0.1", "0.0.0.0"])
@pytest.mark.parametrize("chosen", ["all", "none"])
def test_the_setting_overrides_where_the_service_listens(
    database: str, tmp_path: Path, where: str, chosen: str
) -> None:
    running = start_provider(tmp_path, database, host=where, MWL_UNKNOWN_STATIONS=chosen)
    try:
        assert asked(running.port, "STRANGER") == (None if chosen == "all" else CALLING_AE_NOT_RECOGNIZED)
    finally:
        assert running.stop() == 0


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("provider", ["beyond", "loopback"])
@pytest.mark.parametrize("wrong", [{"enabled": False}, {"expected_addresses": "192.0.2.7\n198.51.100.0/24\n::1"}])
def test_a_station_that_is_switched_off_or_calls_from_elsewhere_is_turned_away(
    request: pytest.FixtureRequest, provider: str, service: str, wrong: dict[str, Any]
) -> None:
    port = request.getfixturevalue(provider).port
    make_station("CT1", **wrong)
    assert asked(port, "CT1", contexts=SERVICES[service]) == CALLING_AE_NOT_RECOGNIZED


def test_a_station_that_calls_from_where_it_is_expected_is_served(beyond: Provider) -> None:
    make_station("CT1", expected_addresses="192.0.2.7\n127.0.0.0/8")
    assert asked(beyond.port, "CT1") is None


def test_what_staff_change_counts_for_the_next_association(beyond: Provider) -> None:
    station = make_station("CT1")
    assert asked(beyond.port, "CT1") is None
    Station.objects.filter(pk=station.pk).update(enabled=False)
    assert asked(beyond.port, "CT1") == CALLING_AE_NOT_RECOGNIZED
    Station.objects.filter(pk=station.pk).update(enabled=True)
    assert asked(beyond.port, "CT1") is None
    station.delete()
    assert asked(beyond.port, "CT1") == CALLING_AE_NOT_RECOGNIZED


def test_whoever_is_turned_away_learns_nothing_of_why_and_the_log_says_it(beyond: Provider) -> None:
    make_station("CT_OFF", enabled=False)
    make_station("CT_FAR", expected_addresses="192.0.2.7")
    assert {asked(beyond.port, title) for title in ("STRANGER", "CT_OFF", "CT_FAR")} == {CALLING_AE_NOT_RECOGNIZED}
    for because in ("belongs to no known device", "is switched off", "address where it is not expected"):
        wait_until(lambda because=because: because in beyond.log_text(), what=because)  # type: ignore[misc]


def test_the_own_health_check_is_answered_although_it_is_no_device(beyond: Provider) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{beyond.health_port}/health", timeout=30) as answer:
        assert answer.status == 200


@pytest.mark.parametrize("unknown", ["all", "none"])
def test_a_database_that_is_away_lets_nobody_in_for_now(
    postgres_server: PostgresServer, tmp_path: Path, unknown: str
) -> None:
    away = postgres_server.create_database().rpartition("/")[0] + "/no_such_database"
    running = start_provider(tmp_path, away, MWL_UNKNOWN_STATIONS=unknown)
    try:
        assert asked(running.port, "CT1") == TEMPORARY_CONGESTION
        assert "stations cannot be read; nobody is let in" in running.log_text()
    finally:
        assert running.stop() == 0


def status_of(step: ScheduledProcedureStep) -> str:
    return str(ScheduledProcedureStep.objects.values_list("status", flat=True).get(pk=step.pk))


def test_a_stranger_ends_no_step_that_is_kept_for_a_station(loopback: Provider) -> None:
    step = make_step(requested={"accession_number": "A-1"}, stations=[make_station("CT1")])
    free = make_step()
    by_accession_number = creation(step)
    by_accession_number.ScheduledStepAttributesSequence[0].StudyInstanceUID = "2.25.1"
    with modality(loopback.port, calling="STRANGER") as stranger:
        for ds in (creation(step), by_accession_number):
            uid = str(generate_uid())
            assert stranger.create(ds, uid).status == 0x0000
            assert stranger.set(final(), uid).status == 0x0000
            # What was done is kept, as an examination without an entry: staff see it.
            assert not PerformedProcedureStep.objects.get(sop_instance_uid=uid).scheduled_procedure_steps.exists()
        assert status_of(step) == "SCHEDULED"
        uid = str(generate_uid())
        assert stranger.create(creation(free), uid).status == 0x0000
    assert status_of(free) == "STARTED"


def test_a_stranger_neither_ends_nor_reads_what_another_has_reported(loopback: Provider) -> None:
    step = make_step(stations=[make_station("CT1")])
    uid = str(generate_uid())
    with modality(loopback.port, calling="CT1") as own, modality(loopback.port, calling="STRANGER") as stranger:
        assert own.create(creation(step), uid).status == 0x0000
        assert stranger.set(final(), uid).status == 0x0124
        answer = stranger.get(uid)
        assert (answer.status, answer.data) == (0x0124, None)
        assert status_of(step) == "STARTED"
        assert own.set(final(), uid).status == 0x0000
    assert status_of(step) == "COMPLETED"


def test_a_station_that_is_switched_off_while_its_association_lasts_reports_and_reads_nothing_more(
    beyond: Provider,
) -> None:
    step, other = make_step(), make_step()
    make_station("CT1")
    uid = str(generate_uid())
    with modality(beyond.port, calling="CT1") as opened:
        assert opened.create(creation(step), uid).status == 0x0000
        Station.objects.update(enabled=False)
        assert opened.create(creation(other), str(generate_uid())).status == 0x0124
        assert opened.set(final(), uid).status == 0x0124
        assert opened.get(uid).status == 0x0124
    assert [status_of(step), status_of(other)] == ["STARTED", "SCHEDULED"]


@pytest.mark.parametrize("caller", ["CT1", "CT2", "STRANGER"])
@pytest.mark.parametrize("how", ["identifiers", "accession number"])
def test_a_report_that_names_another_patient_ends_nothing(loopback: Provider, caller: str, how: str) -> None:
    stations = [make_station("CT1"), make_station("CT2")]
    steps = [
        make_step(requested={"accession_number": f"A-{number}"}, stations=stations[:number]) for number in range(3)
    ]
    ds = creation(*steps, PatientID="SOMEONE-ELSE")
    if how == "accession number":
        for item in ds.ScheduledStepAttributesSequence:
            item.StudyInstanceUID = "2.25.1"
    uid = str(generate_uid())
    with modality(loopback.port, calling=caller) as opened:
        assert opened.create(ds, uid).status == 0x0000
        assert opened.set(final(), uid).status == 0x0000
    assert [status_of(step) for step in steps] == ["SCHEDULED"] * 3
    assert not PerformedProcedureStep.objects.get(sop_instance_uid=uid).scheduled_procedure_steps.exists()
    assert "SOMEONE-ELSE" not in loopback.log_text()


def test_a_station_may_report_what_was_planned_on_another(beyond: Provider) -> None:
    step = make_step(stations=[make_station("CT1")])
    make_station("CT2")
    uid = str(generate_uid())
    with modality(beyond.port, calling="CT2") as other:
        assert other.create(creation(step, PerformedStationAETitle="CT2"), uid).status == 0x0000
        assert other.set(final(), uid).status == 0x0000
    assert status_of(step) == "COMPLETED"
    assert list(PerformedProcedureStep.objects.get(sop_instance_uid=uid).scheduled_procedure_steps.all()) == [step]


def test_whom_an_update_found_at_work_is_served_as_before_until_staff_have_answered(
    database: str, tmp_path: Path
) -> None:
    make_step()
    for title in ("OLDCT", "OLDMR", "OLDUS"):
        Enrolment.objects.create(ae_title=title, service="worklist", last_seen_at=timezone.now())
    Enrolment.objects.create(ae_title="OLDWS", service="images", last_seen_at=timezone.now())
    running = start_provider(tmp_path, database, host="0.0.0.0")
    try:
        assert find(running.port, ALL, calling="OLDCT").identifiers
        assert find(running.port, ALL, calling="OLDMR").identifiers
        for stranger in ("NEWCT", "OLDWS"):  # who only stored images reads no worklist
            assert asked(running.port, stranger) == CALLING_AE_NOT_RECOGNIZED
        reminder = "devices are served as before the update"
        wait_until(lambda: reminder in running.log_text(), what="the log says so")
        assert running.log_text().count(reminder) == 1
        KeptOut.objects.create(ae_title="OLDCT")
        make_station("OLDMR", expected_addresses="192.0.2.7")
        assert asked(running.port, "OLDCT") == CALLING_AE_NOT_RECOGNIZED
        assert asked(running.port, "OLDMR") == CALLING_AE_NOT_RECOGNIZED
        Station.objects.all().delete()
        assert asked(running.port, "OLDMR") == CALLING_AE_NOT_RECOGNIZED
        assert asked(running.port, "OLDUS") is None
    finally:
        assert running.stop() == 0


def test_no_update_overrides_what_the_department_has_decided(database: str, tmp_path: Path) -> None:
    Enrolment.objects.create(ae_title="OLDCT", service="worklist", last_seen_at=timezone.now())
    running = start_provider(tmp_path, database, MWL_UNKNOWN_STATIONS="none")
    try:
        assert asked(running.port, "OLDCT") == CALLING_AE_NOT_RECOGNIZED
    finally:
        assert running.stop() == 0
    assert "served as before" not in running.log_text()


def test_whom_staff_keep_out_is_turned_away_also_where_strangers_are_served(loopback: Provider) -> None:
    assert asked(loopback.port, "STRANGER") is None
    KeptOut.objects.create(ae_title="STRANGER")
    assert asked(loopback.port, "STRANGER") == CALLING_AE_NOT_RECOGNIZED


def test_who_is_turned_away_stands_on_the_list_of_staff(beyond: Provider) -> None:
    make_station("CT1", enabled=False)
    for title in ("STRANGER", "CT1"):
        assert asked(beyond.port, title) == CALLING_AE_NOT_RECOGNIZED
    wait_until(lambda: UnknownCaller.objects.count() == 2, what="both are noted")
    assert dict(UnknownCaller.objects.values_list("ae_title", "rejected_because")) == {
        "STRANGER": "calling AE title belongs to no known device",
        "CT1": "device is switched off",
    }


@requires("dcmtk")
def test_a_station_with_a_certificate_is_only_who_shows_it(
    database: str, tmp_path: Path, beyond: Provider, tmp_path_factory: pytest.TempPathFactory
) -> None:
    authority = Authority(tmp_path_factory.mktemp("authority"))
    make_station("CT1", certificates=authority.fingerprint("old CT"))
    assert asked(beyond.port, "CT1") == CALLING_AE_NOT_RECOGNIZED, "it shows none where there is no TLS"
    key, certificate = authority.files("server")
    running = start_provider(
        tmp_path,
        database,
        host="0.0.0.0",
        MWL_TLS_CERTIFICATE_PATH=str(certificate),
        MWL_TLS_PRIVATE_KEY_PATH=str(key),
        MWL_TLS_CLIENT_CA_PATH=str(authority.certificate),
    )
    try:
        echoed = {}
        for name in ("old CT", "CT1", "nameless"):
            key, certificate = authority.files(name)
            echoed[name] = dcmtk.run(
                "echoscu", "-to", "10", "-aet", "CT1", "-aec", "MWL_SCP", "+cf", str(authority.certificate),
                "+tls", str(key), str(certificate), "127.0.0.1", str(running.port),
            ).succeeded  # fmt: skip
        assert echoed == {"old CT": True, "CT1": False, "nameless": False}
    finally:
        assert running.stop() == 0

"""Modalities at once, and a provider that dies between N-CREATE and N-SET."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import pytest
from pydicom.uid import generate_uid

from mwl_admin.models import PerformedProcedureStep, ScheduledProcedureStep
from tests.factory import make_step
from tests.mpps.scu import changes, creation, final, modality, offered, series, unscheduled
from tests.mwl_scp.conftest import Provider, start_provider

pytestmark = pytest.mark.usefixtures("database")

T = TypeVar("T")


def at_once(count: int, work: Callable[[int], T]) -> list[T]:
    """Run ``work(0)`` … ``work(count - 1)`` in threads that start together. They touch the network only."""
    barrier = threading.Barrier(count)

    def run(number: int) -> T:
        barrier.wait(timeout=30)
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


def test_two_modalities_that_start_one_step_are_both_kept_and_the_first_has_it(provider: Provider) -> None:
    step = make_step()
    titles, uids = ["CT1", "CT2"], [str(generate_uid()) for _ in range(2)]
    data = [creation(step, PerformedStationAETitle=title) for title in titles]

    def start(number: int) -> int:
        with modality(provider.port, calling=titles[number]) as one:
            return one.create(data[number], uids[number]).status

    assert at_once(2, start) == [0x0000, 0x0000]
    fresh = ScheduledProcedureStep.objects.select_related("started_by").get(pk=step.pk)
    assert (fresh.status, fresh.version) == ("STARTED", step.version + 1)
    assert fresh.started_by is not None
    seen = [title for title in titles if offered(provider.port, title)]
    assert seen == [fresh.started_by.calling_ae_title]

    def end(number: int) -> int:
        with modality(provider.port, calling=titles[number]) as one:
            return one.set(final(["DISCONTINUED", "COMPLETED"][number]), uids[number]).status

    assert at_once(2, end) == [0x0000, 0x0000]
    fresh.refresh_from_db()
    assert fresh.status == "COMPLETED"


def test_of_several_that_create_one_uid_one_succeeds(provider: Provider) -> None:
    step = make_step()
    ds = creation(step)

    def start(_number: int) -> int:
        with modality(provider.port) as one:
            return one.create(ds, "1.2.3.4").status

    assert sorted(at_once(4, start)) == [0x0000, 0x0111, 0x0111, 0x0111]
    assert PerformedProcedureStep.objects.count() == 1


def test_of_several_that_end_one_step_one_succeeds_and_no_update_is_lost(provider: Provider) -> None:
    with modality(provider.port) as one:
        one.create(unscheduled(), "1.2.3.4")
    keywords = ["PerformedProcedureStepDescription", "CommentsOnThePerformedProcedureStep", "EntranceDoseInmGy"]

    def update(number: int) -> int:
        with modality(provider.port) as one:
            return one.set(changes(**{keywords[number]: "1"}), "1.2.3.4").status

    assert at_once(3, update) == [0x0000] * 3
    stored = PerformedProcedureStep.objects.get().data_set
    assert [stored[tag]["Value"] for tag in ("00400254", "00400280", "00408302")] == [["1"]] * 3

    def end(number: int) -> int:
        with modality(provider.port) as one:
            return one.set(final(["COMPLETED", "DISCONTINUED"][number % 2]), "1.2.3.4").status

    assert sorted(at_once(4, end)) == [0x0000, 0x0110, 0x0110, 0x0110]


def test_reports_over_the_same_steps_in_another_order_do_not_block_each_other(provider: Provider) -> None:
    first = make_step()
    steps = [first, *(make_step(patient=first.requested_procedure.patient) for _ in range(3))]
    orders = [creation(*steps), creation(*reversed(steps))] * 2

    def whole(number: int) -> list[int]:
        uid = f"1.2.3.{number + 1}"
        with modality(provider.port, calling=f"CT{number}") as one:
            return [one.create(orders[number], uid).status, one.set(final(), uid).status]

    assert at_once(4, whole) == [[0x0000, 0x0000]] * 4
    assert set(ScheduledProcedureStep.objects.values_list("status", flat=True)) == {"COMPLETED"}


def test_a_crash_between_creation_and_end_loses_nothing(database: str, tmp_path: Path) -> None:
    step = make_step()
    first = start_provider(tmp_path, database)
    try:
        with modality(first.port) as one:
            assert one.create(creation(step), "1.2.3.4").status == 0x0000
            assert one.set(changes(PerformedSeriesSequence=[series(2)]), "1.2.3.4").status == 0x0000
        for pid in [first.process.pid, *_children(first.process.pid)]:
            os.kill(pid, signal.SIGKILL)
    finally:
        first.process.kill()
        first.process.wait(30)
    second = start_provider(tmp_path, database)
    try:
        with modality(second.port) as one:
            retrieved = one.get("1.2.3.4").data
            assert retrieved is not None
            assert len(retrieved.PerformedSeriesSequence[0].ReferencedImageSequence) == 2
            assert one.create(creation(step), "1.2.3.4").status == 0x0111
            assert one.set(final(PerformedSeriesSequence=None), "1.2.3.4").status == 0x0000
    finally:
        assert second.stop() == 0
    row = PerformedProcedureStep.objects.get()
    assert (row.performed_procedure_step_status, row.instance_count) == ("COMPLETED", 2)
    step.refresh_from_db()
    assert step.status == "COMPLETED"


def _children(pid: int) -> list[int]:
    import psutil

    return [child.pid for child in psutil.Process(pid).children(recursive=True)]


def test_a_step_started_elsewhere_is_offered_when_the_setting_says_so(database: str, tmp_path: Path) -> None:
    step = make_step()
    provider = start_provider(tmp_path, database, MWL_OFFER_STARTED="1")
    try:
        with modality(provider.port) as one:
            one.create(creation(step), "1.2.3.4")
        assert offered(provider.port, "CT2") == [step.scheduled_procedure_step_id]
    finally:
        assert provider.stop() == 0

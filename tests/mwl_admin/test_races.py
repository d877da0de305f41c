"""Several people, and modalities, at once: each on a database connection of its own."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pytest
from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.test import Client
from django.urls import reverse

from mwl_admin.exceptions import TransitionError
from mwl_admin.models import Patient, ScheduledProcedureStep, Sequence, StepStatus
from tests.factory import make_patient, make_requested, make_step
from tests.mwl_admin.pages import open_form

pytestmark = pytest.mark.django_db(transaction=True)

T = TypeVar("T")


def at_once(count: int, work: Callable[[int], T]) -> list[T]:
    """Run ``work(0)`` … ``work(count - 1)`` in threads that start together."""
    barrier = threading.Barrier(count)

    def run(number: int) -> T:
        barrier.wait(timeout=30)
        try:
            return work(number)
        finally:
            connection.close()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


def test_of_two_who_change_the_same_step_one_wins_and_the_other_is_told() -> None:
    step = make_step()

    def change(number: int) -> str:
        target = [StepStatus.CANCELLED, StepStatus.STARTED][number % 2]
        try:
            ScheduledProcedureStep.objects.get(pk=step.pk).transition(target)
        except TransitionError as error:
            return str(error)
        return target

    outcomes = at_once(4, change)
    step.refresh_from_db()
    assert outcomes.count(step.status) == 1
    assert sum("can't become" in outcome for outcome in outcomes) == 3


def test_of_two_who_save_the_same_form_at_once_one_is_told() -> None:
    entry = make_step().requested_procedure
    users = [get_user_model().objects.create_superuser(name) for name in ("anna", "ben")]
    browsers = [Client(), Client()]
    for browser, user in zip(browsers, users, strict=True):
        browser.force_login(user)
    view = "admin:mwl_admin_requestedprocedure_change"
    values = open_form(browsers[0], view, entry.pk)
    reasons = ["first", "second"]

    def save(number: int) -> int:
        changed = {**values, "reason_for_the_requested_procedure": reasons[number]}
        return browsers[number].post(reverse(view, args=[entry.pk]), changed).status_code

    outcomes = at_once(2, save)
    assert sorted(outcomes) == [200, 302]
    entry.refresh_from_db()
    assert entry.reason_for_the_requested_procedure == reasons[outcomes.index(302)]


def test_no_two_entries_get_the_same_identifiers() -> None:
    patient = make_patient()

    def add(number: int) -> list[str]:
        made = []
        for _ in range(5):
            requested = make_requested(Patient.objects.get(pk=patient.pk))
            made += [requested.accession_number, requested.requested_procedure_id, requested.study_instance_uid]
        return made

    made = [identifier for part in at_once(4, add) for identifier in part]
    assert len(set(made)) == len(made) == 60


def test_numbers_are_not_given_twice_when_the_counter_is_new() -> None:
    numbers = at_once(4, lambda _: list(Sequence.take("new counter", 3)))
    assert sorted(number for part in numbers for number in part) == list(range(1, 13))


def test_numbers_of_a_transaction_that_fails_leave_no_gap() -> None:
    class Stop(Exception):
        pass

    def fail() -> None:
        with transaction.atomic():
            Sequence.take("counter", 10)
            raise Stop

    with pytest.raises(Stop):
        fail()
    assert list(Sequence.take("counter")) == [1]

"""The life of a scheduled step: which changes are lawful, and what is told about others."""

import itertools

import pytest

from mwl_admin.exceptions import TransitionError
from mwl_admin.models import ScheduledProcedureStep, StepStatus
from mwl_admin.models.status import ENDED, OPEN
from tests.factory import make_requested, make_step

pytestmark = pytest.mark.django_db

S = StepStatus
LAWFUL = {
    *itertools.combinations([S.SCHEDULED, S.ARRIVED, S.READY, S.STARTED], 2),
    *itertools.product([S.SCHEDULED, S.ARRIVED, S.READY, S.STARTED], [S.COMPLETED, S.DISCONTINUED]),
    *itertools.product([S.SCHEDULED, S.ARRIVED, S.READY], [S.CANCELLED]),
}


@pytest.mark.parametrize(("source", "target"), list(itertools.product(S, S)))
def test_only_lawful_changes_happen(source: StepStatus, target: StepStatus) -> None:
    step = make_step(status=source)
    if (source, target) in LAWFUL:
        step.transition(target)
        assert (step.status, step.previous_status) == (target, source)
        return
    with pytest.raises(TransitionError):
        step.transition(target)
    step.refresh_from_db()
    assert (step.status, step.previous_status) == (source, "")


def test_an_unlawful_change_is_told_in_plain_words() -> None:
    with pytest.raises(TransitionError, match=r"^A step that is completed can't become arrived\.$"):
        make_step(status=S.COMPLETED).transition(S.ARRIVED)


def test_a_change_looks_at_the_database_and_not_at_what_was_read_before() -> None:
    step = make_step()
    ScheduledProcedureStep.objects.filter(pk=step.pk).transition(S.CANCELLED)
    with pytest.raises(TransitionError, match="cancelled can't become ready"):
        step.transition(S.READY)
    assert step.status == S.CANCELLED


@pytest.mark.parametrize("target", sorted(ENDED))
def test_an_end_can_be_taken_back_once(target: StepStatus) -> None:
    step = make_step(status=S.READY)
    step.transition(target)
    step.undo()
    assert step.status == S.READY
    with pytest.raises(TransitionError, match="no change of status to take back"):
        step.undo()


def test_many_steps_change_at_once_and_the_others_stay() -> None:
    requested = make_requested()
    for status in S:
        make_step(requested, status=status)
    assert ScheduledProcedureStep.objects.all().transition(S.READY) == 2
    assert ScheduledProcedureStep.objects.filter(status=S.READY).count() == 3


def test_open_and_ended_steps_are_all_steps() -> None:
    requested = make_requested()
    for status in S:
        make_step(requested, status=status)
    assert {step.status for step in ScheduledProcedureStep.objects.open()} == OPEN
    assert {step.status for step in ScheduledProcedureStep.objects.ended()} == ENDED

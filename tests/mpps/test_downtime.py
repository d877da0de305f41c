"""A modality that reports late what the desk has entered after a downtime."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

import pytest
from django.utils import timezone
from pydicom.uid import generate_uid

from mwl_admin.models import DowntimeRecord, ScheduledProcedureStep
from mwl_admin.site.downtime import entering
from tests.factory import make_step
from tests.mpps.scu import Modality, creation, final, modality
from tests.mwl_scp.conftest import Provider


@pytest.fixture
def ct(provider: Provider) -> Iterator[Modality]:
    with modality(provider.port) as opened:
        yield opened


@pytest.mark.parametrize("end", ["COMPLETED", "DISCONTINUED"])
def test_a_late_report_is_kept_beside_the_times_and_its_own_stand(ct: Modality, end: str) -> None:
    step, now = make_step(), timezone.now()
    hour = datetime.timedelta(hours=1)
    entering.enter(step, now - 2 * hour, now - hour, None)
    uid = str(generate_uid())
    assert ct.create(creation(step), uid).status == 0x0000
    assert ct.set(final(end), uid).status == 0x0000
    found = ScheduledProcedureStep.objects.get(pk=step.pk)
    assert found.status == end
    assert found.performed_procedure_steps.get().sop_instance_uid == uid
    assert DowntimeRecord.objects.get(step=step).performed_start_at == now - 2 * hour
    assert entering.refusal(found), "the desk doesn't overwrite what the modality said"

"""Whatever is sent, the answer is one of those that are documented: never a failure of ours. On both databases."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pytest_django.plugin import DjangoDbBlocker

from mwl_admin.entries.entry_attributes import KEYWORDS, STEP_KEYWORDS, STEPS
from mwl_admin.models import APIClient
from tests.api.bodies import ENTRY, WORKLIST, entry, step
from tests.api.conftest import Caller, caller
from tests.databases import database

__all__ = ["database"]

SEARCH = "/dicom-web/modality-scheduled-procedure-steps"
FEW = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)
ODD = [
    *("", " ", "*", "?", "\\", "^", "=", "%", "_", "'", "\0", "\ud800", "a\nb", "\x7f", "é" * 70, "x" * 20_000),
    *("00010101", "99991231", "20240229", "20230229", "2400", "235960", "0", "-1", "1e999", "NaN", "Infinity"),
    *("1.2.3", "1." * 40, "CT", "ct", "SCHEDULED", "CANCELLED", "M", "A-5001", "P-1001", "ROUTINE"),
]
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(ODD) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["vr", "Value", "Alphabetic", "CodeValue", "CodeMeaning"]), inner, max_size=3)
    ),
    max_leaves=4,
)


def _numbers(body: Any) -> str:
    """Return the JSON of a body, its texts left out."""
    return re.sub(r'"(?:[^"\\]|\\.)*"', "", json.dumps(body))


class _Undo(Exception):
    pass


@pytest.fixture
def ris(database: str, django_db_blocker: DjangoDbBlocker) -> Iterator[Caller]:
    """A client with no limit worth the name; what the test writes is gone after it."""
    with django_db_blocker.unblock():
        try:
            with transaction.atomic():
                yield caller(requests_per_minute=1_000_000)
                raise _Undo
        except _Undo:
            pass
        assert not APIClient.objects.exists()


@FEW
@given(
    changes=st.dictionaries(st.sampled_from(sorted(KEYWORDS)), values, max_size=3),
    step_changes=st.dictionaries(st.sampled_from(sorted(STEP_KEYWORDS)), values, max_size=2),
    method=st.sampled_from(["POST", "PUT", "PATCH"]),
)
def test_any_entry(ris: Caller, changes: dict[str, Any], step_changes: dict[str, Any], method: str) -> None:
    body = {**entry(step(**step_changes)), **changes}
    answer = ris.call(method, WORKLIST if method == "POST" else ENTRY, body)
    if "NaN" in (sent := _numbers(body)) or "Infinity" in sent:
        assert answer.status_code == 400, "JSON has neither"
    else:
        assert answer.status_code in {200, 201, 404, 409, 422}, answer.content
    assert ris.get(ENTRY).status_code in {200, 404}
    assert ris.get(f"{SEARCH}?includefield=all").status_code in {200, 204}


@FEW
@given(
    keyword=st.sampled_from(sorted(KEYWORDS)) | st.sampled_from([f"{STEPS}.{name}" for name in sorted(STEP_KEYWORDS)]),
    value=st.sampled_from([text for text in ODD if "\ud800" not in text]) | st.text(max_size=20),
)
def test_any_search(ris: Caller, keyword: str, value: str) -> None:
    ris.post(WORKLIST, entry())
    answer = ris.get(f"{SEARCH}?{keyword}={quote(value, errors='replace')}")
    assert answer.status_code in {200, 204, 400}, answer.content


@pytest.mark.parametrize("odd", [quote(text.encode("utf-8", "surrogatepass")) for text in ODD[1:15]])
def test_any_address(ris: Caller, odd: str) -> None:
    for answer in (
        ris.get(f"{WORKLIST}{odd}"),
        ris.patch(f"{WORKLIST}{odd}", {}),
        ris.delete(f"{WORKLIST}{odd}"),
        ris.put(f"{WORKLIST}{odd}", entry(AccessionNumber="")),
    ):
        assert answer.status_code in {201, 200, 404, 405, 409, 422}, answer.content
    ris.post(WORKLIST, entry(AccessionNumber="A-77"))
    assert ris.delete(f"{WORKLIST}A-77?step={odd}").status_code in {200, 404}
    assert ris.delete(f"{WORKLIST}A-77?reason={odd}").status_code in {200, 400}
    assert ris.get(f"{WORKLIST}?patient_id={odd}").status_code in {200, 400}

"""If-Match and If-None-Match on a change (RFC 9110 section 13.1)."""

from __future__ import annotations

import pytest

from mwl_admin.models import RequestedProcedure
from tests.api.bodies import ENTRY, WORKLIST, entry, problems
from tests.api.conftest import Caller

pytestmark = pytest.mark.django_db


def test_a_change_that_must_not_meet_a_tag_is_refused_when_it_does(ris: Caller) -> None:
    tag = ris.post(WORKLIST, entry())["ETag"]
    changed = entry(RequestedProcedureDescription="another")
    for unwanted in (tag, f"W/{tag}", f'"x", {tag}', "*"):
        assert ris.put(ENTRY, changed, **{"If-None-Match": unwanted}).status_code == 412, unwanted
    assert RequestedProcedure.objects.get().requested_procedure_description == "CT thorax"
    assert ris.put(ENTRY, changed, **{"If-None-Match": '"x", "y"'}).status_code == 200


def test_of_several_tags_one_must_be_the_entrys_and_a_weak_one_never_is(ris: Caller) -> None:
    tag = ris.post(WORKLIST, entry())["ETag"]
    assert ris.patch(ENTRY, {"AdmissionID": "1"}, **{"If-Match": f"W/{tag}"}).status_code == 412
    assert ris.patch(ENTRY, {"AdmissionID": "1"}, **{"If-Match": f'"x" , {tag}'}).status_code == 200


@pytest.mark.parametrize("name", ["If-Match", "If-None-Match"])
@pytest.mark.parametrize("text", ["", "3-1-7.2", '"open', '"a" "b"', '*, "a"'])
@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_what_is_no_tag_is_refused_and_not_passed_over(ris: Caller, method: str, name: str, text: str) -> None:
    ris.post(WORKLIST, entry())
    refused = ris.call(method, ENTRY, entry(AdmissionID="1"), headers={name: text})
    assert refused.status_code == 400
    assert problems(refused) == {name: "invalid"}
    assert RequestedProcedure.objects.get().admission_id == ""

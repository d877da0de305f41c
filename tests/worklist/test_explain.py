"""Why an entry was not on the list."""

from __future__ import annotations

import datetime

import pytest

from mwl_admin.models import WorklistQuery
from mwl_admin.worklist.explain import Explanation, explain, explain_recorded
from mwl_admin.worklist.jsonmodel import from_json, to_json
from mwl_admin.worklist.policy import Policy
from tests.factory import DAY, make_station, make_step
from tests.worklist.queries import NOON, identifier, parsed

pytestmark = pytest.mark.usefixtures("rolled_back")


def explained(step: dict[str, str], *, caller: str = "WORKSTATION", **keys: str) -> Explanation:
    return explain(parsed(identifier(step=step, **keys)), caller, Policy(), now=NOON)


def test_the_key_that_alone_kept_an_entry_out_is_named_with_the_entry() -> None:
    kept = make_step(modality="MR")
    make_step(modality="CT")
    explanation = explained({"Modality": "CT", "ScheduledProcedureStepStartDate": "20260504"})
    assert (explanation.entries, explanation.matches) == (2, 1)
    (culprit,) = explanation.culprits
    assert culprit.condition.keyword == "Modality"
    assert (culprit.ruled_out, culprit.alone, culprit.alone_pks) == (1, 1, (kept.pk,))


def test_an_entry_that_two_keys_rule_out_is_kept_out_by_neither_alone() -> None:
    make_step(modality="MR", patient={"patient_id": "X"})
    explanation = explained({"Modality": "CT"}, PatientID="Y")
    assert explanation.culprits == ()
    assert [effect.ruled_out for effect in explanation.effects if effect.condition.keyword] == [1, 1]


def test_every_entry_that_is_not_found_is_named_with_all_that_keeps_it_out() -> None:
    both = make_step(modality="MR", patient={"patient_id": "X"})
    one = make_step(modality="CT", patient={"patient_id": "Z"})
    make_step(modality="CT", patient={"patient_id": "Y"})
    missed = explained({"Modality": "CT"}, PatientID="Y").missed
    named = [(entry.pk, {condition.keyword for condition in entry.conditions}) for entry in missed]
    assert named == [(one.pk, {"PatientID"}), (both.pk, {"PatientID", "Modality"})]


def test_a_rule_of_the_department_is_named_as_such() -> None:
    make_station("CT1")
    make_step(stations=[make_station("CT2")])
    (culprit,) = explained({}, caller="CT1").culprits
    assert culprit.condition.keyword == ""
    assert culprit.condition.name.startswith("a station sees its own steps")


def test_a_finished_step_is_explained_by_its_status() -> None:
    make_step(status="COMPLETED")
    assert explained({}).culprits[0].condition.name == "finished and cancelled steps are hidden"


def test_a_refused_query_is_explained_by_its_comment() -> None:
    make_step()
    explanation = explained({"ScheduledProcedureStepStartDate": "today"})
    assert explanation.refused == "(0040,0002) is not a date or a range of dates"
    assert (explanation.entries, explanation.matches) == (1, 0)


def test_a_recorded_query_is_explained_from_its_keys_and_for_one_entry() -> None:
    step = make_step(patient={"patient_id": "P1", "family_name": "Müller"})
    make_step(patient={"patient_id": "P2", "family_name": "Maier"})
    keys = to_json(parsed(identifier(step={"Modality": "CT"}, PatientName="Maier*", SpecificCharacterSet="ISO_IR 192")))
    recorded = WorklistQuery.objects.create(
        received_at=datetime.datetime(2026, 5, 4, 9, 14, tzinfo=datetime.UTC), calling_ae_title="X", keys=keys, status=0
    )
    whole = explain_recorded(recorded, Policy())
    assert (whole.day, whole.entries, whole.matches) == (DAY, 2, 1)
    one = explain_recorded(recorded, Policy(), step=step.pk)
    assert [effect.condition.keyword for effect in one.culprits] == ["PatientName"]


def test_recorded_keys_keep_every_value() -> None:
    ds = identifier(
        step={"ScheduledStationAETitle": ["CT1", "CT2"], "ScheduledProtocolCodeSequence": []},
        PatientName="Yamada^Tarou=山田^太郎=やまだ^たろう",
        PatientID="",
        SpecificCharacterSet="ISO_IR 192",
    )
    original = parsed(ds)
    recorded = to_json(original)
    assert recorded["00100010"]["Value"] == [
        {"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎", "Phonetic": "やまだ^たろう"}
    ]
    again = from_json(recorded)
    assert again.text(0x00100010) == original.text(0x00100010)
    assert again.first_item(0x00400100).text(0x00400001) == "CT1\\CT2"  # type: ignore[union-attr]
    assert to_json(again) == recorded

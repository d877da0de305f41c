"""What the models fill, hold to be unique, and refuse."""

import re
from datetime import date, time
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from mwl_admin.entries.making import fill_order
from mwl_admin.models import Patient, RequestedProcedure, ScheduledProcedureStep, Sequence, Station, StepStatus
from tests.factory import DAY, make_patient, make_procedure, make_requested, make_station, make_step

pytestmark = pytest.mark.django_db


def test_a_patients_name_is_put_together_from_its_components() -> None:
    patient = make_patient(
        family_name="Yamada",
        given_name="Tarou",
        name_prefix="Dr",
        ideographic_name="山田^太郎",
        phonetic_name="やまだ^たろう",
    )
    assert patient.patient_name == "Yamada^Tarou^^Dr=山田^太郎=やまだ^たろう"
    assert patient.display_name == "Yamada, Dr Tarou"


def test_search_keys_follow_the_name() -> None:
    patient = make_patient()
    patient.family_name = "Ørsted"
    patient.save(update_fields=["family_name"])
    patient.refresh_from_db()
    assert (patient.name_key, patient.name_folded) == ("ørsted^änne", "orsted^anne")


def test_search_keys_follow_the_name_in_bulk() -> None:
    patients = Patient.objects.bulk_create([Patient(patient_id=f"B{n}", family_name=f"Élan{n}") for n in range(3)])
    assert Patient.objects.filter(name_folded="elan1").get() == patients[1]
    for patient in patients:
        patient.given_name = "Zoé"
    Patient.objects.bulk_update(patients, ["given_name"])
    assert Patient.objects.filter(name_folded="elan2^zoe").get() == patients[2]


def test_physicians_have_search_keys_with_all_component_groups() -> None:
    requested = make_requested(requesting_physician="Sørby^Åse=山田")
    assert requested.requesting_physician_key == "sørby^åse=山田"
    assert requested.requesting_physician_folded == "sorby^ase=山田"


def test_identifiers_left_empty_are_made_and_differ() -> None:
    step = make_step()
    requested = step.requested_procedure
    identifiers = [
        requested.accession_number,
        requested.requested_procedure_id,
        step.scheduled_procedure_step_id,
    ]
    assert len(set(identifiers)) == 3
    assert all(re.fullmatch(r"[ARS]\d{8}", identifier) for identifier in identifiers)
    assert re.fullmatch(r"2\.25\.(0|[1-9]\d{0,38})", requested.study_instance_uid)


def test_identifiers_that_are_given_stay() -> None:
    requested = make_requested(accession_number="OWN-1", requested_procedure_id="RP", study_instance_uid="1.2.3")
    step = make_step(requested, scheduled_procedure_step_id="STEP")
    assert requested.accession_number == "OWN-1"
    assert requested.requested_procedure_id == "RP"
    assert requested.study_instance_uid == "1.2.3"
    assert step.scheduled_procedure_step_id == "STEP"


def test_a_made_identifier_steps_over_one_that_was_typed() -> None:
    patient = make_patient()
    last = Sequence.take("accession_number")[0]
    make_requested(patient, accession_number=f"A{last + 1:08d}")
    assert make_requested(patient).accession_number == f"A{last + 2:08d}"


def test_many_entries_get_identifiers_at_once() -> None:
    requested = make_requested()
    steps = ScheduledProcedureStep.objects.bulk_create(
        ScheduledProcedureStep(requested_procedure=requested, modality="CT", scheduled_date=DAY, scheduled_time=time(9))
        for _ in range(1200)
    )
    identifiers = [step.scheduled_procedure_step_id for step in steps]
    assert identifiers == sorted(set(identifiers))


def test_full_clean_takes_an_entry_whose_identifiers_are_still_to_be_made() -> None:
    RequestedProcedure(patient=make_patient()).full_clean()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("patient_id", "a\\b"),
        ("family_name", "Doe^Jane"),
        ("allergies", "x" * 65),
        ("patient_comments", "\x00"),
        ("special_needs", "x" * 65),
    ],
)
def test_what_a_response_could_not_carry_is_not_saved(field: str, value: str) -> None:
    patient = Patient(**{"patient_id": "P", "family_name": "Doe", field: value})
    with pytest.raises(ValidationError):
        patient.full_clean()
    with pytest.raises(ValidationError), transaction.atomic():
        patient.save()
    with pytest.raises(ValidationError), transaction.atomic():
        Patient.objects.bulk_create([patient])
    assert not Patient.objects.exists()


def test_update_does_not_go_around_the_rules_either() -> None:
    make_patient()
    with pytest.raises(ValidationError):
        Patient.objects.update(patient_id="a\\b")


def test_values_are_stored_without_insignificant_spaces_and_in_one_normal_form() -> None:
    patient = make_patient(patient_id=" P-7 ", family_name="Mu\u0308ller ")
    patient.refresh_from_db()
    assert (patient.patient_id, patient.family_name) == ("P-7", "Müller")


def test_a_name_whose_parts_are_too_long_together_is_refused_at_the_family_name() -> None:
    patient = Patient(patient_id="P", family_name="x" * 40, given_name="y" * 40)
    with pytest.raises(ValidationError) as caught:
        patient.full_clean()
    assert caught.value.message_dict == {
        "family_name": ["This form of the name has 81 characters; DICOM allows at most 64."]
    }


def test_a_birth_date_in_the_future_is_refused() -> None:
    with pytest.raises(ValidationError, match="lies in the future"):
        Patient(patient_id="P", family_name="Doe", patient_birth_date=date(2999, 1, 1)).full_clean()


def test_a_code_without_scheme_or_meaning_is_refused() -> None:
    requested = RequestedProcedure(patient=make_patient(), code_value="123")
    with pytest.raises(ValidationError) as caught:
        requested.full_clean()
    assert set(caught.value.message_dict) == {"coding_scheme_designator", "code_meaning"}


def test_the_same_patient_id_may_come_from_two_issuers_but_not_twice_from_one() -> None:
    make_patient(issuer_of_patient_id="A")
    make_patient(issuer_of_patient_id="B")
    with pytest.raises(IntegrityError), transaction.atomic():
        make_patient(issuer_of_patient_id="A")
    with pytest.raises(ValidationError, match="exists already"):
        Patient(patient_id="P-1001", issuer_of_patient_id="A", family_name="X").full_clean()


@pytest.mark.parametrize("field", ["accession_number", "study_instance_uid"])
def test_accession_number_and_study_uid_are_unique(field: str) -> None:
    patient = make_patient()
    make_requested(patient, **{field: "1.2.3"})
    with pytest.raises(IntegrityError), transaction.atomic():
        make_requested(patient, **{field: "1.2.3"})


def test_step_ids_are_unique_within_their_order_and_ae_titles_everywhere() -> None:
    first = make_step(scheduled_procedure_step_id="S")
    with pytest.raises(IntegrityError), transaction.atomic():
        make_step(first.requested_procedure, scheduled_procedure_step_id="S")
    make_step(make_requested(Patient.objects.get()), scheduled_procedure_step_id="S")
    make_station()
    with pytest.raises(IntegrityError), transaction.atomic():
        make_station()


@pytest.mark.parametrize("values", [{"status": "LOST"}, {"modality": ""}])
def test_the_database_itself_refuses_an_unknown_status_and_a_missing_modality(values: Any) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        make_step(**values)


def test_steps_for_a_station_are_its_own_and_unassigned_ones_of_its_modality() -> None:
    ct1, ct2 = make_station(), make_station("CT2")
    requested = make_requested()
    unassigned, elsewhere = make_step(requested), make_step(requested)
    either, other_modality = make_step(requested), make_step(requested, modality="MR")
    elsewhere.stations.add(ct2)
    either.stations.add(ct1, ct2)
    assert set(ScheduledProcedureStep.objects.for_station(ct1)) == {unassigned, either}
    assert other_modality not in ScheduledProcedureStep.objects.for_station(ct2)


def test_the_catalogue_fills_only_what_is_empty() -> None:
    procedure = make_procedure(description="Thorax")
    requested = RequestedProcedure(patient=make_patient(), procedure=procedure, code_value="")
    fill_order(requested)
    assert requested.requested_procedure_description == "Thorax"
    assert (requested.code_value, requested.coding_scheme_designator) == ("169069000", "SCT")
    requested.requested_procedure_description = "Own words"
    fill_order(requested)
    assert requested.requested_procedure_description == "Own words"


def test_a_station_expects_the_networks_it_lists_and_any_when_it_lists_none() -> None:
    assert Station(ae_title="X").expects("198.51.100.9")
    station = Station(ae_title="X", expected_addresses="192.0.2.7\n2001:db8::/32")
    assert station.expects("192.0.2.7")
    assert station.expects("2001:db8::1")
    assert not station.expects("192.0.2.8")


def test_every_change_makes_a_new_version() -> None:
    step = make_step()
    assert step.version == 1
    step.save()
    assert step.version == 2
    step.transition(StepStatus.ARRIVED)
    assert step.version == 3

"""What is accepted in a presentation context."""

from __future__ import annotations

import pytest
from pydicom.uid import UID_dictionary
from pynetdicom import sop_class

from pacs_receiver.sop_classes import STORAGE_COMMITMENT, VERIFICATION, negotiator

EXPLICIT = "1.2.840.10008.1.2.1"
JPEG_XL = "1.2.840.10008.1.2.4.112"
accepts = negotiator(unknown=True, only=frozenset())
strict = negotiator(unknown=False, only=frozenset())


@pytest.mark.parametrize("uid", sorted(sop_class._STORAGE_CLASSES.values()))
def test_every_storage_class_that_pynetdicom_knows_is_accepted(uid: str) -> None:
    assert strict(uid, (EXPLICIT,)) == (EXPLICIT,)


@pytest.mark.parametrize(
    "uid",
    [
        "1.2.840.10008.5.1.4.1.1.5",  # Nuclear Medicine Image Storage (Retired)
        "1.2.840.10008.5.1.4.1.1.6",  # Ultrasound Image Storage (Retired)
        "1.2.840.10008.5.1.4.1.1.12.3",  # X-Ray Angiographic Bi-Plane Image Storage (Retired)
    ],
)
def test_retired_storage_classes_are_accepted(uid: str) -> None:
    assert strict(uid, (EXPLICIT,)) == (EXPLICIT,)


@pytest.mark.parametrize("uid", ["1.2.840.113619.4.26", "1.2.840.10008.5.1.4.1.1.9999", "2.25.1"])
def test_private_and_newer_classes_are_accepted_unless_the_setting_says_otherwise(uid: str) -> None:
    assert accepts(uid, (EXPLICIT,)) == (EXPLICIT,)
    assert strict(uid, (EXPLICIT,)) is None


def _others() -> list[str]:
    return sorted(
        uid
        for uid, (name, kind, *_) in UID_dictionary.items()
        if kind in ("SOP Class", "Meta SOP Class")
        and not uid.startswith("1.2.840.10008.5.1.4.1.1.")
        and uid not in sop_class._STORAGE_CLASSES.values()
        and uid not in (VERIFICATION, STORAGE_COMMITMENT)
    )


@pytest.mark.parametrize("uid", _others())
def test_a_class_of_another_service_is_not_accepted(uid: str) -> None:
    assert accepts(uid, (EXPLICIT,)) is None


@pytest.mark.parametrize("uid", sorted(sop_class._NON_PATIENT_OBJECT_CLASSES.values()))
def test_objects_without_a_patient_are_not_accepted(uid: str) -> None:
    assert accepts(uid, (EXPLICIT,)) is None


def test_every_transfer_syntax_with_a_data_set_is_accepted_in_the_requestors_order() -> None:
    proposed = tuple(
        uid for uid, (_, kind, *_) in UID_dictionary.items() if kind == "Transfer Syntax" and ".1.2.7." not in uid
    )
    stored = accepts("1.2.840.10008.5.1.4.1.1.2", proposed)
    assert stored is not None
    assert list(stored) == [uid for uid in proposed if uid in stored]
    assert set(proposed) - set(stored) == {"1.2.840.10008.1.2.6.1", "1.2.840.10008.1.2.6.2", "1.2.840.10008.1.20"}
    assert JPEG_XL in stored


def test_an_unknown_transfer_syntax_is_not_accepted() -> None:
    assert accepts("1.2.840.10008.5.1.4.1.1.2", ("1.2.840.113619.5.2", "1.2.840.10008.1.2.7.1")) == ()


def test_the_setting_restricts_the_storage_classes() -> None:
    only_ct = negotiator(unknown=True, only=frozenset({"1.2.840.10008.5.1.4.1.1.2"}))
    assert only_ct("1.2.840.10008.5.1.4.1.1.2", (EXPLICIT,)) == (EXPLICIT,)
    assert only_ct("1.2.840.10008.5.1.4.1.1.4", (EXPLICIT,)) is None
    assert only_ct(VERIFICATION, (EXPLICIT,)) == (EXPLICIT,)


def test_verification_and_commitment_take_uncompressed_syntaxes_only() -> None:
    for uid in (VERIFICATION, STORAGE_COMMITMENT):
        assert strict(uid, (JPEG_XL, EXPLICIT)) == (EXPLICIT,)

"""Two records of one person: what would move, and moving it."""

from dataclasses import dataclass

from django.db import transaction
from django.utils.translation import gettext as _

from mwl_admin import identity
from mwl_admin.exceptions import StaleError
from mwl_admin.models import MergedPatient, Patient, RequestedProcedure
from mwl_admin.models.base import because
from mwl_admin.patientchanges import Kind, PatientChange, tell

_SHOWN = (
    "patient_id",
    "issuer_of_patient_id",
    "family_name",
    "given_name",
    "middle_name",
    "ideographic_name",
    "phonetic_name",
    "patient_birth_date",
    "patient_sex",
    "patient_size",
    "patient_weight",
    "pregnancy_status",
    "allergies",
    "medical_alerts",
    "special_needs",
    "patient_state",
    "patient_comments",
    "confidentiality_constraint_on_patient_data_description",
)
_IDENTITY = frozenset({"patient_id", "issuer_of_patient_id", "family_name"})


@dataclass(frozen=True, slots=True)
class Difference:
    """A field in which two records differ. ``taken`` when the record that stays has nothing there."""

    label: str
    kept: object
    given_up: object
    taken: bool


def differences(kept: Patient, given_up: Patient) -> list[Difference]:
    """Return in what the records differ."""
    found = []
    for name in _SHOWN:
        mine, other = getattr(kept, name), getattr(given_up, name)
        if mine != other:
            label = str(Patient._meta.get_field(name).verbose_name)  # type: ignore[union-attr]
            found.append(Difference(label, mine, other, _takes(kept, given_up, name)))
    return found


def _takes(kept: Patient, given_up: Patient, name: str) -> bool:
    return name not in _IDENTITY and not getattr(kept, name) and bool(getattr(given_up, name))


@transaction.atomic
def merge(kept: Patient, given_up: Patient, *, seen: tuple[int, int], entries_seen: int) -> int:
    """Move all entries to ``kept``, fill what it lacks, delete the other record; return how many entries moved.

    :raises StaleError: when either record, or the number of entries, is not what was shown any more.
    """
    # Entries before patients, as whoever writes an entry locks them: two who wait for each other would both fail.
    list(RequestedProcedure.objects.select_for_update().filter(patient=given_up).order_by("pk").values_list("pk"))
    locked = {
        patient.pk: patient
        for patient in Patient.objects.select_for_update().filter(pk__in=(kept.pk, given_up.pk)).order_by("pk")
    }
    if len(locked) != 2 or (locked[kept.pk].version, locked[given_up.pk].version) != seen:
        raise StaleError
    kept, given_up = locked[kept.pk], locked[given_up.pk]
    entries = list(RequestedProcedure.objects.select_for_update().filter(patient=given_up))
    if len(entries) != entries_seen:
        raise StaleError
    for name in _SHOWN:
        if _takes(kept, given_up, name):
            setattr(kept, name, getattr(given_up, name))
    with because(_("merge: was of patient ID %(id)s") % {"id": given_up.patient_id}):
        for entry in entries:
            entry.patient = kept
            entry.save()
    with because(_("merge: took in patient ID %(id)s") % {"id": given_up.patient_id}):
        # Also where nothing was taken over: the history of this record tells of the other.
        kept.save()
    _note_merged(kept, given_up)
    with because(_("merge: now patient ID %(id)s") % {"id": kept.patient_id}):
        given_up.delete()
    uids = tuple(entry.study_instance_uid for entry in entries)
    tell(PatientChange(Kind.MERGED, identity.of_record(given_up), identity.of_record(kept), uids))
    return len(entries)


def _note_merged(kept: Patient, given_up: Patient) -> None:
    """Have what stations still report under the old ID known as the same person's, entries or not."""
    MergedPatient.objects.filter(patient=given_up).update(patient=kept)
    MergedPatient.objects.update_or_create(record_id=given_up.pk, defaults={"patient": kept})

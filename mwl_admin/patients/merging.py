"""Two records of one person: what would move, and moving it."""

from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from mwl_admin.exceptions import StaleError
from mwl_admin.models import FormerPatientID, MergedPatient, Patient, RequestedProcedure
from mwl_admin.models.base import history_reason
from mwl_admin.patients import identity
from mwl_admin.patients.change_signal import ChangeKind, PatientChange, tell

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
_PERSON = frozenset(
    {"given_name", "middle_name", "ideographic_name", "phonetic_name", "patient_birth_date", "patient_sex"}
)
"""What is taken from nobody whose name, birth date or sex is another: half of each would be a third person."""
_JOINED = frozenset({"allergies", "medical_alerts"})
"""What is true of a person whichever record tells it."""


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
            found.append(Difference(label, mine, other, _merged(kept, given_up, name) != mine))
    return found


def contradictions(kept: Patient, given_up: Patient, *, lossy: bool = False) -> tuple[str, ...]:
    """Return in which of name, birth date and sex two records contradict each other: keywords.

    ``lossy``: other spellings of one name, such as Mueller, don't.
    """
    differs = identity.judge(identity.of_record(kept), identity.of_record(given_up), lossy=lossy).differs
    return tuple(keyword for keyword in differs if keyword not in identity.IDENTIFIERS)


def _merged(kept: Patient, given_up: Patient, name: str, *, person: bool = True) -> Any:
    """Return what a field holds after the merge; ``person``: whether name, birth date and sex are filled at all."""
    mine, other = getattr(kept, name), getattr(given_up, name)
    if name in _JOINED:
        return union(mine, other)
    if mine or name in _IDENTITY or (name in _PERSON and (not person or contradictions(kept, given_up, lossy=True))):
        return mine
    return other or mine


def union(*texts: str) -> str:
    """Return the lines of all texts, each once."""
    found = {line.strip().casefold(): line.strip() for text in reversed(texts) for line in reversed(text.splitlines())}
    return "\n".join(line for line in reversed(found.values()) if line)


def lock(kept: Patient, given_up: Patient) -> dict[int, Patient]:
    """Lock all that a merge touches until the transaction ends; return the records by primary key."""
    # Entries before patients, as whoever writes an entry locks them: two who wait for each other would both fail.
    list(RequestedProcedure.objects.select_for_update().filter(patient=given_up).order_by("pk").values_list("pk"))
    both = Patient.objects.select_for_update().filter(pk__in=(kept.pk, given_up.pk))
    return {patient.pk: patient for patient in both.order_by("pk")}


@transaction.atomic
def merge(kept: Patient, given_up: Patient, *, seen: tuple[int, int], entries_seen: int, person: bool = True) -> int:
    """Move all entries to ``kept``, fill what it lacks, delete the other record; return how many entries moved.

    ``person``: whether what it lacks of name, birth date and sex is filled too; a stopgap's are nobody's.

    :raises StaleError: when either record, or the number of entries, is not what was shown any more.
    """
    locked = lock(kept, given_up)
    if len(locked) != 2 or (locked[kept.pk].version, locked[given_up.pk].version) != seen:
        raise StaleError
    kept, given_up = locked[kept.pk], locked[given_up.pk]
    entries = list(RequestedProcedure.objects.select_for_update().filter(patient=given_up))
    if len(entries) != entries_seen:
        raise StaleError
    filled = {name: _merged(kept, given_up, name, person=person) for name in _SHOWN}
    for name, value in filled.items():
        setattr(kept, name, value)
    with history_reason(_("merge: was of patient ID %(id)s") % {"id": given_up.patient_id}, besides=True):
        for entry in entries:
            entry.merge_into(kept)
    with history_reason(_("merge: took in patient ID %(id)s") % {"id": given_up.patient_id}, besides=True):
        # Also where nothing was taken over: the history of this record tells of the other.
        kept.save()
    _note_merged(kept, given_up)
    before = identity.of_record(given_up)
    FormerPatientID.objects.filter(record=given_up).update(record=kept)
    with history_reason(_("merge: now patient ID %(id)s") % {"id": kept.patient_id}, besides=True):
        given_up.delete()
    FormerPatientID.objects.note(before, kept, merged=True)
    uids = tuple(entry.study_instance_uid for entry in entries)
    tell(PatientChange(ChangeKind.MERGED, before, identity.of_record(kept), kept.pk, uids))
    return len(entries)


def _note_merged(kept: Patient, given_up: Patient) -> None:
    """Have what stations still report under the old ID known as the same person's, entries or not."""
    MergedPatient.objects.filter(patient=given_up).update(patient=kept)
    MergedPatient.objects.update_or_create(record_id=given_up.pk, defaults={"patient": kept})

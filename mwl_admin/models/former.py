"""Patient IDs that are no longer in use, and the record that each of them led to."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from mwl_admin.fields import LongStringField
from mwl_admin.models.patient import Patient
from mwl_admin.patients import identity


class FormerPatientIDQuerySet(models.QuerySet["FormerPatientID"]):
    """Former patient IDs."""

    def of(self, patient_id: str, issuer: str) -> "FormerPatientID | None":
        """Return what became of a patient ID; only of interest when no record has it (again)."""
        rows = self.filter(patient_id=patient_id.strip(" "), issuer_of_patient_id__in=identity.issuers(issuer))
        return rows.select_related("record").order_by("-changed_at", "-pk").first()

    def note(self, before: identity.Demographics, patient: Patient, *, merged: bool) -> None:
        """Remember that who had this patient ID is now to be found under another record's."""
        self.update_or_create(
            patient_id=before.patient_id,
            issuer_of_patient_id=before.issuer,
            defaults={"record": patient, "merged": merged},
        )


class FormerPatientID(models.Model):
    """A patient ID that was corrected, or whose record was merged into another."""

    record = models.ForeignKey(Patient, models.CASCADE, verbose_name=_("patient"), related_name="former_ids")
    patient_id = LongStringField(_("patient ID"))
    issuer_of_patient_id = LongStringField(_("issuer"), blank=True)
    merged = models.BooleanField(
        _("merged"), help_text=_("The ID was this person's too; otherwise it was a wrong one that has been corrected.")
    )
    changed_at = models.DateTimeField(_("changed at"), auto_now=True)

    objects = FormerPatientIDQuerySet.as_manager()

    class Meta:
        verbose_name = _("former patient ID")
        verbose_name_plural = _("former patient IDs")
        constraints = [
            models.UniqueConstraint(fields=["patient_id", "issuer_of_patient_id"], name="former_patient_id_unique")
        ]

    def __str__(self) -> str:
        return f"{self.patient_id} → {self.record.patient_id}"

    def is_closed_to(self, told: identity.Demographics) -> bool:
        """Whether nobody may be entered under this ID: it was this person's, or who comes in may be this person.

        An ID that was merely wrong may be given to whoever it belongs to.
        """
        if self.merged:
            return True
        differs = identity.judge(identity.of_record(self.record), told).differs
        return not {*differs} - {*identity.IDENTIFIERS}

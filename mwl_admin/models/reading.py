"""Who opened whose record: kept when the department asks for it (setting ``WEB_RECORD_PATIENT_READS``)."""

from django.conf import settings
from django.db import models

from mwl_admin.models.patient import Patient

SEPARATOR = "\n"
"""Between patient IDs; a patient ID holds no control character (PS3.5 section 6.2, LO)."""


class PatientRead(models.Model):
    """One page with patients' data, opened by one person."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, related_name="+", null=True)
    user_name = models.CharField(max_length=150)
    # The patient ID outlives the record, which may be merged into another.
    patient = models.ForeignKey(Patient, models.SET_NULL, related_name="reads", null=True)
    patient_identifiers = models.TextField("patient IDs")
    records = models.PositiveIntegerField(default=1, help_text="How many patients the page showed.")
    page = models.CharField(max_length=64)
    read_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = "record read"
        verbose_name_plural = "records read"
        ordering = ["-read_at", "-id"]
        indexes = [models.Index(fields=["-read_at"], name="patient_read_at")]

    def __str__(self) -> str:
        return f"{self.user_name}: {self.page}"

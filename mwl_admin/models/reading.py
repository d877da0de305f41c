"""Who opened whose record: kept when the department asks for it (setting ``WEB_RECORD_PATIENT_READS``)."""

from django.conf import settings
from django.db import models
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from mwl_admin.models.patient import Patient

SEPARATOR = "\n"
"""Between patient IDs; a patient ID holds no control character (PS3.5 §6.2, LO)."""


class PatientRead(models.Model):
    """One page with patients' data, opened by one person."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, verbose_name=_("user"), related_name="+", null=True
    )
    user_name = models.CharField(_("user name"), max_length=150)
    # The patient ID outlives the record, which may be merged into another.
    patient = models.ForeignKey(Patient, models.SET_NULL, verbose_name=_("patient"), related_name="reads", null=True)
    patient_identifiers = models.TextField(_("patient IDs"))
    records = models.PositiveIntegerField(_("records"), default=1, help_text=_("How many patients the page showed."))
    page = models.CharField(_("page"), max_length=64)
    read_at = models.DateTimeField(_("read at"), auto_now_add=True)

    class Meta:
        verbose_name = _("record read")
        verbose_name_plural = _("records read")
        ordering = ["-read_at", "-id"]
        indexes = [models.Index(fields=["-read_at"], name="patient_read_at")]

    def __str__(self) -> str:
        return f"{self.user_name}: {gettext(self.page)}"

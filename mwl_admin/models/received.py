"""Studies that the image receiver says are complete, and how they fit the worklist."""

from datetime import timedelta
from typing import Any, Self

from django.conf import settings
from django.core.cache import cache
from django.db import models, transaction
from django.db.models import Exists, F, OuterRef, Q, Value
from django.db.models.functions import Concat
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from mwl_admin.fields import DeviceUIDField
from mwl_admin.models.former import FormerPatientID
from mwl_admin.models.prepared import Prepared
from mwl_admin.models.requested import RequestedProcedure
from mwl_admin.models.scheduled import ScheduledProcedureStep

ALARM_DAYS = 30
"""How long a study that does not fit is shown, unless somebody settles it before."""

_COMPARED = "mixed-up-studies"
_COMPARED_SECONDS = 10
_COMPARED_LIMIT = 200


def compare_again() -> None:
    """Forget which studies were found to be mixed up: something that matters for it has changed."""
    cache.delete(_COMPARED)
    transaction.on_commit(lambda: cache.delete(_COMPARED))  # whoever looked meanwhile saw it as it was before


class ReceivedStudyQuerySet(models.QuerySet["ReceivedStudy"]):
    """Received studies."""

    def to_be_looked_at(self) -> Self:
        """Those of late that nobody has settled."""
        return self.filter(settled_at=None, last_arrival_at__gte=timezone.now() - timedelta(days=ALARM_DAYS))

    def without_entry(self) -> Self:
        """Those that no entry of the worklist was found for."""
        return self.filter(requested_procedure=None)

    def with_set_aside(self) -> Self:
        """Those of which newer images are set aside at the receiver."""
        return self.filter(set_aside_count__gt=0)

    def mixed_up(self) -> Self:
        """Those whose patient ID, or name, is not that of their entry.

        Names are compared by family and given name, without regard to case and accents: what a modality copies from the
        worklist, or has typed. Where images name nobody there is nothing to compare. What a patient was called before,
        under a stopgap's ID or one that was merged, is no other patient. Images of different patients under one Study
        Instance UID are mixed up whatever the entry says.
        """
        patient = "requested_procedure__patient__"
        whole = Concat(F(f"{patient}name_folded"), Value("^^"))
        other_id = ~Q(patient_id="") & ~Q(patient_id=F(f"{patient}patient_id"))
        other_name = ~Q(name_folded="") & ~Q(entry_name__startswith=F("name_folded"))
        has_entry = Q(requested_procedure__isnull=False)
        former = FormerPatientID.objects.filter(record=OuterRef(f"{patient}pk"), patient_id=OuterRef("patient_id"))
        other_id = other_id & ~Q(Exists(former))
        other_name = other_name & ~Q(Exists(former.filter(merged=True)))
        return self.annotate(entry_name=whole).filter(Q(several_patients=True) | has_entry & (other_id | other_name))

    def mixed_up_of_late(self) -> Self:
        """Those of late that are mixed up and nobody has settled.

        Comparing all that came in weeks takes too long for a page that refreshes itself, so that it is done once in 10
        seconds: after a change of a patient's record it may take as long until one is found. What is no longer mixed
        up, or was settled, is never told.
        """
        exact = self.to_be_looked_at().mixed_up()
        found = cache.get(_COMPARED)
        if found is None:
            found = list(exact.values_list("pk", flat=True)[:_COMPARED_LIMIT])
            cache.set(_COMPARED, found, _COMPARED_SECONDS)
        return exact.filter(pk__in=found)

    def settle(self, user: object) -> int:
        """Note that somebody has looked at these; return how many."""
        return self.filter(settled_at=None).update(settled_at=timezone.now(), settled_by=user)

    def reopen(self) -> int:
        """Have these looked at again; return how many were settled."""
        changed = self.exclude(settled_at=None).update(settled_at=None, settled_by=None)
        compare_again()
        return changed

    def find_entries(self, requested: RequestedProcedure) -> int:
        """Give the studies that have no entry to one that is theirs; return how many."""
        if requested.accession_number and not _WAITING.rows(requested.study_instance_uid, requested.accession_number):
            return 0
        theirs = Q(study_instance_uid=requested.study_instance_uid)
        if requested.accession_number:
            theirs |= Q(accession_number=requested.accession_number)
        changed = self.filter(theirs, requested_procedure=None).update(requested_procedure=requested)
        if changed:
            compare_again()
        return changed


class ReceivedStudy(models.Model):
    """A study as the receiver last told of it. Its values are those of the images, whatever the worklist says.

    Where a change of the patient reached the receiver, the patient is the one of today, and ``stored_…`` is whom the
    images name.
    """

    study_instance_uid = DeviceUIDField(_("Study Instance UID"), unique=True)
    requested_procedure = models.ForeignKey(
        RequestedProcedure,
        models.SET_NULL,
        related_name="received_studies",
        null=True,
        blank=True,
        verbose_name=_("entry"),
    )
    accession_number = models.CharField(_("accession number"), max_length=64, blank=True, db_index=True)
    patient_id = models.CharField(_("patient ID"), max_length=64, blank=True, db_index=True)
    patient_name = models.CharField(_("patient name"), max_length=200, blank=True)
    name_folded = models.CharField(max_length=200, blank=True, editable=False)
    patient_birth_date = models.DateField(_("birth date"), null=True, blank=True)
    stored_patient_id = models.CharField(_("patient ID in the images"), max_length=64, blank=True)
    stored_patient_name = models.CharField(_("patient name in the images"), max_length=200, blank=True)
    stored_patient_birth_date = models.DateField(_("birth date in the images"), null=True, blank=True)
    several_patients = models.BooleanField(_("several patients"), default=False)
    other_patients = models.JSONField(
        _("other patients"), default=list, help_text=_("Whom the images name besides this patient.")
    )
    description = models.CharField(_("description"), max_length=64, blank=True)
    modalities = models.JSONField(_("modalities"), default=list)
    senders = models.JSONField(_("senders"), default=list, help_text=_("AE titles that sent the images."))
    series_count = models.PositiveIntegerField(_("series"), default=0)
    instance_count = models.PositiveIntegerField(_("images"), default=0)
    set_aside_count = models.PositiveIntegerField(
        _("set aside"),
        default=0,
        help_text=_("Images that came again with other content. Until that is settled the first ones are kept."),
    )
    first_arrival_at = models.DateTimeField(_("first image"))
    last_arrival_at = models.DateTimeField(_("last image"))
    announced_at = models.DateTimeField(_("complete since"))
    settled_at = models.DateTimeField(_("settled at"), null=True, blank=True, editable=False)
    settled_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        verbose_name=_("settled by"),
        related_name="+",
        null=True,
        blank=True,
        editable=False,
    )

    objects = ReceivedStudyQuerySet.as_manager()

    class Meta:
        ordering = ["-last_arrival_at", "-id"]
        verbose_name_plural = _("received studies")
        indexes = [models.Index(fields=["-last_arrival_at"], name="received_last_arrival")]
        verbose_name = _("received study")

    def __str__(self) -> str:
        return str(self.accession_number or self.study_instance_uid)

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save, and have the alarms compare it with its entry at once."""
        super().save(*args, **kwargs)
        compare_again()

    @property
    def stored_under(self) -> str:
        """Whom the images name, where the patient has become another since; empty where it is the same."""
        if not (self.stored_patient_id or self.stored_patient_name):
            return ""
        name = " ".join(filter(None, self.stored_patient_name.split("=")[0].replace("^", ", ", 1).split("^")))
        return f"{name} ({self.stored_patient_id})".strip()


class StudyNotice(models.Model):
    """A notice that has been dealt with: the receiver sends each at least once, and repeats are dropped by its ID."""

    event_id = models.CharField(_("event id"), max_length=64, unique=True)
    study = models.ForeignKey(ReceivedStudy, models.CASCADE, verbose_name=_("study"), related_name="notices")
    announced_at = models.DateTimeField(_("announced at"))
    received_at = models.DateTimeField(_("received at"), auto_now_add=True)

    class Meta:
        ordering = ["-received_at"]
        verbose_name = _("study notice")
        verbose_name_plural = _("study notices")

    def __str__(self) -> str:
        return str(self.event_id)


class SettledStep(models.Model):
    """A step without images that somebody has looked at: it is no alarm any more."""

    step = models.OneToOneField(
        ScheduledProcedureStep, models.CASCADE, verbose_name=_("step"), related_name="images_settled"
    )
    settled_at = models.DateTimeField(_("settled at"), auto_now_add=True)
    settled_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, verbose_name=_("settled by"), related_name="+", null=True, blank=True
    )

    class Meta:
        default_permissions = ()
        verbose_name = _("settled step")
        verbose_name_plural = _("settled steps")

    def __str__(self) -> str:
        return str(self.step_id)


_WAITING = Prepared(
    lambda uid, number: (
        ReceivedStudy.objects.order_by()
        .filter(Q(study_instance_uid=uid) | Q(accession_number=number), requested_procedure=None)
        .values_list("pk")
    ),
    str,
    str,
)
"""Those without an entry that may be an entry's, which with nearly each entry there are none of."""

"""Studies that the image receiver has told of, and which of them do not fit the worklist."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from mwl_admin.models import ReceivedStudy, StudyNotice
from mwl_admin.models.received import ReceivedStudyQuerySet
from mwl_admin.site.admin.readers import PatientDataAdmin
from mwl_admin.site.admin.records import RecordAdmin
from mwl_admin.templatetags.gateway import person


class FitFilter(admin.SimpleListFilter):
    """What is to be looked at."""

    title = _("fit")
    parameter_name = "fit"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("mixed_up", gettext("Another patient than the entry's")),
            ("set_aside", gettext("Images set aside")),
            ("no_entry", gettext("Without an entry")),
        ]

    def queryset(self, request: HttpRequest, queryset: Any) -> QuerySet[Any]:
        studies: ReceivedStudyQuerySet = queryset
        if self.value() == "mixed_up":
            return studies.to_be_looked_at().mixed_up()
        if self.value() == "set_aside":
            return studies.to_be_looked_at().with_set_aside()
        if self.value() == "no_entry":
            return studies.to_be_looked_at().without_entry()
        return studies


@admin.register(ReceivedStudy)
class ReceivedStudyAdmin(PatientDataAdmin, RecordAdmin):
    read_as = "received study"
    list_display = (
        "last_arrival_at",
        "name_in_words",
        "patient_id",
        "accession_number",
        "requested_procedure",
        "description",
        "modality_names",
        "series_count",
        "instance_count",
        "set_aside_count",
        "settled_at",
    )
    list_select_related = ("requested_procedure",)
    list_needs = ("modalities",)
    list_filter = (FitFilter,)
    search_fields = ("=study_instance_uid", "accession_number", "patient_id", "name_folded")
    date_hierarchy = "last_arrival_at"
    actions = ("settle", "reopen")
    # in words instead
    exclude = ("modalities", "senders", "other_patients", "several_patients")
    readonly_fields = ("modality_names", "sender_titles", "others")

    @admin.display(description=_("patient name"), ordering="patient_name")
    def name_in_words(self, study: ReceivedStudy) -> str:
        return person(study.patient_name) or "-"

    @admin.display(description=_("other patients"))
    def others(self, study: ReceivedStudy) -> str:
        return "; ".join(f"{person['name']} ({person['id']})" for person in study.other_patients)

    @admin.display(description=_("senders"))
    def sender_titles(self, study: ReceivedStudy) -> str:
        return ", ".join(map(str, study.senders))

    @admin.display(description=_("modalities"))
    def modality_names(self, study: ReceivedStudy) -> str:
        return ", ".join(study.modalities)

    @admin.action(description=_("I have looked at these"), permissions=["settle"])
    def settle(self, request: HttpRequest, queryset: ReceivedStudyQuerySet) -> None:
        studies = list(queryset.filter(settled_at=None))
        queryset.settle(request.user)
        for study in studies:
            self.log_change(request, study, gettext("Looked at."))
        self._tell(request, len(studies))

    @admin.action(description=_("Have these looked at again"), permissions=["settle"])
    def reopen(self, request: HttpRequest, queryset: ReceivedStudyQuerySet) -> None:
        studies = list(queryset.exclude(settled_at=None))
        queryset.reopen()
        for study in studies:
            self.log_change(request, study, gettext("To be looked at again."))
        self._tell(request, len(studies))

    def _tell(self, request: HttpRequest, count: int) -> None:
        self.message_user(request, ngettext("%(n)d noted.", "%(n)d noted.", count) % {"n": count}, messages.SUCCESS)

    def has_settle_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("mwl_admin.change_receivedstudy"))


@admin.register(StudyNotice)
class StudyNoticeAdmin(PatientDataAdmin, RecordAdmin):
    read_as = "notice"
    list_display = ("received_at", "event_id", "study", "announced_at")
    list_select_related = ("study",)
    search_fields = ("=event_id",)

"""The worklist in Django's admin."""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from mwl_admin.site.admin import accounts, logins  # noqa: F401 - register accounts, roles and logins
from mwl_admin.site.admin.catalogue import ProcedureAdmin, ProtocolCodeAdmin
from mwl_admin.site.admin.clients import APIClientAdmin
from mwl_admin.site.admin.patient import PatientAdmin
from mwl_admin.site.admin.performed import PerformedProcedureStepAdmin
from mwl_admin.site.admin.received import ReceivedStudyAdmin, StudyNoticeAdmin
from mwl_admin.site.admin.records import WorklistDeliveryAdmin, WorklistQueryAdmin
from mwl_admin.site.admin.requested import RequestedProcedureAdmin
from mwl_admin.site.admin.scheduled import ScheduledProcedureStepAdmin
from mwl_admin.site.admin.station import StationAdmin

__all__ = [
    "APIClientAdmin",
    "PatientAdmin",
    "PerformedProcedureStepAdmin",
    "ProcedureAdmin",
    "ProtocolCodeAdmin",
    "ReceivedStudyAdmin",
    "RequestedProcedureAdmin",
    "ScheduledProcedureStepAdmin",
    "StationAdmin",
    "StudyNoticeAdmin",
    "WorklistDeliveryAdmin",
    "WorklistQueryAdmin",
]

admin.site.site_header = _("Worklist")
admin.site.site_title = _("Worklist")
admin.site.index_title = _("All pages")

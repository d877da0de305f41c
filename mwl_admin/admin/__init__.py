"""The worklist in Django's admin."""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from mwl_admin.admin import accounts, logins  # noqa: F401 - register accounts, roles and logins
from mwl_admin.admin.catalogue import ProcedureAdmin, ProtocolCodeAdmin
from mwl_admin.admin.clients import APIClientAdmin
from mwl_admin.admin.patient import PatientAdmin
from mwl_admin.admin.performed import PerformedProcedureStepAdmin
from mwl_admin.admin.received import ReceivedStudyAdmin, StudyNoticeAdmin
from mwl_admin.admin.records import WorklistDeliveryAdmin, WorklistQueryAdmin
from mwl_admin.admin.requested import RequestedProcedureAdmin
from mwl_admin.admin.scheduled import ScheduledProcedureStepAdmin
from mwl_admin.admin.station import StationAdmin

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
admin.site.index_title = _("Worklist")

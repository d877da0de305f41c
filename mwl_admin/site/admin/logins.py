"""Who logged in, from where, and who failed: a record, so nobody changes or deletes it here."""

from axes import admin as pages
from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.contrib import admin

from mwl_admin.site.admin.records import RecordAdmin


@admin.register(AccessAttempt)
class LoginAttemptAdmin(RecordAdmin, pages.AccessAttemptAdmin):  # type: ignore[misc]
    actions = ()


@admin.register(AccessLog)
class LoginAdmin(RecordAdmin, pages.AccessLogAdmin):  # type: ignore[misc]
    pass


@admin.register(AccessFailureLog)
class FailedLoginAdmin(RecordAdmin, pages.AccessFailureLogAdmin):  # type: ignore[misc]
    pass

"""What the site serves."""

from django.contrib import admin
from django.urls import path
from django.views.generic import RedirectView

from mwl_admin.health import health

urlpatterns = [
    # The day's list is what staff come for.
    path("", RedirectView.as_view(pattern_name="admin:mwl_admin_scheduledprocedurestep_changelist")),
    path("admin/", admin.site.urls),
    path("health", health, name="health"),
]

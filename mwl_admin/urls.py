"""What the site serves."""

from django.contrib import admin
from django.urls import path
from django.views.generic import RedirectView

from mwl_admin.health import health

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/", admin.site.urls),
    path("health", health, name="health"),
]

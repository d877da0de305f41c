"""What the site serves."""

from django.contrib import admin
from django.urls import path
from django.views.decorators.cache import cache_control
from django.views.generic import RedirectView
from django.views.i18n import JavaScriptCatalog

from mwl_admin.api.site import api
from mwl_admin.site.admin import readers
from mwl_admin.site.health import health
from mwl_admin.site.pages import delivery, downtime, entry, keeping_out, merge, reschedule, settle, stations, today

# The same for everybody until the site is updated.
texts = cache_control(public=True, max_age=3600)(JavaScriptCatalog.as_view(packages=["mwl_admin"]))

urlpatterns = [
    # The day's list is what staff come for.
    path("", RedirectView.as_view(pattern_name="today")),
    path("today/", today.today, name="today"),
    path("today/list/", today.today_list, name="today_list"),
    path("steps/<int:pk>/status/<str:target>/", today.change_status, name="change_status"),
    path("steps/<int:pk>/end/<str:target>/", today.end_dialog, name="end_dialog"),
    path("steps/<int:pk>/delivery/", delivery.step_delivery, name="step_delivery"),
    path("steps/<int:pk>/images/<str:action>/", settle.settle_step, name="settle_step"),
    path("reports/<int:pk>/<str:action>/", settle.settle_report, name="settle_report"),
    path("studies/<int:pk>/<str:action>/", settle.settle_study, name="settle_study"),
    path("steps/<int:pk>/downtime/", downtime.done_in_downtime, name="done_in_downtime"),
    path("downtime/", downtime.downtime_list, name="downtime_list"),
    path("steps/reschedule/", reschedule.reschedule, name="reschedule"),
    path("entry/similar/", entry.similar_patients, name="similar_patients"),
    path("entry/procedure/<int:pk>/", entry.procedure, name="entry_procedure"),
    path("entry/slots/", entry.free_slots, name="free_slots"),
    path("patients/<int:pk>/merge/", merge.merge_patients, name="merge_patients"),
    path("stations/", stations.stations, name="stations"),
    path("stations/keep-out/", keeping_out.keep_out, name="keep_out"),
    path("stations/stop-keeping-out/", keeping_out.stop_keeping_out, name="stop_keeping_out"),
    path("stations/<int:pk>/query/", stations.query_as_station, name="query_as_station"),
    path("stations/<int:pk>/echo/", stations.echo_station, name="echo_station"),
    path("queries/<int:pk>/", delivery.query_explained, name="query_explained"),
    # Before the admin's own, which they replace under the same names.
    path("admin/", admin.site.admin_view(readers.index)),
    path("admin/autocomplete/", admin.site.admin_view(readers.NotedAutocomplete.as_view(admin_site=admin.site))),
    path("admin/", admin.site.urls),
    path("health", health, name="health"),
    path("texts.js", texts, name="texts"),
    # The last: its paths begin with /api/ and /dicom-web/.
    path("", api.urls),
]

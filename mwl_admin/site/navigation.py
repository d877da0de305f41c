"""The menu at the side of each page: what the job needs, and of that what this person may see."""

from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse
from django.utils.translation import gettext as _

from mwl_admin.site.page_names import heading


def style(request: HttpRequest) -> str:
    """Return the address of the site's own style sheet."""
    return static("mwl_admin/site.css")


def list_style(request: HttpRequest) -> str:
    """Return the address of the style sheet of lists."""
    return static("mwl_admin/lists.css")


def print_style(request: HttpRequest) -> str:
    """Return the address of the style sheet of what is printed."""
    return static("mwl_admin/print.css")


def icon(request: HttpRequest) -> str:
    """Return the address of the picture that browsers put on a tab."""
    return static("mwl_admin/icon.svg")


def texts(request: HttpRequest) -> str:
    """Return the address of what the site's scripts say, in the site's language."""
    return reverse("texts")


def script(request: HttpRequest) -> str:
    """Return the address of the site's own script."""
    return static("mwl_admin/site.js")


def expressions(request: HttpRequest) -> str:
    """Return the address of what carries out the theme's expressions without eval."""
    return static("mwl_admin/expressions.js")


def colours(request: HttpRequest) -> str:
    """Return the address of the palette."""
    return static("mwl_admin/colours.css")


def no_colours(request: HttpRequest) -> dict[str, dict[str, str]]:
    """Return the colours that the theme writes into each page."""
    return {}


def sidebar(request: HttpRequest) -> list[dict[str, Any]]:
    """Return the groups of the menu that have an entry for this person."""
    groups = (
        (
            "",
            (
                (_("Today"), "today", reverse("today"), "mwl_admin.view_scheduledprocedurestep"),
                (_("New entry"), "add_circle", _add("requestedprocedure"), "mwl_admin.add_requestedprocedure"),
                _records("mwl_admin.scheduledprocedurestep", "view_list"),
                _records("mwl_admin.requestedprocedure", "assignment"),
                _records("mwl_admin.patient", "person"),
                _records("mwl_admin.performedprocedurestep", "radiology"),
                _records("mwl_admin.receivedstudy", "photo_library"),
            ),
        ),
        (
            _("Modalities"),
            (
                (_("Stations"), "settings_input_antenna", reverse("stations"), "mwl_admin.view_station"),
                _records("mwl_admin.worklistquery", "manage_search"),
            ),
        ),
        (
            _("Catalogue"),
            (
                _records("mwl_admin.procedure", "menu_book"),
                _records("mwl_admin.protocolcode", "barcode"),
            ),
        ),
        (
            _("Administration"),
            (
                _records("auth.user", "badge"),
                _records("auth.group", "group"),
                _records("mwl_admin.apiclient", "key"),
                _records("mwl_admin.patientread", "visibility"),
                (_("All pages"), "apps", reverse("admin:index"), "auth.view_user"),
            ),
        ),
    )
    return [
        {"title": title, "separator": bool(title), "items": items}
        for title, entries in groups
        if (items := [_item(*entry, request=request) for entry in entries if request.user.has_perm(entry[3])])
    ]


def _item(title: str, icon: str, link: str, permission: str, *, request: HttpRequest) -> dict[str, Any]:
    active = request.path == link or (link.count("/") > 3 and request.path.startswith(link) and "/add/" not in link)
    if "/add/" in request.path and link != request.path:
        active = False
    return {"title": title, "icon": icon, "link": link, "active": active}


def _records(model: str, icon: str) -> tuple[str, str, str, str]:
    application, name = model.split(".")
    return heading(model), icon, reverse(f"admin:{application}_{name}_changelist"), f"{application}.view_{name}"


def _add(model: str) -> str:
    return reverse(f"admin:mwl_admin_{model}_add")

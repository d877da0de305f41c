"""The menu at the side of each page: what the job needs, and of that what this person may see."""

from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse
from django.utils.translation import gettext as _


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
                (_("All steps"), "view_list", _list("scheduledprocedurestep"), "mwl_admin.view_scheduledprocedurestep"),
                (_("Entries"), "assignment", _list("requestedprocedure"), "mwl_admin.view_requestedprocedure"),
                (_("Patients"), "person", _list("patient"), "mwl_admin.view_patient"),
                (
                    _("Examinations"),
                    "radiology",
                    _list("performedprocedurestep"),
                    "mwl_admin.view_performedprocedurestep",
                ),
                (_("Images"), "photo_library", _list("receivedstudy"), "mwl_admin.view_receivedstudy"),
            ),
        ),
        (
            _("Modalities"),
            (
                (_("Stations"), "settings_input_antenna", reverse("stations"), "mwl_admin.view_station"),
                (_("Queries"), "manage_search", _list("worklistquery"), "mwl_admin.view_worklistquery"),
            ),
        ),
        (
            _("Catalogue"),
            (
                (_("Procedures"), "menu_book", _list("procedure"), "mwl_admin.view_procedure"),
                (_("Protocol codes"), "barcode", _list("protocolcode"), "mwl_admin.view_protocolcode"),
            ),
        ),
        (
            _("Administration"),
            (
                (_("Accounts"), "badge", reverse("admin:auth_user_changelist"), "auth.view_user"),
                (_("Roles"), "group", reverse("admin:auth_group_changelist"), "auth.view_group"),
                (_("API clients"), "key", _list("apiclient"), "mwl_admin.view_apiclient"),
                (_("Records read"), "visibility", _list("patientread"), "mwl_admin.view_patientread"),
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


def _list(model: str) -> str:
    return reverse(f"admin:mwl_admin_{model}_changelist")


def _add(model: str) -> str:
    return reverse(f"admin:mwl_admin_{model}_add")

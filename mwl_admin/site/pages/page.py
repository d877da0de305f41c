"""What the site's own pages share: who may see them, and the frame around them."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import admin
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.decorators.cache import never_cache

View = Callable[..., HttpResponse]


def page(*permissions: str) -> Callable[[View], View]:
    """Admit staff who have all of ``permissions`` (of this application); others log in, or are told that they may not.

    What a page asks for by itself (htmx) can't show a login in its middle: then the whole page goes there.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        @never_cache
        def admit(request: HttpRequest, *arguments: Any, **named: Any) -> HttpResponse:
            if not admin.site.has_permission(request):
                return _login(request)
            if not request.user.has_perms([f"mwl_admin.{permission}" for permission in permissions]):
                raise PermissionDenied
            return view(request, *arguments, **named)

        return admit

    return decorate


def by_script(request: HttpRequest) -> bool:
    """Whether a part of a page is asked for, rather than a page."""
    return "HX-Request" in request.headers


def render(request: HttpRequest, template: str, context: dict[str, Any], *, title: str = "") -> HttpResponse:
    """Return a page within the site's frame, or the part of a page when the template has no frame."""
    frame = {} if by_script(request) and not title else admin.site.each_context(request)
    return TemplateResponse(request, f"mwl_admin/{template}", {**frame, "title": title, "is_fullwidth": "1", **context})


def _login(request: HttpRequest) -> HttpResponse:
    if by_script(request):
        answer = HttpResponse(status=204)
        answer["HX-Redirect"] = f"{reverse('admin:login')}?next={reverse('today')}"
        return answer
    return redirect_to_login(request.get_full_path(), reverse("admin:login"))

"""When a session ends: some time after a person last did something, however long a page refreshed itself."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

_TOUCHED = "touched"
_EVERY_SECONDS = 60


class SessionMiddleware:
    """Prolongs the session on what a person does, at most once a minute.

    Pages that refresh themselves ask with the header ``X-Refresh``, which counts for nothing here: a screen left alone
    is logged out as it should be.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.user.is_authenticated and "X-Refresh" not in request.headers:
            now = timezone.now().timestamp()
            if now - request.session.get(_TOUCHED, 0) >= _EVERY_SECONDS:
                request.session[_TOUCHED] = now
        return self._get_response(request)

"""When logging in is locked: after some wrong passwords from one address, for one account or for all together."""

from __future__ import annotations

from typing import Any

from axes.attempts import get_cool_off_threshold
from axes.handlers.database import AxesDatabaseHandler
from axes.models import AccessAttempt
from django.conf import settings
from django.db.models import Sum
from django.http import HttpRequest


class LoginHandler(AxesDatabaseHandler):  # type: ignore[misc]
    """What django-axes does, and a limit for one address over all accounts: one password tried on each of them.

    Both limits are of one address, so nobody locks out a colleague at another desk.
    """

    def is_locked(self, request: HttpRequest, credentials: dict[str, Any] | None = None) -> bool:
        return bool(super().is_locked(request, credentials)) or _is_spent(request)

    def user_login_failed(
        self, sender: str, credentials: dict[str, Any], request: HttpRequest | None = None, **named: Any
    ) -> None:
        super().user_login_failed(sender, credentials, request, **named)
        if request is not None and _is_spent(request):
            request.axes_locked_out = True  # type: ignore[attr-defined]
            request.axes_credentials = credentials  # type: ignore[attr-defined]


def _is_spent(request: HttpRequest) -> bool:
    """Whether as many passwords were wrong from this address lately, for whichever accounts, as are let pass."""
    address = request.axes_ip_address  # type: ignore[attr-defined]
    lately = AccessAttempt.objects.filter(ip_address=address, attempt_time__gte=get_cool_off_threshold(request))
    failures: int = lately.aggregate(failures=Sum("failures_since_start"))["failures"] or 0
    return failures >= settings.WEB_LOGIN_FAILURES_PER_ADDRESS

"""The password that was made for the first account: kept in a file until its owner has chosen another.

Nothing of the site opens before. The file goes when the password is changed, whatever changes it.
"""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.password_validation import MinimumLengthValidator
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _

from mwl_admin.models import FirstPassword

logger = logging.getLogger(__name__)

_SESSION_KEY = "first_password"
_OPEN = ("admin:password_change", "admin:logout", "admin:jsi18n", "texts", "health")


def path() -> Path:
    """Return where the first password is kept."""
    return Path(settings.DATA_DIR) / "first_password"


def make(account: Any) -> None:
    """Give an account that was just made a password, and keep it for the owner of the data alone.

    :raises OSError: when it can't be kept.
    """
    password = secrets.token_urlsafe(12)
    account.set_password(password)
    account.save()
    FirstPassword.objects.create(account=account)
    _keep(password)


def _keep(password: str) -> None:
    # Whole or not at all, and nobody's but the owner's from the first moment on.
    aside = path().with_name(f"first_password.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(f"{password}\n")
            file.flush()
            os.fsync(file.fileno())
        aside.rename(path())
    except OSError:
        aside.unlink(missing_ok=True)
        raise


def _forget() -> None:
    try:
        path().unlink(missing_ok=True)
    except OSError as error:
        fields = {"path": str(path()), "because": error.strerror}
        logger.warning("the first password's file can't be removed; it is no longer valid", extra={"fields": fields})


class OwnPasswordValidator(MinimumLengthValidator):
    """A password is long enough, and not the one that was made for the account.

    Django tells validators of each change of a password, on the site and by command alike.
    """

    def validate(self, password: str, user: Any = None) -> None:
        super().validate(password, user)
        if _is_due(user) and user.check_password(password):
            raise ValidationError(_("Choose a password of your own, not the one that was made for you."), code="first")

    def password_changed(self, password: str, user: Any) -> None:
        """Let the first password be forgotten."""
        if FirstPassword.objects.filter(account=user.pk).delete()[0]:
            transaction.on_commit(_forget)


def _is_due(user: Any) -> bool:
    return user is not None and user.pk is not None and FirstPassword.objects.filter(account=user.pk).exists()


def note_login(sender: Any, request: HttpRequest, user: Any, **named: Any) -> None:
    """Remember a login with a first password in its session, so that nobody else's requests ask the database."""
    if _is_due(user):
        request.session[_SESSION_KEY] = True


class FirstPasswordMiddleware:
    """Shows who has logged in with a first password the form to change it, instead of whatever was asked for."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.user.is_authenticated and _SESSION_KEY in request.session:
            if not _is_due(request.user):
                del request.session[_SESSION_KEY]
            elif request.path not in {reverse(name) for name in _OPEN}:
                return _to_form(request)
        return self._get_response(request)


def _to_form(request: HttpRequest) -> HttpResponse:
    form = reverse("admin:password_change")
    if "HX-Request" in request.headers:
        return HttpResponse(status=204, headers={"HX-Redirect": form})
    return redirect(form)

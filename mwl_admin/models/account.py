"""What the site remembers of an account besides what Django does."""

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _


class FirstPassword(models.Model):
    """An account whose password was made for it, and has not been changed since."""

    account = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        models.CASCADE,
        verbose_name=_("account"),
        related_name="first_password",
        primary_key=True,
    )

    class Meta:
        default_permissions = ()
        verbose_name = _("first password")
        verbose_name_plural = _("first passwords")

    def __str__(self) -> str:
        return str(self.account)

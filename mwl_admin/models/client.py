"""Other systems of the hospital that use the HTTP API, each known by a token."""

import hashlib
import secrets
from datetime import timedelta
from typing import Self

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from mwl_admin.models.prepared import PreparedInstances
from mwl_admin.models.station import Station

TOKEN_MARK = "gw_"  # noqa: S105 - how each token begins, so that one in a wrong place is recognised
WARNED_BEFORE = timedelta(days=14)
"""How long before a token ends staff are told."""
NOTED_EVERY = timedelta(minutes=1)
_SHOWN = 8


def hashed(token: str) -> str:
    """Return what is kept of a token. It is random and long, so a plain hash can't be turned back."""
    return hashlib.sha256(token.encode()).hexdigest()


class APIClientQuerySet(models.QuerySet["APIClient"]):
    """Clients of the API."""

    def note_use(self) -> None:
        """Remember that these clients have just asked for something; once a minute is exact enough."""
        now = timezone.now()
        stale = Q(last_used_at=None) | Q(last_used_at__lt=now - NOTED_EVERY)
        self.filter(stale).update(last_used_at=now)


class APIClient(models.Model):
    """A system that may use the API."""

    name = models.CharField(
        _("name"), max_length=64, unique=True, help_text=_("Which system it is; the history of entries names it.")
    )
    token_hash = models.CharField(max_length=64, unique=True, editable=False)
    token_start = models.CharField(_("token begins with"), max_length=16, editable=False)
    can_read = models.BooleanField(_("may read"), default=True, help_text=_("Search the worklist and read entries."))
    can_write = models.BooleanField(_("may write"), default=False, help_text=_("Make, change and cancel entries."))
    enabled = models.BooleanField(
        _("enabled"), default=True, help_text=_("A client that is switched off is refused at once.")
    )
    station = models.ForeignKey(
        Station,
        # A token whose station is gone must not see everything from then on.
        models.CASCADE,
        verbose_name=_("station"),
        related_name="api_clients",
        null=True,
        blank=True,
        help_text=_(
            "The modality that it is: sees and changes what the station's profile lets it see. Left empty: everything."
        ),
    )
    requests_per_minute = models.PositiveIntegerField(
        _("requests per minute"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(1_000_000)],
        help_text=_("Left empty: the limit of all clients."),
    )
    expires_on = models.DateField(
        _("valid until"), null=True, blank=True, help_text=_("The token's last day. Left empty: no end.")
    )
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    last_used_at = models.DateTimeField(_("last used at"), null=True, blank=True, editable=False)

    objects = APIClientQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        verbose_name = _("API client")
        verbose_name_plural = _("API clients")

    def __str__(self) -> str:
        return str(self.name)

    @classmethod
    def by_token(cls, token: str) -> "APIClient | None":
        """Return the client that a token belongs to, unless it is switched off."""
        return _BY_TOKEN.first(hashed(token))

    def note_use(self) -> None:
        """Remember that this client has just asked for something; nothing is written when that is known."""
        if self.last_used_at is None or self.last_used_at < timezone.now() - NOTED_EVERY:
            type(self).objects.filter(pk=self.pk).note_use()

    @property
    def has_expired(self) -> bool:
        """Whether the token's last day is over."""
        return self.expires_on is not None and self.expires_on < timezone.localdate()

    @property
    def expires_soon(self) -> bool:
        """Whether it is time to give a new token: the old one is still valid, but not for long."""
        last = self.expires_on
        return last is not None and timezone.localdate() <= last <= timezone.localdate() + WARNED_BEFORE

    @property
    def was_used_today(self) -> bool:
        """Whether the client has asked for anything today."""
        used = self.last_used_at
        return used is not None and timezone.localdate(used) == timezone.localdate()

    def make_token(self) -> str:
        """Give the client a new token, which is told here and never again; the old one ends when this is saved."""
        token = TOKEN_MARK + secrets.token_urlsafe(32)
        self.token_hash = hashed(token)
        self.token_start = token[:_SHOWN]
        return token

    @classmethod
    def create(cls, **values: object) -> tuple[Self, str]:
        """Make a client; return it and its token."""
        client = cls(**values)
        token = client.make_token()
        client.full_clean()
        client.save()
        return client, token


_BY_TOKEN = PreparedInstances(
    APIClient, lambda token_hash: APIClient.objects.filter(token_hash=token_hash, enabled=True).order_by(), str
)

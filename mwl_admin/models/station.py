"""Stations: the one registry of devices (docs/devices.md), and what each modality needs done differently."""

import ipaddress
from collections.abc import Sequence
from typing import Self

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from mwl_admin import validators
from mwl_admin.fields import AETitleField, CodeStringField, KeywordsField, ShortStringField
from mwl_admin.models.base import EditedModel, history
from mwl_admin.models.status import OPEN


class ResponseCharacterSet(models.TextChoices):
    """Values of Specific Character Set (0008,0005) that a response can be sent in (PS3.3 §C.12.1.1.2)."""

    UTF_8 = "ISO_IR 192", _("Unicode (UTF-8)")
    ASCII = "ISO_IR 6", _("ASCII only")
    LATIN_1 = "ISO_IR 100", _("Latin 1: Western Europe")
    LATIN_2 = "ISO_IR 101", _("Latin 2: Central Europe")
    LATIN_3 = "ISO_IR 109", _("Latin 3: Southern Europe")
    LATIN_4 = "ISO_IR 110", _("Latin 4: Northern Europe")
    LATIN_5 = "ISO_IR 148", _("Latin 5: Turkish")
    LATIN_9 = "ISO_IR 203", _("Latin 9: Western Europe with €")
    CYRILLIC = "ISO_IR 144", _("Cyrillic")
    ARABIC = "ISO_IR 127", _("Arabic")
    GREEK = "ISO_IR 126", _("Greek")
    HEBREW = "ISO_IR 138", _("Hebrew")
    THAI = "ISO_IR 166", _("Thai")
    JAPANESE_KATAKANA = "ISO_IR 13", _("Japanese: JIS X 0201 (Romaji and half-width Katakana)")
    JAPANESE = "\\ISO 2022 IR 87", _("Japanese: ASCII with JIS X 0208")
    JAPANESE_WITH_KATAKANA = "ISO 2022 IR 13\\ISO 2022 IR 87", _("Japanese: JIS X 0201 with JIS X 0208")
    KOREAN = "\\ISO 2022 IR 149", _("Korean: ASCII with KS X 1001")
    CHINESE_GB2312 = "\\ISO 2022 IR 58", _("Chinese: ASCII with GB 2312")
    CHINESE_GB18030 = "GB18030", _("Chinese: GB18030")
    CHINESE_GBK = "GBK", _("Chinese: GBK")


class StationAEKey(models.TextChoices):
    """What becomes of the Scheduled Station AE Title (0040,0001) in a query of this station."""

    USE = "USE", _("match what the station asks for")
    IGNORE = "IGNORE", _("ignore it: any station's steps")
    OWN = "OWN", _("put the station's own AE title in its place")


class DeviceKind(models.TextChoices):
    """What a device is for. Examinations are planned on modalities only."""

    MODALITY = "modality", _("modality")
    WORKSTATION = "workstation", _("workstation")
    ARCHIVE = "archive", _("archive")
    AI = "ai", _("AI node")
    OTHER = "other", _("other")


DEFAULT_PORT = 104
"""Where DICOM is answered when nobody says otherwise (PS3.8 §9.1.1)."""


class StationQuerySet(models.QuerySet["Station"]):
    """Stations."""

    def modalities(self) -> Self:
        """Those that examinations are planned on."""
        return self.filter(kind=DeviceKind.MODALITY)


class Station(EditedModel):
    """A device, known by its AE title: a modality, or another one that images come from or go to."""

    ae_title = AETitleField(_("AE title"), unique=True)
    kind = models.CharField(_("kind"), max_length=16, choices=DeviceKind, default=DeviceKind.MODALITY)
    station_name = ShortStringField(
        _("name"), blank=True, help_text=_("Sent as Scheduled Station Name, e.g. CT room 1.")
    )
    location = ShortStringField(
        _("location"), blank=True, help_text=_("Sent as step location unless the step has its own.")
    )
    modality = CodeStringField(
        _("modality"), blank=True, db_index=True, help_text=_("E.g. CT, MR, US, DX, MG. Only a modality has one.")
    )
    expected_addresses = models.TextField(
        _("expected addresses"),
        blank=True,
        validators=[validators.validate_addresses],
        help_text=_("IP addresses or networks that this station calls from, one a line. Left empty: any."),
    )
    host = models.CharField(
        _("host"),
        max_length=253,
        blank=True,
        validators=[validators.validate_host],
        help_text=_("Name or IP address where the device answers. Left empty: the first expected address."),
    )
    port = models.PositiveIntegerField(
        _("DICOM port"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(65535)],
        help_text=_("Where the device answers, e.g. C-ECHO. Left empty: 104."),
    )
    enabled = models.BooleanField(
        _("enabled"), default=True, help_text=_("A station that is switched off is turned away, whatever it asks for.")
    )
    may_store = models.BooleanField(_("may store"), default=True, help_text=_("Send images to the receiver."))
    may_query = models.BooleanField(_("may query"), default=False, help_text=_("Ask which images are there."))
    may_retrieve = models.BooleanField(_("may retrieve"), default=False, help_text=_("Fetch images."))
    certificates = models.TextField(
        _("certificates"),
        blank=True,
        validators=[validators.validate_fingerprints],
        help_text=_(
            "SHA-256 fingerprints of the client certificates that the device may show, one a line. They count where "
            "clients must show one. Left empty: one with its AE title as common name."
        ),
    )

    response_character_set = models.CharField(
        _("response character set"),
        max_length=64,
        choices=ResponseCharacterSet,
        default=ResponseCharacterSet.UTF_8,
        help_text=_("What the station can read. What the set can't carry is sent as “?”."),
    )
    station_ae_key = models.CharField(
        _("station AE title in queries"),
        max_length=8,
        choices=StationAEKey,
        default=StationAEKey.USE,
        help_text=_("Some scanners ask for a wrong or another station's AE title, and then see nothing."),
    )
    days_back = models.PositiveSmallIntegerField(
        _("days back"),
        null=True,
        blank=True,
        validators=[MaxValueValidator(3650)],
        help_text=_("How many days before today the station may see. Left empty: no limit."),
    )
    days_ahead = models.PositiveSmallIntegerField(
        _("days ahead"),
        null=True,
        blank=True,
        validators=[MaxValueValidator(3650)],
        help_text=_("How many days after today the station may see. Left empty: no limit."),
    )
    hours_back = models.PositiveSmallIntegerField(
        _("hours back"),
        null=True,
        blank=True,
        validators=[MaxValueValidator(240)],
        help_text=_("How many hours before now the station may see. Left empty: no limit."),
    )
    hours_ahead = models.PositiveSmallIntegerField(
        _("hours ahead"),
        null=True,
        blank=True,
        validators=[MaxValueValidator(240)],
        help_text=_("How many hours after now the station may see. Left empty: no limit."),
    )
    maximum_matches = models.PositiveIntegerField(
        _("maximum matches"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text=_("Longest list that the station can take. Left empty: the limit of all stations."),
    )
    omitted_when_empty = KeywordsField(
        _("keys left out when empty"),
        default=list,
        blank=True,
        help_text=_(
            "Attributes that the station chokes on when they come without a value: their keywords, one a line, "
            "e.g. PregnancyStatus."
        ),
    )
    transliterate_names = models.BooleanField(
        _("transliterate names"),
        default=False,
        help_text=_("Send names without accents (Müller as Muller), for stations that show them garbled."),
    )

    completes_with_images = models.BooleanField(
        _("complete with its images"),
        default=False,
        help_text=_("The station sends no MPPS: its steps are complete when the image receiver has their images."),
    )

    last_echo_at = models.DateTimeField(_("last echo at"), null=True, blank=True, editable=False)
    last_query_at = models.DateTimeField(_("last query at"), null=True, blank=True, editable=False)
    last_mpps_at = models.DateTimeField(_("last MPPS at"), null=True, blank=True, editable=False)

    objects = StationQuerySet.as_manager()

    history = history("last_echo_at", "last_query_at", "last_mpps_at")

    class Meta:
        ordering = ["ae_title"]
        constraints = [
            models.CheckConstraint(condition=~models.Q(ae_title=""), name="station_ae_title_given"),
            models.CheckConstraint(
                condition=models.Q(station_ae_key__in=StationAEKey.values), name="station_ae_key_known"
            ),
            models.CheckConstraint(condition=models.Q(kind__in=DeviceKind.values), name="station_kind_known"),
            models.CheckConstraint(
                condition=models.Q(kind=DeviceKind.MODALITY) ^ models.Q(modality=""), name="station_modality_by_kind"
            ),
        ]
        verbose_name = _("station")
        verbose_name_plural = _("stations")

    def __str__(self) -> str:
        return f"{self.ae_title} ({self.station_name})" if self.station_name else self.ae_title

    @classmethod
    def prepare(cls, entries: Sequence[Self]) -> None:
        for station in entries:
            station.certificates = "\n".join(validators.fingerprints(station.certificates))

    def clean(self) -> None:
        super().clean()
        if self.kind == DeviceKind.MODALITY and not self.modality:
            raise ValidationError({"modality": _("A modality needs one, e.g. CT.")}, code="required")
        if self.kind != DeviceKind.MODALITY and self.modality:
            raise ValidationError({"modality": _("Only a modality has one: leave this empty.")}, code="not_a_modality")
        if self.kind != DeviceKind.MODALITY and self.pk and self._is_planned_on():
            text = _("Open steps are planned on this station: reschedule them first.")
            raise ValidationError({"kind": text}, code="planned_on")

    def _is_planned_on(self) -> bool:
        return bool(self.scheduled_procedure_steps.filter(status__in=OPEN).exists())

    @property
    def rights(self) -> list[str]:
        """What the device may do at the receiver."""
        held = {"store": self.may_store, "query": self.may_query, "retrieve": self.may_retrieve}
        return [right for right, has in held.items() if has]

    @property
    def answers_at(self) -> tuple[str, int]:
        """Host and port where the device answers; an empty host and 0 where neither is known."""
        host = self.host or self._first_address()
        return host, self.port or (DEFAULT_PORT if host else 0)

    def _first_address(self) -> str:
        """Return the first expected address that is one machine and not a network."""
        for text in self.expected_addresses.split():
            network = ipaddress.ip_network(text, strict=False)
            if network.num_addresses == 1:
                return str(network.network_address)
        return ""

    def expects(self, address: str) -> bool:
        """Whether the station may call from this IP address."""
        expected = self.expected_addresses.split()
        if not expected:
            return True
        caller = ipaddress.ip_address(address)
        return any(caller in ipaddress.ip_network(network, strict=False) for network in expected)

"""Small things that the site's templates need."""

import datetime
from collections.abc import Mapping
from typing import Any

from django import template
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

register = template.Library()


@register.filter
def of(values: Mapping[Any, Any], key: Any) -> Any:
    """Return what stands under ``key``."""
    return values.get(key, "")


@register.filter
def person(name: str) -> str:
    """Write a name as people read it: ``Doe^Jane`` as ``Doe, Jane``."""
    components = [part.strip() for part in name.partition("=")[0].split("^")]
    family, given = components[0], " ".join(filter(None, components[1:3]))
    return ", ".join(filter(None, (family, given)))


@register.filter
def moment(then: datetime.datetime) -> str:
    """Write when something was: the time, and the day unless it is today's: `10:30`, `Mon 4 May, 10:30`."""
    local = timezone.localtime(then)
    return date_format(local, "H:i" if local.date() == timezone.localdate() else "SHORT_WEEKDAY_DATETIME_FORMAT")


@register.filter
def ago(moment: datetime.datetime) -> str:
    """Write how long ago something was, and beyond a day when: `4 min ago`, `3 h ago`, `Mon 4 May, 10:30`."""
    seconds = (timezone.now() - moment).total_seconds()
    if seconds < 90:
        return _("just now")
    if seconds < 3600:
        return _("%(n)d min ago") % {"n": seconds // 60}
    if seconds < 86400:
        return _("%(n)d h ago") % {"n": seconds // 3600}
    return date_format(timezone.localtime(moment), "SHORT_WEEKDAY_DATETIME_FORMAT")

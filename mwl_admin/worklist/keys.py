"""The values of keys: what a text in an identifier asks for, by matching type (PS3.4 §C.2.2.2)."""

from __future__ import annotations

import datetime
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from gateway_link import names

T = TypeVar("T", datetime.date, datetime.time)

MAX_VALUES = 1000
MAX_LENGTH = 8192

_ONE_MICROSECOND = datetime.timedelta(microseconds=1)


class BadValueError(ValueError):
    """A key's value is not what its VR and matching allow; the text completes "(gggg,eeee) ..."."""


@dataclass(frozen=True, slots=True)
class Span(Generic[T]):
    """From ``low`` to ``high``, both included; None is no bound. ``ranged`` tells a range from a single value."""

    low: T | None
    high: T | None
    ranged: bool


def is_universal(value: str) -> bool:
    """Whether a value matches everything: it is empty, or `*` (PS3.4 §C.2.2.2.3 and §C.2.2.2.4)."""
    return not value.strip("*")


def texts(text: str, *, multiple: bool = True, capitals: bool = False) -> tuple[str, ...]:
    """Return the values to match, in the form in which values are stored; none when the key is universal.

    Any of them may match. A universal one among them makes the whole key so; empty ones between others say nothing.
    """
    if len(text) > MAX_LENGTH:
        raise BadValueError("is too long")
    parts = text.split("\\") if multiple else [text]
    found = [unicodedata.normalize("NFC", part).strip("\0 ") for part in parts]
    if len(found) > MAX_VALUES:
        raise BadValueError(f"has more than {MAX_VALUES} values")
    found = [part for part in found if part]
    if any("\0" in part for part in found):
        raise BadValueError("holds a null character")
    if any(is_universal(part) for part in found):
        return ()
    return tuple(dict.fromkeys(part.upper() if capitals else part for part in found))


def uids(text: str) -> tuple[str, ...]:
    """Return the UIDs of a list of UID (PS3.4 §C.2.2.2.2)."""
    found = texts(text)
    if not all(re.fullmatch(r"[0-9.]{1,64}", uid) for uid in found):
        raise BadValueError("is not a list of UIDs")
    return found


def has_wildcard(value: str) -> bool:
    """Whether a value is a pattern."""
    return "*" in value or "?" in value


def are_anchored(values: tuple[str, ...]) -> bool:
    """Whether every value, and every component group in it, begins with at least two characters that are given."""
    groups = [group for value in values for group in value.split("=") if group]
    return bool(groups) and all(re.match(r"[^*?]{2}", group) for group in groups)


def dates(text: str) -> tuple[Span[datetime.date], ...]:
    """Return the spans of a DA key: single values, ranges, or none."""
    return _spans(text, _date, "is not a date or a range of dates")


def times(text: str) -> tuple[Span[datetime.time], ...]:
    """Return the spans of a TM key. A value of lower precision stands for all of that hour, minute or second."""
    return _spans(text, _time, "is not a time or a range of times")


def _spans(text: str, parse: Callable[[str], tuple[T, T]], wrong: str) -> tuple[Span[T], ...]:
    found: list[Span[T]] = []
    for value in texts(text):
        first, dash, last = (part.strip() for part in value.partition("-"))
        try:
            if not dash:
                low, high = parse(first)
                found.append(Span(low, high, ranged=False))
            elif not first and not last:
                raise ValueError
            else:
                found.append(Span(parse(first)[0] if first else None, parse(last)[1] if last else None, ranged=True))
        except ValueError:
            raise BadValueError(wrong) from None
    return tuple(found)


def _date(text: str) -> tuple[datetime.date, datetime.date]:
    # The dotted form is ACR-NEMA's, still to be understood (PS3.5 §6.2, DA).
    if not re.fullmatch(r"[0-9]{8}|[0-9]{4}\.[0-9]{2}\.[0-9]{2}", text):
        raise ValueError
    date = datetime.datetime.strptime(text.replace(".", ""), "%Y%m%d").date()  # noqa: DTZ007 - a date has no zone
    return date, date


_TIME = re.compile(r"([0-9]{2})(?::?([0-9]{2})(?::?([0-9]{2})(?:\.([0-9]{1,6}))?)?)?")


def _time(text: str) -> tuple[datetime.time, datetime.time]:
    match = _TIME.fullmatch(text)
    if not match:
        raise ValueError
    hour, minute, second, fraction = match.groups()
    # A leap second is the last second of its minute here: the worklist has no 60th.
    low_second = min(int(second), 59) if second and int(second) <= 60 else int(second or 0)
    low = datetime.time(int(hour), int(minute or 0), low_second, int((fraction or "").ljust(6, "0")))
    high = datetime.time(
        low.hour,
        low.minute if minute else 59,
        low.second if second else 59,
        int((fraction or "").ljust(6, "9")),
    )
    return low, high


def offset(text: str) -> datetime.timedelta | None:
    """Return what Timezone Offset From UTC (0008,0201) says, or None when it is empty (PS3.3 §C.12.1.1.8)."""
    text = text.strip("\0 ")
    if not text:
        return None
    match = re.fullmatch(r"([+-])([0-9]{2})([0-5][0-9])", text)
    if not match:
        raise BadValueError("is not an offset such as +0100")
    size = datetime.timedelta(hours=int(match[2]), minutes=int(match[3]))
    signed = -size if match[1] == "-" else size
    if not datetime.timedelta(hours=-12) <= signed <= datetime.timedelta(hours=14):
        raise BadValueError("is not between -1200 and +1400")
    return signed


def name_groups(value: str) -> tuple[str, ...]:
    """Return the component groups of a PN value that are to be matched; the text is not normalised yet."""
    groups = value.split("=")
    if len(groups) > 3:
        raise BadValueError("has more than three component groups")
    return tuple(groups)


def name_patterns(group: str, *, folded: bool = False) -> tuple[str, ...]:
    """Return the patterns of which a stored name group must match one; none when the group is universal.

    Stored keys end with their last component that has a value, and a missing component is an empty one. So `DOE^*` has
    to find `doe` as well, which stands for `doe^^^^`: where a pattern ends in `^*`, the name may end before it.
    """
    pattern = re.sub(r"\*+", "*", names.folded(group) if folded else names.key(group))
    found: list[str] = []
    while True:
        pattern = pattern.rstrip("^")
        if is_universal(pattern):
            # `*^*` says that there may be a second component.
            return () if not found or pattern else tuple(found)
        found.append(pattern)
        if not pattern.endswith("^*"):
            return tuple(found)
        pattern = pattern.removesuffix("^*")


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Return the pattern for matching in memory."""
    parts = (".*" if sign == "*" else "." if sign == "?" else re.escape(sign) for sign in re.sub(r"\*+", "*", pattern))
    return re.compile("".join(parts), re.DOTALL)

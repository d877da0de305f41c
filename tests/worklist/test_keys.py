"""What the text of a key asks for."""

from __future__ import annotations

import datetime

import pytest

from mwl_admin.worklist import keys
from mwl_admin.worklist.keys import BadValueError

t = datetime.time


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("10", t(10), t(10, 59, 59, 999999)),
        ("1030", t(10, 30), t(10, 30, 59, 999999)),
        ("103000", t(10, 30), t(10, 30, 0, 999999)),
        ("103000.5", t(10, 30, 0, 500000), t(10, 30, 0, 599999)),
        ("103000.123456", t(10, 30, 0, 123456), t(10, 30, 0, 123456)),
        ("10:30", t(10, 30), t(10, 30, 59, 999999)),
        ("235960", t(23, 59, 59), t(23, 59, 59, 999999)),
        ("10-12", t(10), t(12, 59, 59, 999999)),
        ("-1200", None, t(12, 0, 59, 999999)),
        ("1200 - ", t(12), None),
    ],
)
def test_times_of_any_precision(text: str, low: datetime.time | None, high: datetime.time | None) -> None:
    (span,) = keys.times(text)
    assert (span.low, span.high) == (low, high)


@pytest.mark.parametrize("text", ["", " ", "*", "**", "\\", "20260504\\*"])
def test_what_is_universal_asks_for_nothing(text: str) -> None:
    assert keys.dates(text) == ()


def test_dates_and_ranges_of_dates() -> None:
    day = datetime.date(2026, 5, 4)
    assert keys.dates("20260504") == (keys.Span(day, day, ranged=False),)
    assert keys.dates("2026.05.04 ") == keys.dates("20260504")
    assert keys.dates("20260504-") == (keys.Span(day, None, ranged=True),)
    assert keys.dates("-20260504") == (keys.Span(None, day, ranged=True),)
    assert len(keys.dates("20260504\\20260506")) == 2


@pytest.mark.parametrize(
    "text", ["2026", "20261301", "20260230", "-", "20260504-20260505-20260506", "today", "2026050?"]
)
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(BadValueError, match="is not a date or a range of dates"):
        keys.dates(text)


@pytest.mark.parametrize("text", ["25", "1", "103", "1060", "10300", "103061", "10.5", "-"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(BadValueError, match="is not a time or a range of times"):
        keys.times(text)


def test_texts_are_normalised_as_stored_values_are() -> None:
    assert keys.texts(" MU\u0308LLER \\ A  B \\\\") == ("MÜLLER", "A  B")
    assert keys.texts("ct\\mr", capitals=True) == ("CT", "MR")
    assert keys.texts("P1\0") == ("P1",)


@pytest.mark.parametrize("text", ["P\0001", "x" * 9000, "\\".join(map(str, range(1500)))])
def test_texts_that_no_database_should_see_are_refused(text: str) -> None:
    with pytest.raises(BadValueError):
        keys.texts(text)


def test_a_list_of_uids_holds_only_uids() -> None:
    assert keys.uids("1.2.3\0") == ("1.2.3",)
    assert keys.uids("1.2\\1.3") == ("1.2", "1.3")
    assert keys.uids("*") == ()
    with pytest.raises(BadValueError, match="is not a list of UIDs"):
        keys.uids("1.2.*")


@pytest.mark.parametrize(
    ("group", "patterns"),
    [
        ("Smith", ("smith",)),
        ("Smith^^^", ("smith",)),
        ("SMITH*", ("smith*",)),
        ("Smith^*", ("smith^*", "smith")),
        ("Smith^J*^*", ("smith^j*^*", "smith^j*")),
        ("Smith^*^*", ("smith^*^*", "smith^*", "smith")),
        ("*", ()),
        ("*^*", ()),
        ("^", ()),
        ("^John", ("^john",)),
        ("STRASSE*", ("strasse*",)),
    ],
)
def test_a_missing_component_of_a_name_is_an_empty_one(group: str, patterns: tuple[str, ...]) -> None:
    assert keys.name_patterns(group) == patterns


def test_accents_fold_on_request() -> None:
    assert keys.name_patterns("MÜLLER*", folded=True) == ("muller*",)


@pytest.mark.parametrize(("text", "minutes"), [("+0100", 60), ("-0330", -210), ("+0000", 0)])
def test_offsets_from_utc(text: str, minutes: int) -> None:
    assert keys.offset(text) == datetime.timedelta(minutes=minutes)


@pytest.mark.parametrize("text", ["0100", "+25", "+1500", "UTC"])
def test_what_is_no_offset_is_refused(text: str) -> None:
    with pytest.raises(BadValueError):
        keys.offset(text)

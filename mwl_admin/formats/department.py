"""How the department writes dates (setting ``DATE_STYLE``), with the clock of a timetable: 14:05 rather than 2:05 p.m.

The formats of every language are these; what a language writes otherwise its own module says after them.
"""

from django.conf import settings

# Each style with the whole date in words, the date, the date of a weekday, that without its year, and the day alone.
_WORDS = {
    "d/m/Y": ("l j F Y", "j M Y", "D j M Y", "D j M", "j F"),
    "d.m.Y": ("l j. F Y", "j. M Y", "D j. M Y", "D j. M", "j. F"),
    "m/d/Y": ("l, F j, Y", "M j, Y", "D, M j, Y", "D, M j", "F j"),
    "Y-m-d": ("l Y-m-d", "Y-m-d", "D Y-m-d", "D m-d", "m-d"),
}
# As people type between two phone calls; the first of each is how a form shows the value, so it must lose nothing.
_TYPED = {
    "d/m/Y": ["%d/%m/%Y", "%d/%m/%y", "%d.%m.%Y", "%d%m%Y"],
    "d.m.Y": ["%d.%m.%Y", "%d.%m.%y", "%d/%m/%Y", "%d%m%Y"],
    "m/d/Y": ["%m/%d/%Y", "%m/%d/%y", "%m%d%Y"],
    "Y-m-d": ["%Y-%m-%d", "%d/%m/%Y", "%d.%m.%Y", "%d%m%Y"],
}

LONG_DATE_FORMAT, DATE_FORMAT, WEEKDAY_DATE_FORMAT, SHORT_WEEKDAY_DATE_FORMAT, MONTH_DAY_FORMAT = _WORDS[
    settings.DATE_STYLE
]
YEAR_MONTH_FORMAT = "Y-m" if settings.DATE_STYLE == "Y-m-d" else "F Y"
# Names that Django knows.
DATETIME_FORMAT = f"{DATE_FORMAT}, H:i"
TIME_FORMAT = "H:i"
SHORT_DATE_FORMAT = settings.DATE_STYLE
SHORT_DATETIME_FORMAT = f"{settings.DATE_STYLE} H:i"
DATE_INPUT_FORMATS = _TYPED[settings.DATE_STYLE]
TIME_INPUT_FORMATS = ["%H:%M:%S", "%H:%M:%S.%f", "%H:%M", "%H.%M", "%H%M"]

# Names of our own.
WEEKDAY_DATETIME_FORMAT = f"{WEEKDAY_DATE_FORMAT}, H:i"
WEEKDAY_DATETIME_SECONDS_FORMAT = f"{WEEKDAY_DATE_FORMAT}, H:i:s"
SHORT_WEEKDAY_DATETIME_FORMAT = f"{SHORT_WEEKDAY_DATE_FORMAT}, H:i"

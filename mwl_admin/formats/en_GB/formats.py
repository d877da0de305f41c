"""British, with the clock of a timetable: 14:05 rather than 2:05 p.m."""

from django.conf import settings

TIME_FORMAT = "H:i"
DATETIME_FORMAT = "j M Y, H:i"
# As people type between two phone calls; the first of each is how a form shows the value, so it must lose nothing.
_STYLES = {
    "d/m/Y": ["%d/%m/%Y", "%d/%m/%y", "%d.%m.%Y", "%d%m%Y"],
    "d.m.Y": ["%d.%m.%Y", "%d.%m.%y", "%d/%m/%Y", "%d%m%Y"],
    "m/d/Y": ["%m/%d/%Y", "%m/%d/%y", "%m%d%Y"],
    "Y-m-d": ["%Y-%m-%d", "%d/%m/%Y", "%d.%m.%Y", "%d%m%Y"],
}
DATE_INPUT_FORMATS = _STYLES[settings.DATE_STYLE]
SHORT_DATE_FORMAT = settings.DATE_STYLE
TIME_INPUT_FORMATS = ["%H:%M:%S", "%H:%M:%S.%f", "%H:%M", "%H.%M", "%H%M"]
SHORT_DATETIME_FORMAT = f"{settings.DATE_STYLE} H:i"

"""British, with the clock of a timetable: 14:05 rather than 2:05 p.m."""

TIME_FORMAT = "H:i"
DATETIME_FORMAT = "j M Y, H:i"
# As people type between two phone calls; the first of each is how a form shows the value, so it must lose nothing.
DATE_INPUT_FORMATS = ["%d/%m/%Y", "%d/%m/%y", "%d.%m.%Y", "%d%m%Y"]
TIME_INPUT_FORMATS = ["%H:%M:%S", "%H:%M:%S.%f", "%H:%M", "%H.%M", "%H%M"]
SHORT_DATETIME_FORMAT = "d/m/Y H:i"

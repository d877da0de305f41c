"""British, with the clock of a timetable: 14:05 rather than 2:05 p.m."""

TIME_FORMAT = "H:i"
DATETIME_FORMAT = "j M Y, H:i"
SHORT_DATETIME_FORMAT = "d/m/Y H:i"

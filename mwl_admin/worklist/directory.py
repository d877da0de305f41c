"""The department's stations as one query sees them: few, so they are read whole and compared in memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from mwl_admin.models import Station
from mwl_admin.models.prepared import Prepared


@dataclass(frozen=True, slots=True)
class StationEntry:
    """A station, and its profile: what its stack cannot do (windows in days and hours; None is no limit)."""

    pk: int
    ae_title: str
    station_name: str = ""
    location: str = ""
    modality: str = ""
    enabled: bool = True
    expected_addresses: str = ""
    response_character_set: str = "ISO_IR 192"
    station_ae_key: str = "USE"
    days_back: int | None = None
    days_ahead: int | None = None
    hours_back: int | None = None
    hours_ahead: int | None = None
    maximum_matches: int | None = None
    omitted_when_empty: frozenset[str] = field(default_factory=frozenset)
    transliterate_names: bool = False

    def expects(self, address: str) -> bool:
        """Whether the station may call from this IP address."""
        return Station(expected_addresses=self.expected_addresses).expects(address)


_COLUMNS = tuple(name for name in StationEntry.__slots__ if name != "omitted_when_empty")
_STATIONS = Prepared(lambda: Station.objects.order_by().values_list(*_COLUMNS, "omitted_when_empty"))


class Directory:
    """All stations, by what a query needs to find them by; in the order of their AE titles."""

    def __init__(self, stations: Iterable[StationEntry]) -> None:
        self.stations = tuple(sorted(stations, key=lambda station: station.ae_title))
        self._by_pk = {station.pk: station for station in self.stations}
        self._by_title = {station.ae_title: station for station in self.stations}
        self._by_ids: dict[str, Sequence[StationEntry]] = {}
        self._of_modality: dict[str, Sequence[StationEntry]] = {}

    @classmethod
    def read(cls) -> Directory:
        """Read the stations from the database."""
        return cls(
            StationEntry(**dict(zip(_COLUMNS, row[:-1], strict=True)), omitted_when_empty=frozenset(row[-1] or ()))
            for row in _STATIONS.rows()
        )

    def find(self, ae_title: str) -> StationEntry | None:
        """Return the station with this AE title; leading and trailing spaces mean nothing (PS3.5 §6.2)."""
        return self._by_title.get(ae_title.strip(" "))

    def by_ids(self, ids: str) -> Sequence[StationEntry]:
        """Return the stations whose primary keys stand in ``ids``, joined by commas."""
        found = self._by_ids.get(ids)
        if found is None:
            wanted = {int(pk) for pk in ids.split(",")}
            found = tuple(station for station in self.stations if station.pk in wanted)
            self._by_ids[ids] = found
        return found

    def of_modality(self, modality: str) -> Sequence[StationEntry]:
        """Return the stations of a modality that are switched on."""
        found = self._of_modality.get(modality)
        if found is None:
            found = tuple(station for station in self.stations if station.enabled and station.modality == modality)
            self._of_modality[modality] = found
        return found

"""Stations at work: each takes entries off the worklist and lives through their examinations."""

from __future__ import annotations

import datetime
import itertools
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from pydicom import Dataset

from dicom_encoding import uids
from simulator.account import Account
from simulator.examination import Examination, faults, is_synthetic, key, new_uid, start, step_of, walk_in
from simulator.images import MODALITIES, image, sop_class_of
from simulator.network import DimseAnswer, NoAnswerError, NotOfferedError, Results, Scanner, ServiceAddress
from simulator.profiles import Profile


@dataclass(frozen=True, slots=True)
class ScannerIdentity:
    """A scanner: who it is, and how it asks."""

    ae_title: str
    profile: Profile
    modality: str


@dataclass(frozen=True, slots=True)
class SimulationPlan:
    """What is to be done. A peer that is None is left out. ``rate`` is images a second, 0 as fast as it goes.

    Entries of patients who are not invented are left alone unless ``any_patient``; a query alone touches none.
    """

    worklist: ServiceAddress | None
    performed_steps: ServiceAddress | None
    receiver: ServiceAddress | None
    day: datetime.date
    images: int = 0
    size: int | None = None
    rate: float = 0.0
    pause: float = 0.0
    discontinue: bool = False
    unscheduled: bool = False
    loop: bool = False
    commit_seconds: float = 15.0
    listen: int | None = None
    accession_number: str = ""
    query_only: bool = False
    any_patient: bool = False

    @property
    def touches(self) -> bool:
        """Whether anything is reported or stored under the patient of an entry."""
        return self.performed_steps is not None or self.receiver is not None


@dataclass(slots=True)
class Department:
    """Several stations that work at once, in one room: none takes what another has taken."""

    plan: SimulationPlan
    account: Account
    stopping: threading.Event = field(default_factory=threading.Event)
    _taken: set[tuple[str, str]] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _walk_ins: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    _results: Results = field(default_factory=Results)

    def work(self, stations: list[ScannerIdentity]) -> None:
        """Let all stations work until each is done."""
        if self.plan.listen is not None:
            with self._results.listening(self.plan.listen):
                self._work(stations)
        else:
            self._work(stations)

    def _work(self, stations: list[ScannerIdentity]) -> None:
        with ThreadPoolExecutor(len(stations)) as pool:
            running = [pool.submit(self._station, station) for station in stations]
            try:
                for done in running:
                    done.result()
            except KeyboardInterrupt:
                self.stopping.set()
                raise

    def _station(self, station: ScannerIdentity) -> None:
        scanner = Scanner(station.ae_title, self._results)
        while not self.stopping.is_set():
            try:
                if self.plan.query_only:
                    self._ask(station, scanner)
                    return
                entry = self._next(station, scanner)
                if entry is None:
                    return
                _Visit(self, station, scanner, entry).run()
            except NoAnswerError as error:
                self.account.say(station.ae_title, "stopped", str(error), good=False)
                return
            if not self.plan.loop or self.plan.unscheduled:
                return
            self.stopping.wait(self.plan.pause)

    def _next(self, station: ScannerIdentity, scanner: Scanner) -> Dataset | None:
        if self.plan.unscheduled or self.plan.worklist is None:
            return walk_in(next(self._walk_ins))
        with self.account.line(station.ae_title, "worklist") as line:
            entries, final = self._query(self.plan.worklist, station, scanner)
            wanted = [one for one in entries if self.plan.any_patient or not self.plan.touches or is_synthetic(one)]
            alone = len(entries) - len(wanted)
            entry = self._take(wanted, station)
            line.good = final.good and (entry is not None or (self.plan.loop and not alone))
            left = "" if entry is not None else ", none left to do"
            real = f", {alone} left alone: no synthetic patient (--any-patient takes them)" if alone else ""
            line.text = f"{final}: {_counted(entries)}{left}{real}"
        if entry is not None:
            self._tell(station, entry)
        return entry

    def _ask(self, station: ScannerIdentity, scanner: Scanner) -> None:
        """Tell what the worklist offers, and take nothing."""
        if self.plan.worklist is None:
            raise NoAnswerError("there is no worklist to query")
        with self.account.line(station.ae_title, "worklist") as line:
            entries, final = self._query(self.plan.worklist, station, scanner)
            line.good = final.good and (bool(entries) or not self.plan.accession_number)
            line.text = f"{final}: {_counted(entries)}"
        for entry in sorted(entries, key=start):
            self._tell(station, entry)

    def _query(
        self, worklist: ServiceAddress, station: ScannerIdentity, scanner: Scanner
    ) -> tuple[list[Dataset], DimseAnswer]:
        identifier = station.profile.identifier(station.ae_title, station.modality, self.plan.day)
        wanted = self.plan.accession_number
        if wanted:
            identifier.AccessionNumber = wanted
        found = scanner.query(worklist, identifier, station.profile.transfer_syntaxes)
        # a provider may know no such key, or take * and ? in it for wild cards
        entries = [one for one in found.entries if not wanted or one.get("AccessionNumber") == wanted]
        return entries, found.final

    def _take(self, entries: list[Dataset], station: ScannerIdentity) -> Dataset | None:
        """Take the first entry that nobody else here has, and that this station can make images for."""
        with self._lock:
            for entry in sorted(entries, key=start):
                if key(entry) not in self._taken and _modality(entry, station) in MODALITIES:
                    self._taken.add(key(entry))
                    return entry
        return None

    def _tell(self, station: ScannerIdentity, entry: Dataset) -> None:
        step = step_of(entry)
        parts = (
            str(entry.get("PatientName") or ""),
            str(entry.get("PatientID") or ""),
            str(entry.get("AccessionNumber") or ""),
            str(step.get("ScheduledProcedureStepDescription") or entry.get("RequestedProcedureDescription") or ""),
        )
        wrong = faults(entry)
        told = " · ".join(filter(None, parts))
        self.account.say(
            station.ae_title, "entry", told if not wrong else f"{told}: {', '.join(wrong)}", good=not wrong,
            accession_number=parts[2], step_id=key(entry)[1], faults=wrong,
        )  # fmt: skip


def _counted(entries: list[Dataset]) -> str:
    return "1 entry" if len(entries) == 1 else f"{len(entries)} entries"


def _modality(entry: Dataset, station: ScannerIdentity) -> str:
    return str(step_of(entry).get("Modality") or station.modality)


class _Visit:
    """One patient on one station."""

    def __init__(self, department: Department, station: ScannerIdentity, scanner: Scanner, entry: Dataset) -> None:
        self._department = department
        self._plan = department.plan
        self._account = department.account
        self._title = station.ae_title
        self._scanner = scanner
        if not uids.is_legal(str(entry.get("StudyInstanceUID") or "")):
            # What a scanner does when it gets none: its images belong to a study all the same.
            entry.StudyInstanceUID = new_uid()
        self._examination = Examination(entry, station.ae_title, _modality(entry, station), _now())
        self._total = self._plan.images or station.profile.images
        self._refused = 0

    def run(self) -> None:
        started = time.perf_counter()
        before = self._account.failures
        self._start()
        self._acquire()
        self._end()
        self._commit()
        self._account.examined()
        good = self._account.failures == before
        self._account.say(self._title, "done", "examination over", good=good, seconds=time.perf_counter() - started)

    def _start(self) -> None:
        if self._plan.performed_steps is None:
            return
        with self._account.line(self._title, "MPPS start") as line:
            answer = self._scanner.create_step(
                self._plan.performed_steps, self._examination.creation(), self._examination.mpps_uid
            )
            line.text, line.good = str(answer), answer.good

    def _acquire(self) -> None:
        receiver = self._plan.receiver
        if receiver is None:
            return
        examination = self._examination
        with self._account.line(self._title, "images") as line:
            started = time.perf_counter()
            size = 0

            def stored(one: Dataset, answer: DimseAnswer) -> None:
                nonlocal size
                if answer.good:
                    size += len(one.PixelData)
                    examination.images.append((str(one.SOPClassUID), str(one.SOPInstanceUID)))
                else:
                    self._refused += 1
                    line.text = f"; {answer}"

            try:
                self._scanner.store(receiver, sop_class_of(examination.modality), self._images(), stored)
            except NoAnswerError as error:
                line.good = False
                line.text = f"; {error}"
            line.good = line.good and not self._refused
            seconds = time.perf_counter() - started
            count = len(examination.images)
            rate = f"{count / seconds:,.1f} a second" if seconds else ""
            line.text = f"{count} {examination.modality} stored, {size / 1e6:,.1f} MB, {rate}{line.text}"

    def _images(self) -> Iterator[Dataset]:
        # A discontinued examination stops half-way.
        total = max(self._total // 2, 1) if self._plan.discontinue else self._total
        for number in range(1, total + 1):
            if self._department.stopping.is_set():
                return
            yield image(self._examination, number, self._total, size=self._plan.size)
            if self._plan.rate:
                self._department.stopping.wait(1 / self._plan.rate)

    def _end(self) -> None:
        if self._plan.performed_steps is None:
            return
        incomplete = self._plan.receiver is not None and len(self._examination.images) < self._total
        discontinued = self._plan.discontinue or incomplete
        with self._account.line(self._title, "MPPS end") as line:
            ending = self._examination.ending(_now(), discontinued=discontinued)
            answer = self._scanner.set_step(self._plan.performed_steps, ending, self._examination.mpps_uid)
            line.text = f"{'DISCONTINUED' if discontinued else 'COMPLETED'}: {answer}"
            line.good = answer.good

    def _commit(self) -> None:
        images = self._examination.images
        if self._plan.receiver is None or not images or self._plan.commit_seconds == 0:
            return
        with self._account.line(self._title, "commitment") as line:
            try:
                answer, result = self._scanner.commit(self._plan.receiver, images, self._plan.commit_seconds)
            except NotOfferedError:
                line.text = "not offered by the receiver"
                return
            if not answer.good:
                line.text, line.good = str(answer), False
            elif result is None:
                line.text = f"no result within {self._plan.commit_seconds:g} s"
                line.good = False
            else:
                line.text = f"{result.committed} of {len(images)} are safe at the receiver"
                line.good = result.committed == len(images) and not result.failed


def _now() -> datetime.datetime:
    # A scanner's clock shows local time, and its images carry it (PS3.3 §C.12.1.1.8).
    return datetime.datetime.now().astimezone().replace(tzinfo=None)

"""No patient is named in any log line of any process, whatever is done, and whatever goes wrong."""

from __future__ import annotations

import logging
import socket
import sqlite3
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
import requests
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from gateway_settings.log import JsonFormatter, TextFormatter
from tests.acceptance.embedded import Embedded, end
from tests.clients import dcmtk
from tests.clients.site import Site
from tests.mpps.scu import changes, creation, final, modality, unscheduled
from tests.pacs_receiver.images import image, uid
from tests.processes import PASSWORD, ROOT

pytestmark = [pytest.mark.requires_component("dcmtk"), pytest.mark.timeout(600)]

PATIENT_ID, ACCESSION, FAMILY, GIVEN = "QQX-77341", "ZZV-99173", "Quaggenheim", "Zorvina"
BORN = {"1931-07-19", "19310719", "19/07/1931", "19.07.1931", "07/19/1931", "19 Jul 1931"}
NAMES = {FAMILY, GIVEN, f"{FAMILY}^{GIVEN}", f"{FAMILY}, {GIVEN}"}
SECRETS = {PATIENT_ID, ACCESSION, *NAMES, *BORN, "hunter2-was-typed"}
"""What stands in no line: what the cast of this walk is called, and a password that somebody typed."""

WORKLIST = "/api/worklist/"
EVENTS = (
    "Not Found: -", "Method Not Allowed: /api/worklist/<path:accession_number>", "Internal Server Error: /today/",
    "/admin/mwl_admin/patient/<path:object_id>/change/", "api request", "OperationalError", "Traceback",
    "DisallowedHost",
    "worklist query answered", "worklist query refused", "worklist query failed", "performed procedure step created",
    "performed procedure step refused", "an instance came again with different bytes", "refused an instance",
    "the index did not take a row",
)  # fmt: skip
"""What went right and wrong in the walk, as the log tells it."""


def entry(**values: object) -> dict[str, object]:
    return {
        "AccessionNumber": ACCESSION,
        "PatientID": PATIENT_ID,
        "PatientName": f"{FAMILY}^{GIVEN}",
        "PatientBirthDate": "19310719",
        "PatientSex": "F",
        "RequestedProcedureDescription": "CT thorax",
        "ScheduledProcedureStepSequence": [
            {
                "Modality": "CT",
                "ScheduledProcedureStepStartDate": "20300504",
                "ScheduledProcedureStepStartTime": "0900",
                "ScheduledProcedureStepDescription": "CT thorax",
            }
        ],
        **values,
    }


class Walk:
    """What people, systems and modalities do in a day, rightly and wrongly, about one patient."""

    def __init__(self, system: Embedded, folder: Path) -> None:
        self._parts = system.parts
        self._folder = folder
        self.url = system.parts.web_url
        self._token = system.parts.manage("api_token", "make", "RIS", "--write").split()[-1]
        self.answers: set[int] = set()

    def all(self) -> None:
        self.api()
        self.staff()
        self.strangers()
        self.queries()
        with warnings.catch_warnings():
            # what is sent is wrong on purpose
            warnings.simplefilter("ignore")
            self.reports()
            self.images()
            self.with_broken_databases()

    def call(self, method: str, path: str, **options: object) -> None:
        headers = {"Authorization": f"Bearer {self._token}"}
        given: dict[str, object] = {"headers": headers, "timeout": 60, **options}
        self.answers.add(requests.request(method, self.url + path, **given).status_code)  # type: ignore[arg-type]

    def api(self) -> None:
        one = f"{WORKLIST}{ACCESSION}"
        self.call("POST", WORKLIST, json=entry())
        self.call("POST", WORKLIST, json=entry())  # is there already
        self.call("POST", WORKLIST, json=entry(AccessionNumber=f"{ACCESSION}-2", PatientName="Other^One"))
        self.call("POST", WORKLIST, json=entry(PatientBirthDate="1931-07-19x", PatientID=f"{PATIENT_ID}\\x"))
        self.call("POST", WORKLIST, data=f'{{"PatientID": "{PATIENT_ID}", "PatientName"')
        for method in ("GET", "PUT", "PATCH", "POST", "OPTIONS", "TRACE"):
            self.call(method, one, json=entry() if method in {"PUT", "PATCH"} else None)
        for path in (
            f"{one}-none",
            f"{one}/",
            f"{one}%20x",
            f"{WORKLIST}?patient_id={PATIENT_ID}&limit=x",
            f"{one}?x={FAMILY}",
        ):
            self.call("GET", path)
        self.call("GET", one, headers={"Authorization": "Bearer gw_wrong"})
        self.call("GET", one, headers={"Authorization": f"Bearer {self._token}", "Host": "nobody.example"})
        self.call("PUT", one, json=entry(), headers={"Authorization": f"Bearer {self._token}", "If-Match": '"x"'})
        steps = "/dicom-web/modality-scheduled-procedure-steps"
        self.call("GET", f"{steps}?PatientID={PATIENT_ID}&PatientName={FAMILY}*")
        self.call("GET", f"{steps}?PatientBirthDate={FAMILY}&00100020={PATIENT_ID}")
        self.call("DELETE", f"{one}?reason={FAMILY}")

    def staff(self) -> None:
        site = Site(self.url, PASSWORD)
        site.add_station(ae_title="CT1", station_name="CT room 1", modality="CT")
        for path in (
            f"/today/?q={FAMILY}&day=2030-05-04",
            f"/entry/similar/?family_name={FAMILY}",
            f"/admin/mwl_admin/patient/?q={PATIENT_ID}",
            f"/admin/mwl_admin/requestedprocedure/?q={ACCESSION}",
            f"/admin/mwl_admin/patient/{PATIENT_ID}/change/",
            f"/admin/search/?s={FAMILY}",
            f"/patients/{PATIENT_ID}/merge/",
            f"/{FAMILY}/{ACCESSION}",
            f"/static/{PATIENT_ID}.js",
        ):
            self.answers.add(site.session.get(self.url + path, timeout=60).status_code)
        with pytest.raises(ValueError, match=r"."):
            site.add_entry(new_family_name=FAMILY, new_patient_id=PATIENT_ID, new_patient_birth_date="1931-07-19")
        page = "/admin/mwl_admin/requestedprocedure/import/"
        rows = f"Patient ID;Name;Birth date;Accession number\n{PATIENT_ID};{FAMILY}^{GIVEN};19/07/1931x;{ACCESSION}\n"
        for content in (rows, "\x00" + rows):
            sent = {"csrfmiddlewaretoken": site.session.cookies["csrftoken"], "format": "0"}
            files = {"import_file": (f"{FAMILY}.csv", content)}
            answer = site.session.post(self.url + page, data=sent, files=files, headers={"Referer": self.url + page})
            self.answers.add(answer.status_code)
        # without the token of the form
        self.answers.add(site.session.post(f"{self.url}/admin/mwl_admin/patient/{PATIENT_ID}/change/").status_code)

    def strangers(self) -> None:
        with requests.Session() as session:
            session.get(f"{self.url}/admin/login/", timeout=60)
            form = {
                "username": "rita",
                "password": "hunter2-was-typed",
                "csrfmiddlewaretoken": session.cookies["csrftoken"],
            }
            for _ in range(2):
                session.post(f"{self.url}/admin/login/?next=/{ACCESSION}", data=form, timeout=60)
        self.call("GET", f"/{FAMILY}", headers={"Referer": f"http://x/{PATIENT_ID}", "User-Agent": GIVEN})
        self.call("POST", "/admin/login/", data=b"x" * 70_000, headers={"Cookie": f"sessionid={PATIENT_ID}"})
        for line in (
            f"GET /api/worklist/{ACCESSION} {FAMILY} HTTP/1.1",
            f"GET /{FAMILY} HTTP/9.9",
            f"G^T /{ACCESSION} HTTP/1.1",
        ):
            self.raw(f"{line}\r\nHost: localhost\r\n\r\n")
        self.raw(f"GET / HTTP/1.1\r\nHost: localhost\r\n{FAMILY} {PATIENT_ID}: {ACCESSION}\r\n\r\n")

    def raw(self, request: str) -> None:
        with socket.create_connection(("127.0.0.1", self._parts.web_port), timeout=30) as sock:
            sock.sendall(request.encode())
            while sock.recv(65536):
                pass

    def queries(self) -> None:
        self.find("AccessionNumber", f"PatientID={PATIENT_ID}", f"PatientName={FAMILY}*")
        self.find(f"PatientID={PATIENT_ID}", calling="STRANGER")
        step = "(0040,0100)[0]"
        for wrong in (
            f"PatientBirthDate={FAMILY}",
            f"PatientBirthDate=19310719-{FAMILY}",
            f"StudyInstanceUID={ACCESSION}",
            f"{step}.ScheduledProcedureStepStartDate={PATIENT_ID}",
            f"{step}.ScheduledProcedureStepStartTime={PATIENT_ID}",
            f"PatientSex={FAMILY}",
            f"TimezoneOffsetFromUTC={ACCESSION}",
        ):
            self.find(wrong)

    def find(self, *keys: str, calling: str = "CT1") -> None:
        words = [word for key in keys for word in ("-k", key)]
        dcmtk.run("findscu", "-W", "-aet", calling, *words, "127.0.0.1", str(self._parts.mwl_port))

    def reports(self) -> None:
        person = {"PatientID": PATIENT_ID, "PatientName": f"{FAMILY}^{GIVEN}", "PatientBirthDate": "19310719"}
        linked = unscheduled(**person)
        linked.ScheduledStepAttributesSequence[0].AccessionNumber = ACCESSION
        with modality(self._parts.mwl_port) as ct:
            mine = uid()
            ct.create(linked, mine)
            ct.create(linked, mine)
            ct.create(
                creation(**{**person, "PatientBirthDate": "1931x0719", "PerformedProcedureStepStatus": FAMILY.upper()}),
                uid(),
            )
            ct.create(creation(**{**person, "Modality": None, "PerformedProcedureStepID": None}), uid())
            ct.create(creation(**{**person, "PatientName": "Somebody^Else"}), f"{uid()}")
            ct.set(changes(PatientID=PATIENT_ID, PatientName=FAMILY), mine)
            ct.set(final("COMPLETED"), mine)
            ct.set(final("COMPLETED", PerformedProcedureStepDescription=FAMILY), mine)
            ct.set(final("COMPLETED"), uid())

    def images(self) -> None:
        study, instance = uid(), uid()
        for number, values in enumerate((
            {}, {"StudyDescription": FAMILY}, {"PatientID": f"{PATIENT_ID}-2", "PatientName": "Else^Somebody"},
            {"StudyInstanceUID": "1.2.x"}, {"StudyInstanceUID": ACCESSION}, {"PatientBirthDate": FAMILY},
        )):  # fmt: skip
            ds = self._image(study, instance if number < 3 else uid(), values)
            ds.save_as(self._folder / f"{number}.dcm", enforce_file_format=True)
            dcmtk.store(self._parts.pacs_port, self._folder / f"{number}.dcm", calling="CT1")

    def _image(self, study: str, instance: str, values: dict[str, str]) -> Dataset:
        ds = image(study=study, instance=instance)
        ds.PatientID, ds.PatientName, ds.PatientBirthDate = PATIENT_ID, f"{FAMILY}^{GIVEN}", "19310719"
        ds.AccessionNumber = ACCESSION
        for keyword, value in values.items():
            setattr(ds, keyword, value)
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        return ds

    def with_broken_databases(self) -> None:
        """What no handler expects: each process fails in the middle of its work."""
        with without_table(self._parts.data_dir / "worklist.sqlite3", "mwl_admin_requestedprocedure"):
            self.call("GET", f"{WORKLIST}{ACCESSION}")
            self.call("PUT", f"{WORKLIST}{ACCESSION}", json=entry())
            site = Site(self.url, PASSWORD)
            self.answers.add(site.session.get(f"{self.url}/today/?q={FAMILY}", timeout=60).status_code)
            self.find(f"PatientID={PATIENT_ID}", f"PatientName={FAMILY}*")
            with modality(self._parts.mwl_port) as ct:
                ct.create(unscheduled(PatientID=PATIENT_ID, PatientName=f"{FAMILY}^{GIVEN}"), uid())
        with without_table(self._parts.data_dir / "pacs" / "index.sqlite3", "instance"):
            dcmtk.store(self._parts.pacs_port, self._folder / "0.dcm", calling="CT1")


@contextmanager
def without_table(database: Path, table: str) -> Iterator[None]:
    with closing(sqlite3.connect(database, timeout=30)) as connection:
        connection.execute(f"ALTER TABLE {table} RENAME TO taken_away")
        try:
            yield
        finally:
            connection.execute(f"ALTER TABLE taken_away RENAME TO {table}")


@pytest.fixture(scope="module", params=["text", "json"])
def lines(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """What all processes said in a day."""
    folder = tmp_path_factory.mktemp(request.param)
    system = Embedded(folder, LOG_FORMAT=request.param, LOG_LEVEL="INFO", PACS_INDEX_RETRY_SECONDS="1",
                      PACS_STUDY_STABLE_SECONDS="1")  # fmt: skip
    try:
        system.start()
        walk = Walk(system, folder)
        walk.all()
        # or else the walk proved nothing
        assert walk.answers >= {200, 201, 400, 401, 403, 404, 405, 409, 412, 413, 422, 500}
        text = system.log_text()
        assert not [event for event in EVENTS if event not in text]
        yield text.splitlines()
    finally:
        end(system)


def told(line: str) -> set[str]:
    text = line.casefold()
    return {secret for secret in SECRETS if secret.casefold() in text or quote(secret).casefold() in text}


def test_no_line_of_any_process_names_a_patient(lines: list[str]) -> None:
    wrong = [line for line in lines if told(line)]
    assert not wrong, "\n".join(wrong)


def test_a_line_that_names_a_patient_is_found() -> None:
    assert told(f'"GET /api/worklist/{ACCESSION.lower()}" 404') == {ACCESSION}
    assert told(f"no such patient: {quote(f'{FAMILY}, {GIVEN}')}") >= {FAMILY, GIVEN}
    assert not told("api request client=RIS route=/api/worklist/<path:accession_number> status=404")


# --- exceptions


class _Odd(Exception):
    pass


def failing() -> None:
    try:
        try:
            int(PATIENT_ID)
        except ValueError as error:
            raise KeyError(ACCESSION) from error
    except KeyError:
        raise ExceptionGroup(GIVEN, [_Odd(FAMILY), ValueError(GIVEN)])  # noqa: B904 - the context is told too


@pytest.mark.parametrize(
    "formatter",
    [TextFormatter(), JsonFormatter()],
)
def test_exceptions_are_told_without_their_texts(formatter: logging.Formatter) -> None:
    try:
        failing()
    except ExceptionGroup:
        record = logging.LogRecord("x", logging.ERROR, __file__, 1, "it failed", (), sys.exc_info())
    line = formatter.format(record)
    assert not told(line)
    for name in ("ValueError", "KeyError", "ExceptionGroup", "_Odd", "in failing", Path(__file__).name, "it failed"):
        assert name in line
    record.levelno = logging.DEBUG
    assert told(formatter.format(record)) >= {PATIENT_ID, ACCESSION, FAMILY, GIVEN}


UNCAUGHT = """
import gc, logging, sys, threading
from gateway_settings import traces
logging.basicConfig(format="%(message)s", stream=sys.stderr)
class Plain(logging.Formatter):
    def format(self, record):
        return f"{record.getMessage()} {getattr(record, 'fields', '')}" + traces.format_exception(record, self)
logging.getLogger().handlers[0].setFormatter(Plain())
traces.install()
class Dying:
    def __del__(self):
        raise ValueError("QQX-77341")
def fail():
    raise ValueError("QQX-77341")
Dying()
thread = threading.Thread(target=fail, name="worker")
thread.start()
thread.join()
fail()
"""


def test_what_nobody_caught_is_told_without_its_text_too() -> None:
    done = subprocess.run([sys.executable, "-c", UNCAUGHT], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.count("ValueError") == 3
    assert "{'thread': 'worker'}" in done.stderr
    assert not told(done.stderr)

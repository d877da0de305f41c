"""What `make run` starts: one supervisor, three processes, one folder; it stops cleanly and loses nothing."""

from __future__ import annotations

import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pydicom
import pytest

from tests.acceptance.embedded import Embedded, end
from tests.cast import MUELLER_CT
from tests.clients import dcmtk
from tests.clients.site import Site
from tests.components import requires
from tests.ports import free_port
from tests.processes import PASSWORD, ROOT, clean_environment
from tests.waiting import wait_until

OWN_PASSWORD = "staple-9-elephant-moon"
IMAGE = Path(pydicom.__file__).parent / "data" / "test_files" / "CT_small.dcm"


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[Embedded]:
    """Not yet started."""
    made = Embedded(tmp_path)
    yield made
    end(made)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    """Started, and shared by the tests that leave it running."""
    made = Embedded(tmp_path_factory.mktemp("embedded"), PACS_STUDY_STABLE_SECONDS="1")
    try:
        made.start()
        yield made
    finally:
        end(made)


def left_over(data_dir: Path) -> list[psutil.Process]:
    """Return the processes that still run with this data directory."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("DATA_DIR") == str(data_dir) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def test_it_says_where_each_process_listens_and_how_to_try_it(running: Embedded) -> None:
    said = running.log_text()
    parts = running.parts
    assert f"http://127.0.0.1:{parts.web_port}/" in said
    assert f"MWL_SCP at 127.0.0.1:{parts.mwl_port}" in said
    assert f"PACS at 127.0.0.1:{parts.pacs_port}" in said
    assert f"echoscu -aec MWL_SCP 127.0.0.1 {parts.mwl_port}" in said
    assert str(parts.data_dir) in said
    assert "worklist and images: devices that are no stations are served too" in said
    assert PASSWORD not in said


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"MWL_BIND": "0.0.0.0:4243"}, "  open       images: devices"),
        ({"PACS_BIND": "0.0.0.0:4244"}, "  open       worklist: devices"),
        ({"MWL_BIND": "0.0.0.0:4243", "MWL_UNKNOWN_STATIONS": "all"}, "  open       worklist and images: devices"),
        ({"MWL_UNKNOWN_STATIONS": "none", "PACS_UNKNOWN_PEERS": "reject"}, ""),
    ],
)
def test_it_says_where_strangers_are_served(tmp_path: Path, settings: dict[str, str], said: str) -> None:
    code = "import embedded; print(embedded.announcement(embedded.read_settings()))"
    env = clean_environment({"DATA_DIR": str(tmp_path), **settings})
    run = subprocess.run(
        [sys.executable, "-c", code], env=env, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert said in run.stdout
    assert ("devices that are no stations" in run.stdout) is bool(said)


@pytest.mark.parametrize("name", ["mwl_admin", "mwl_scp", "pacs_receiver"])
def test_what_dies_is_started_again_and_the_others_are_left_alone(running: Embedded, name: str) -> None:
    before = running.wait_until_up()
    psutil.Process(before[name]).kill()
    wait_until(lambda: running.log_text().count(f"spawned: '{name}'") > 1, what=f"{name} was started again")
    after = running.wait_until_up()
    assert after.pop(name) != before.pop(name)
    assert after == before


def test_one_service_is_restarted_on_request(running: Embedded) -> None:
    before = running.wait_until_up()
    running.control("restart", "gateway:mwl_scp")
    after = running.wait_until_up()
    assert after.pop("mwl_scp") != before.pop("mwl_scp")
    assert after == before


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_everything_cleanly(embedded: Embedded, how: signal.Signals) -> None:
    embedded.start()
    assert left_over(embedded.parts.data_dir)
    psutil.Process(embedded.pid).send_signal(how)
    assert embedded.wait() == 0
    assert left_over(embedded.parts.data_dir) == []
    for line in ("mwl_admin", "mwl_scp", "pacs_receiver"):
        assert f"stopped: {line} (exit status 0)" in embedded.log_text()


def test_a_service_that_cannot_start_is_tried_again_until_it_can(embedded: Embedded) -> None:
    embedded.start()
    embedded.wait_until_up()
    embedded.control("stop", "gateway:pacs_receiver")
    with socket.create_server(("127.0.0.1", embedded.parts.pacs_port)):
        embedded.control("start", "gateway:pacs_receiver")
        # more failures than the supervisor would bear unless told otherwise
        wait_until(lambda: embedded.log_text().count("exited: pacs_receiver") > 3, timeout=60)
        assert embedded.parts.mwl_admin.is_healthy()
        assert embedded.parts.mwl_scp.is_healthy()
        assert not embedded.parts.pacs_receiver.is_healthy()
    embedded.wait_until_up()


def test_a_bad_setting_is_one_line_and_nothing_starts(tmp_path: Path) -> None:
    embedded = Embedded(tmp_path, PACS_BIND="everywhere")
    embedded.spawn()
    assert embedded.wait() == 2
    (line,) = embedded.log_text().splitlines()
    assert line.startswith("PACS_BIND: ")


def test_a_database_server_that_is_away_is_one_line_and_is_tried_again(tmp_path: Path) -> None:
    url = f"postgres://gateway:not-to-be-told@127.0.0.1:{free_port()}/worklist"
    embedded = Embedded(tmp_path, DATABASE_URL=url)
    embedded.spawn()
    try:
        wait_until(lambda: embedded.log_text().endswith("\n"), timeout=60, what="it says so")
        assert embedded.is_running()
        assert embedded.log_text() == (
            "DATABASE_URL: the database server can't be reached, it is tried again every 2 seconds\n"
        )
    finally:
        embedded.stop(timeout=60)


BINDS = ("WEB_BIND", "MWL_BIND", "PACS_BIND", "MWL_HEALTH_BIND", "PACS_HEALTH_BIND", "PACS_COMMAND_BIND")


@pytest.mark.parametrize("variable", BINDS)
def test_a_used_address_is_one_line_and_nothing_starts(tmp_path: Path, variable: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        embedded = Embedded(tmp_path, **{variable: address})
        embedded.spawn()
        assert embedded.wait() == 2
    assert embedded.log_text() == f"{variable}: cannot listen on {address}: Address already in use\n"
    assert not (embedded.parts.data_dir / "worklist.sqlite3").exists()


def test_two_settings_of_one_address_are_one_line(tmp_path: Path) -> None:
    embedded = Embedded(tmp_path)
    address = embedded.parts.env["MWL_BIND"]
    embedded._env = {**embedded._env, "PACS_BIND": address}
    embedded.spawn()
    assert embedded.wait() == 2
    assert embedded.log_text() == f"PACS_BIND: {address} is MWL_BIND already\n"


def test_the_site_alone_says_in_one_line_that_its_address_is_used(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        env = clean_environment({"DATA_DIR": str(tmp_path), "WEB_BIND": address})
        command = [sys.executable, "-m", "gunicorn", "--config", "python:mwl_admin.gunicorn"]
        ended = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[-1] == f"WEB_BIND: cannot listen on {address}: Address already in use"
    assert "Traceback" not in ended.stderr


def test_a_second_start_in_the_same_folder_says_that_it_runs_already(running: Embedded) -> None:
    before = running.wait_until_up()
    command = [sys.executable, str(ROOT / "embedded.py")]
    for _ in range(2):
        ended = subprocess.run(
            command, cwd=running.parts.data_dir.parent, env=dict(running.parts.env), capture_output=True, text=True,
            timeout=60, check=False,
        )  # fmt: skip
        assert ended.returncode == 3
        (line,) = ended.stderr.splitlines()
        assert line.startswith(f"Gateway runs already in {running.parts.data_dir}: ")
        assert f"http://127.0.0.1:{running.parts.web_port}/" in line
        assert not ended.stdout
    assert running.pids() == before


def test_paths_with_spaces_work(tmp_path: Path) -> None:
    folder = tmp_path / "the department's own folder"
    folder.mkdir()
    embedded = Embedded(folder, DATABASE_URL="", PACS_DATABASE_URL="", PACS_STORAGE_DIR="")
    data_dir = folder / "kept data"
    names = ("DATA_DIR", "DATABASE_URL", "PACS_DATABASE_URL", "PACS_STORAGE_DIR")
    embedded._env = {name: value for name, value in embedded._env.items() if name not in names}
    (folder / ".env").write_text(
        f"DATA_DIR={data_dir}\nDATABASE_URL=sqlite:///{data_dir}/work list.sqlite3\n"
        f"PACS_DATABASE_URL=sqlite:///{data_dir}/the index.sqlite3\nPACS_STORAGE_DIR={data_dir}/the images\n"
    )
    try:
        embedded.start()
        embedded.wait_until_up()
        assert dcmtk.store(embedded.parts.pacs_port, IMAGE).succeeded
        assert list((data_dir / "the images").rglob("*.dcm"))
        assert (data_dir / "work list.sqlite3").exists()
        assert (data_dir / "the index.sqlite3").exists()
    finally:
        end(embedded)


def test_the_first_password_is_in_a_file_for_its_owner_until_it_is_changed(tmp_path: Path) -> None:
    embedded = Embedded(tmp_path, DJANGO_SUPERUSER_PASSWORD="")
    try:
        embedded.start()
        file = embedded.parts.data_dir / "first_password"
        password = file.read_text().strip()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        site = Site(embedded.parts.web_url, password)
        assert site.get("/today/").url.endswith("/admin/password_change/")
        own = {"old_password": password, "new_password1": OWN_PASSWORD, "new_password2": OWN_PASSWORD}
        site.fill("/admin/password_change/", own)
        assert site.get("/today/").url.endswith("/today/")
        assert not file.exists()
        assert embedded.log_text().count(str(file)) == 2  # from the account's making, and from the banner
        assert embedded.stop(60) == 0
        embedded.start()
        Site(embedded.parts.web_url, OWN_PASSWORD)
        assert password not in embedded.log_text()
        assert embedded.log_text().count(str(file)) == 2
    finally:
        end(embedded)


@requires("dcmtk")
def test_the_site_hears_of_images_from_the_first_minute_without_a_hands_turn(running: Embedded) -> None:
    running.wait_until_up()
    assert dcmtk.store(running.parts.pacs_port, IMAGE).succeeded
    site = Site(running.parts.web_url, PASSWORD)
    listed = "/admin/mwl_admin/receivedstudy/"
    wait_until(lambda: "CompressedSamples" in site.get(listed).text, timeout=60, what="the notice is taken")


@requires("dcmtk")
def test_a_second_start_keeps_all_data(embedded: Embedded) -> None:
    embedded.start()
    parts = embedded.parts
    Site(parts.web_url, PASSWORD).add_entry(**MUELLER_CT.form())
    assert dcmtk.store(parts.pacs_port, IMAGE).succeeded
    assert embedded.stop(60) == 0

    embedded.start()
    (found,) = dcmtk.find(parts.mwl_port, ["PatientName", "AccessionNumber=A-5001"])
    assert str(found.PatientName) == "Müller^Änne"
    assert pydicom.dcmread(IMAGE).StudyInstanceUID in parts.pacs("list")
    Site(parts.web_url, PASSWORD)


def test_a_data_directory_with_a_long_path_works_too(tmp_path: Path) -> None:
    embedded = Embedded(tmp_path, DATA_DIR=str(tmp_path / ("d" * 100)))
    try:
        embedded.start()
        assert embedded.wait_until_up()
    finally:
        end(embedded)


def test_make_run_starts_the_same_and_passes_sigterm_on(embedded: Embedded) -> None:
    embedded._command = ["make", "-C", str(ROOT), "run", f"VENV={sys.prefix}"]
    embedded.start()
    assert wait_until(lambda: left_over(embedded.parts.data_dir))
    embedded.stop(60)
    assert wait_until(lambda: not left_over(embedded.parts.data_dir))
    assert "stopped: pacs_receiver (exit status 0)" in embedded.log_text()

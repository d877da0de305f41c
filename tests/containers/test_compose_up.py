"""compose.yaml built and run for real: the whole path through the published ports, one container at a time broken."""

from __future__ import annotations

import socket

import pydicom
import pytest
import requests

from tests.cast import CT1
from tests.clients import dcmtk
from tests.clients.compose import Project
from tests.components import requires
from tests.containers.images import IMAGE
from tests.waiting import wait_until

pytestmark = [pytest.mark.containers, pytest.mark.timeout(900), requires("docker", "dcmtk")]

SERVICES = ("mwl_admin", "mwl_scp", "pacs_receiver")
KEYS = ["PatientName", "PatientID", "AccessionNumber=A-5001", "ScheduledProcedureStepSequence[0].Modality=CT"]


def site_serves(project: Project) -> bool:
    # asked in its own network, so that the proxy plays no part
    ask = "from urllib.request import urlopen; print(urlopen('http://site:8000/admin/login/', timeout=10).status)"
    return project.elsewhere("front", ask).strip() == "200"


def proxy_serves(project: Project) -> bool:
    return (
        requests.get(f"{project.web_url}/admin/login/", timeout=10, verify=str(project.certificate)).status_code == 200
    )


def worklist_serves(project: Project) -> bool:
    (found,) = dcmtk.find(project.mwl_port, KEYS, calling=CT1.ae_title)
    return str(found.PatientName) == "Müller^Änne"


def receiver_serves(project: Project) -> bool:
    return dcmtk.store(project.pacs_port, IMAGE, calling=CT1.ae_title).succeeded


SERVES = {
    "mwl_admin": site_serves,
    "mwl_scp": worklist_serves,
    "pacs_receiver": receiver_serves,
    "proxy": proxy_serves,
}


def others_than(broken: str) -> list[str]:
    """Return who must go on: all but the broken one, and the proxy has nothing to serve without the site."""
    return [name for name in SERVES if name != broken and not (name == "proxy" and broken == "mwl_admin")]


def listed(project: Project) -> str:
    return project.execute("pacs_receiver", "python", "-m", "pacs_receiver", "list")


def test_an_entry_made_on_the_site_is_found_and_a_stored_image_is_listed(project: Project) -> None:
    assert worklist_serves(project)
    assert pydicom.dcmread(IMAGE).StudyInstanceUID in listed(project)


@pytest.mark.parametrize("broken", SERVES)
def test_the_others_serve_while_one_is_stopped_and_it_comes_back(project: Project, broken: str) -> None:
    project.compose("stop", broken)
    state = project.container(broken)["State"]
    assert state["ExitCode"] == 0, "stopped in order, not killed after its time"
    for other in others_than(broken):
        assert SERVES[other](project), other
    project.compose("start", broken)
    wait_until(lambda: project.is_healthy(broken), timeout=90)
    assert SERVES[broken](project)


@pytest.mark.parametrize("broken", SERVES)
def test_the_others_serve_while_one_is_killed_and_the_engine_restarts_it(project: Project, broken: str) -> None:
    # SIGKILL to the service itself, as when memory runs out; `docker kill` would count as a wish of the operator
    before = project.container(broken)
    main = project.docker("top", before["Id"], "-o", "pid,args").splitlines()
    own = ("python -m", "haproxy -W")
    pid = next(line.split()[0] for line in main if any(word in line for word in own) and "docker-init" not in line)
    project.docker(
        "run",
        "--rm",
        "--pid",
        "host",
        "--cap-add",
        "KILL",
        "--user",
        "0",
        "--entrypoint",
        "sh",
        project.image,
        "-c",
        f"kill -9 {pid}",
    )
    for other in others_than(broken):
        assert SERVES[other](project), other
    wait_until(lambda: project.container(broken)["RestartCount"] > before["RestartCount"], timeout=60)
    wait_until(lambda: project.is_healthy(broken), timeout=90)
    assert SERVES[broken](project)


def test_a_restarted_database_server_needs_no_other_restart(project: Project) -> None:
    started = {name: project.container(name)["State"]["StartedAt"] for name in SERVICES}
    project.compose("restart", "postgres")
    for name in SERVICES:
        wait_until(lambda name=name: project.is_healthy(name), timeout=120, what=f"{name} is healthy")  # type: ignore[misc]
    assert site_serves(project)
    assert worklist_serves(project)
    assert receiver_serves(project)
    assert {name: project.container(name)["State"]["StartedAt"] for name in SERVICES} == started


def test_only_the_four_ports_are_published(project: Project) -> None:
    published = {}
    for name in (*SERVES, "postgres"):
        ports = project.container(name)["NetworkSettings"]["Ports"] or {}
        published[name] = sorted(int(binding["HostPort"]) for bindings in ports.values() for binding in bindings or [])
    assert published == {
        "proxy": sorted([project.http_port, project.https_port]),
        "mwl_admin": [],
        "mwl_scp": [project.mwl_port],
        "pacs_receiver": [project.pacs_port],
        "postgres": [],
    }
    for port in [port for ports in published.values() for port in ports]:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()


@pytest.mark.parametrize("name", [*SERVES, "postgres"])
def test_no_container_runs_as_root_or_writes_outside_its_volumes(project: Project, name: str) -> None:
    assert project.execute(name, "id", "-u").strip() not in {"", "0"}
    tried = project.execute(name, "sh", "-c", "touch /etc/x /opt/x /x 2>&1; ls /etc/x /opt/x /x 2>/dev/null; true")
    assert tried.count("Read-only file system") == 3


def test_the_image_holds_no_secret_no_compiler_and_no_rubbish(project: Project) -> None:
    history = project.docker("history", "--no-trunc", project.image)
    inspected = project.docker("inspect", project.image)
    for password in project.passwords.values():
        assert password not in history
        assert password not in inspected
    shell = ["run", "--rm", "--entrypoint", "sh", project.image, "-c"]
    assert project.docker(*shell, "command -v gcc cc make ld || true").strip() == ""
    assert project.docker(*shell, "ls -A /var/lib/gateway").strip() == ""
    content = set(project.docker(*shell, "ls -A /opt/gateway").split())
    assert content & {".env", ".git", "var", "tests", ".venv"} == set()
    assert "SECRET" not in project.docker(*shell, "env")


def test_neither_role_can_read_the_others_database(project: Project) -> None:
    for role, database, password in (
        ("pacs", "worklist", project.passwords["PACS_DB_PASSWORD"]),
        ("worklist", "pacs", project.passwords["WORKLIST_DB_PASSWORD"]),
    ):
        url = f"postgres://{role}:{password}@127.0.0.1"
        assert "1" in project.execute("postgres", "psql", f"{url}/{role}", "-Atc", "SELECT 1")
        with pytest.raises(RuntimeError, match="permission denied for database"):
            project.execute("postgres", "psql", f"{url}/{database}", "-Atc", "SELECT 1")


def test_all_data_survives_down_and_up(project: Project) -> None:
    before = listed(project)
    project.compose("down")
    project.up()
    assert listed(project) == before
    assert worklist_serves(project)
    project.site()

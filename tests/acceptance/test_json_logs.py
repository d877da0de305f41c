"""With ``LOG_FORMAT=json`` every line of log of every process and command is one JSON object."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.acceptance.embedded import Embedded, end
from tests.clients import dcmtk
from tests.processes import ROOT, clean_environment
from tests.waiting import wait_until

MANAGE = str(ROOT / "manage.py")


def parsed(text: str) -> list[dict[str, Any]]:
    """Return the lines of a log, each of which must be an object with what every line has."""
    lines = [json.loads(line) for line in text.splitlines()]
    for line in lines:
        assert line.keys() >= {"time", "level", "logger", "message"}, line
        assert line["message"].strip(), line
    return lines


def messages(lines: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {line["message"]: line for line in lines}


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[dict[str, Any]]]:
    """What the embedded set-up says from start to end, with a worker that is killed in between."""
    system = Embedded(tmp_path_factory.mktemp("json"), LOG_FORMAT="json", LOG_LEVEL="INFO")
    system.start()
    try:
        before = system.wait_until_up()
        parts = system.parts
        assert requests.get(f"{parts.web_url}/no-such-page", timeout=30).status_code in {302, 404}
        assert requests.post(f"{parts.web_url}/api/worklist/", timeout=30).status_code == 401
        assert dcmtk.echo(parts.mwl_port).succeeded
        assert dcmtk.echo(parts.pacs_port).succeeded
        os.kill(before["mwl_admin"], signal.SIGKILL)
        wait_until(lambda: system.pids().get("mwl_admin", before["mwl_admin"]) != before["mwl_admin"], timeout=60,
                   what="the site was started again")  # fmt: skip
        system.wait_until_up()
        system.stop(timeout=60)
        yield parsed(system.log_text())
    finally:
        end(system)


@pytest.mark.requires_component("dcmtk")
@pytest.mark.timeout(300)
def test_each_line_of_each_process_is_an_object(log: list[dict[str, Any]]) -> None:
    loggers = {line["logger"].partition(".")[0] for line in log}
    assert loggers >= {"__main__", "supervisor", "gunicorn", "mwl_admin", "dicom_listener", "pacs_receiver"}


@pytest.mark.requires_component("dcmtk")
@pytest.mark.timeout(300)
def test_what_differs_stands_in_fields(log: list[dict[str, Any]]) -> None:
    told = messages(log)
    assert told["files and index reconciled"]["instances"] == 0
    assert told["request answered"]["method"] in {"GET", "POST"}
    assert told["api request"]["status"] == 401
    assert told["association accepted"]["calling"] == "ECHOSCU"
    assert told["Gateway starts"]["staff"].startswith("http://")
    assert any(message.startswith("exited: mwl_admin") for message in told)


def run(folder: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=clean_environment({"LOG_FORMAT": "json", "DATA_DIR": str(folder / "var"), **settings}),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_commands_of_a_start_log_all_that_they_say(tmp_path: Path) -> None:
    for command, said in (
        (("migrate", "--no-input", "--verbosity", "1"), "Applying mwl_admin.0001_initial... OK"),
        (("collectstatic", "--no-input"), ""),
        (("first_account", "--skip-checks"), ""),
    ):
        done = run(tmp_path, MANAGE, *command)
        assert done.returncode == 0, done.stderr
        assert done.stdout == ""
        told = messages(parsed(done.stderr))
        assert told, command
        assert said in told or not said


def test_a_command_that_is_asked_for_something_writes_it_as_it_is(tmp_path: Path) -> None:
    done = run(tmp_path, MANAGE, "shell", "--no-imports", "-c", "print('an answer')")
    assert (done.stdout, done.stderr) == ("an answer\n", "")


def test_errors_warnings_and_tracebacks_are_objects_too(tmp_path: Path) -> None:
    [line] = parsed(run(tmp_path, MANAGE, "no_such_command").stderr)[:1]
    assert line["message"].startswith("Unknown command: 'no_such_command'")
    code = "import warnings; warnings.warn('of QQX-77341', stacklevel=1); int('QQX-77341')"
    done = run(tmp_path, MANAGE, "shell", "--no-imports", "-c", code)
    told = messages(parsed(done.stderr))
    assert told["Python warns"]["category"] == "UserWarning"
    assert "ValueError" in told["an exception was not caught"]["exception"]
    assert "QQX-77341" not in done.stderr


@pytest.mark.parametrize(
    ("variable", "arguments"),
    [
        ("WEB_BIND", ["-m", "gunicorn", "--config", "python:mwl_admin.gunicorn"]),
        ("MWL_BIND", ["-m", "mwl_scp"]),
        ("PACS_BIND", ["-m", "pacs_receiver"]),
        ("PACS_BIND", [str(ROOT / "embedded.py")]),
    ],
)
def test_a_start_that_fails_says_so_in_an_object(tmp_path: Path, variable: str, arguments: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        ended = run(tmp_path, *arguments, **{variable: address})
    assert ended.returncode == 2
    last = parsed(ended.stdout + ended.stderr)[-1]
    assert last["message"] == f"{variable}: cannot listen on {address}: Address already in use"


def test_the_receivers_commands_complain_in_objects(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as away:
        port = away.getsockname()[1]
    done = run(
        tmp_path, "-m", "pacs_receiver", "list", PACS_DATABASE_URL=f"postgres://gateway:pw@127.0.0.1:{port}/pacs"
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert parsed(done.stderr)[-1]["message"].startswith("the index can't be used: ")

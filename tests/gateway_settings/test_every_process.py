"""Every setting of docs/settings.md in every process that reads it: each takes or refuses a value in the same words."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.gateway_settings.test_environment import PROCESSES
from tests.processes import ROOT, clean_environment
from tests.test_settings import documented

VALUES = (
    "", " ", "0", "1", "-1", "+7", "1.5", "nan", "inf", "\u0663", "1_000", "99999999999999999999", "yes", "TRUE",
    "perhaps", "debug", "CRITICAL", "json", "xml", "127.0.0.1:0", "127.0.0.1:99999", "localhost:\u0663",
    "::1:104", "[::1]:104",
    "[zz]:104", ":104", "10.0.0.0/8", "10.0.0.1/8", "Europe/Rome", "sqlite:///:memory:", "sqlite:///x.sqlite3",
    "postgres://u:hunter22@h/n", "postgres://u:hunter22@h", "postgres://u:hunter22@h:port/n", "mysql://u:hunter22@h/n",
    "https://site.example", "http://site.example:port", "ftp://site.example", "A\\B", "x" * 70, "/dev/null/x", "auto",
    "all", "none",
)  # fmt: skip
SECRET = "hunter22"

# What each process does with its settings at start, again and again: once for each setting that it reads, and value.
LOADERS = {
    "site": """
import importlib
import mwl_admin.settings
def load():
    importlib.reload(mwl_admin.settings)
""",
    "worklist provider": """
import importlib
import mwl_admin.settings
from mwl_scp import config
def load():
    importlib.reload(mwl_admin.settings)
    config.load(environment())
""",
    "receiver": """
from pacs_receiver import config
def load():
    config.load(environment())
""",
    "certificates": """
from gateway_certificates import cli
def load():
    cli.store()
""",
    "simulator": """
from simulator import addresses
def load():
    addresses.worklist_provider(environment())
    addresses.receiver(environment())
""",
    "checks": """
import django
django.setup()
from mwl_admin.site.open_doors import check_open_doors
def load():
    check_open_doors(None)
""",
}
TRY = """
import json, os, sys
from environs import FileAwareEnv
from gateway_settings.environment import BadSetting, environment
{loader}
read, original = set(), FileAwareEnv.str

def record(self, name, *args, **kwargs):
    read.add(name)
    return original(self, name, *args, **kwargs)

FileAwareEnv.str = record
load()
FileAwareEnv.str = original

def outcome():
    try:
        load()
    except BadSetting as error:
        return str(error)
    return "taken"

told = {{}}
for name in sorted(read & set(json.loads(sys.argv[1]))):
    told[name] = []
    for value in json.loads(sys.argv[2]):
        os.environ[name] = value
        told[name].append(outcome())
    del os.environ[name]
    os.environ[name + "_FILE"] = "/nonexistent/file"
    told[name].append(outcome())
    del os.environ[name + "_FILE"]
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, list[str]]]:
    """What each process says to each value of each setting that it reads."""
    arguments = [json.dumps(sorted(documented())), json.dumps(VALUES)]
    started = {
        name: subprocess.Popen(
            [sys.executable, "-c", TRY.format(loader=loader), *arguments],
            cwd=tmp_path_factory.mktemp("settings"),
            env={**clean_environment({}), "DJANGO_SETTINGS_MODULE": "mwl_admin.settings"},
            stdout=subprocess.PIPE,
            text=True,
        )
        for name, loader in LOADERS.items()
    }
    said = {name: process.communicate()[0] for name, process in started.items()}
    assert {name: process.returncode for name, process in started.items()} == dict.fromkeys(LOADERS, 0)
    return {name: json.loads(text.splitlines()[-1]) for name, text in said.items()}


def test_each_documented_setting_is_read_by_a_process_here(outcomes: dict[str, dict[str, list[str]]]) -> None:
    # the first account's password is read by the command that makes it, and may be anything
    assert {name for read in outcomes.values() for name in read} == documented().keys() - {"DJANGO_SUPERUSER_PASSWORD"}


def test_a_value_is_taken_or_refused_by_each_process_in_the_same_words(
    outcomes: dict[str, dict[str, list[str]]],
) -> None:
    differing = []
    for name in documented():
        for place, value in enumerate((*VALUES, f"{name}_FILE=/nonexistent/file")):
            # A value that is fine may ask for another setting, as DICOM_TLS=1 does for certificates.
            said = {
                process: read[name][place] if read[name][place].startswith(f"{name}: ") else "taken"
                for process, read in outcomes.items()
                if name in read
            }
            if len(set(said.values())) > 1:
                differing.append((name, value, said))
    assert not differing


def test_settings_of_several_processes_are_compared(outcomes: dict[str, dict[str, list[str]]]) -> None:
    readers = {name: {process for process, read in outcomes.items() if name in read} for name in documented()}
    assert readers["LOG_LEVEL"] == {"site", "worklist provider", "receiver"}
    assert readers["PACS_BIND"] == {"receiver", "simulator", "checks"}
    assert readers["DATA_DIR"] >= {"site", "worklist provider", "receiver", "certificates"}


def test_what_is_refused_is_one_line_that_names_a_setting_and_tells_no_password(
    outcomes: dict[str, dict[str, list[str]]],
) -> None:
    for read in outcomes.values():
        for name, said in read.items():
            for line in said:
                named = line.partition(":")[0]
                assert line == "taken" or {named, named.removesuffix("_FILE")} & documented().keys(), (name, line)
                assert "\n" not in line, name
                assert SECRET not in line or not name.endswith("DATABASE_URL"), name


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("LOG_LEVEL", "CRITICAL", "LOG_LEVEL: 'CRITICAL' is none of DEBUG, INFO, WARNING, ERROR"),
        ("DATA_DIR", "/dev/null/var", "DATA_DIR: '/dev/null/var' can't be made: Not a directory"),
    ],
)
def test_the_real_processes_refuse_it_in_the_same_words(tmp_path: Path, name: str, value: str, words: str) -> None:
    readers = {
        process: given for process, given in PROCESSES.items() if name != "LOG_LEVEL" or process != "certificates"
    }
    for process, arguments in readers.items():
        for log_format in ("text", "json"):
            ended = subprocess.run(
                [sys.executable, *arguments], env=clean_environment({name: value, "LOG_FORMAT": log_format}),
                cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
            )  # fmt: skip
            assert ended.returncode == 2, process
            assert ended.stdout == "", process
            (line,) = ended.stderr.splitlines()
            assert (json.loads(line)["message"] if log_format == "json" else line) == words, process


def test_no_module_reads_the_environment_by_itself() -> None:
    packages = (
        "mwl_admin",
        "mwl_scp",
        "pacs_receiver",
        "dicom_listener",
        "gateway_certificates",
        "gateway_link",
        "simulator",
    )
    found = [
        str(path.relative_to(ROOT))
        for package in packages
        for path in (ROOT / package).rglob("*.py")
        if any(word in path.read_text() for word in ("env.str(", "os.getenv", "dotenv_values", "EnvError"))
    ]
    assert found == []

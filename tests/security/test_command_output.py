"""What stands in files and database steers no terminal: output of `manage.py` commands, their errors included."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from django.core.management import call_command
from hypothesis import given
from hypothesis import strategies as st

from mwl_admin.management.plaintext import plain
from mwl_admin.management.terminal import PlainCommand
from mwl_admin.models import APIClient
from simulator.account import Account
from tests.factory import make_station
from tests.processes import ROOT, clean_environment

C0 = "".join(map(chr, [*range(9), *range(11, 32), 127]))
C1 = "".join(map(chr, range(0x80, 0xA0)))
BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
HIDDEN = "\u200b\u2060\ufeff\u2028\u2029\U000e0041"
EVIL = "\x1b]0;x\x07" + C0 + C1 + BIDI + HIDDEN
COMMANDS = sorted(
    f"{package}.management.commands.{path.stem}"
    for package in ("mwl_admin", "simulator")
    for path in (ROOT / package / "management" / "commands").glob("[a-z]*.py")
)


def steers(text: str) -> set[str]:
    return set(text) & set(C0 + C1 + BIDI + HIDDEN)


def test_each_character_that_steers_is_shown_as_its_code() -> None:
    assert not steers(plain(EVIL))
    assert plain("\x9b31m") == "\\u009b31m"
    assert plain("Müller^Änne=山田=やまだ می‌خواهم") == "Müller^Änne=山田=やまだ می‌خواهم"


@given(st.text())
def test_json_stays_json(text: str) -> None:
    shown = plain(json.dumps(text, ensure_ascii=False))
    assert json.loads(shown) == text
    assert not steers(shown)


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_writes_plain_output(name: str) -> None:
    command = import_module(name).Command
    assert issubclass(command, PlainCommand)
    out, err = io.StringIO(), io.StringIO()
    made = command(stdout=out, stderr=err)
    made.stdout.write(EVIL)
    made.stderr.write(f"{EVIL}\nsecond line")
    assert out.getvalue().endswith("\n")
    assert err.getvalue().count("\n") == 2
    assert not steers(out.getvalue() + err.getvalue()) - {"\n"}


def run(data_dir: Path, *arguments: str) -> str:
    """Return all that a real `manage.py` writes."""
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT, env=clean_environment({"DATA_DIR": str(data_dir)}), capture_output=True, check=False, timeout=100,
    )  # fmt: skip
    return (done.stdout + done.stderr).decode()


def test_a_hostile_file_steers_no_terminal(data_dir: Path, tmp_path: Path) -> None:
    run(data_dir, "migrate")
    evil = EVIL.replace("\0", "").replace("\r", "")
    headings = "Accession number,Patient ID,Family name,Date,Time,Modality"
    rows = tmp_path / "rows\x1b[31m\u202e.csv"
    rows.write_text(f'{headings}\n"A{evil}","P{evil}","D{evil}","{evil}",10:30,"{evil}"\n', encoding="utf-8")
    heading = tmp_path / "heading.csv"
    heading.write_text(f'"{evil}",Patient ID\nA-1,P-1\n', encoding="utf-8")
    folder = tmp_path / "wl"
    folder.mkdir()
    (folder / "x\x1b[31m\u202e\x9b.wl").write_bytes(b"\x1b[31m" * 100)
    told = [
        run(data_dir, "import_worklist", str(rows)),
        run(data_dir, "import_worklist", "--json", str(rows)),
        run(data_dir, "import_worklist", str(heading)),
        run(data_dir, "import_wl", str(folder)),
        run(data_dir, "api_token", "make", "x\x1b[31m\u202e"),
        run(data_dir, "api_token", "list"),
        run(data_dir, "api_token", "end", "\x9b\u202enobody"),
    ]
    assert "x\\u001b[31m\\u202e: read" in told[5]
    assert not steers("".join(told)) - {"\n"}
    assert "There is no client called \\u009b\\u202enobody" in told[-1]


@pytest.mark.django_db
def test_the_list_of_tokens_shows_codes(capsys: pytest.CaptureFixture[str]) -> None:
    APIClient.create(name="RIS\x1b[2J\u202e", station=make_station("CT1"))
    call_command("api_token", "list")
    assert "RIS\\u001b[2J\\u202e: read of CT1" in capsys.readouterr().out


@pytest.mark.parametrize("as_json", [False, True])
def test_what_a_provider_answers_to_the_simulator_steers_nothing(as_json: bool) -> None:
    out = io.StringIO()
    Account(out, as_json=as_json).say(f"CT1{EVIL}", "worklist", f"took {EVIL}")
    assert not steers(out.getvalue()) - {"\n"}

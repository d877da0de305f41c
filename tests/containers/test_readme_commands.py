"""The README's commands for containers are run as they stand there, from `make .env` on."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.clients.compose import Project
from tests.components import requires
from tests.processes import ROOT

pytestmark = [pytest.mark.containers, pytest.mark.timeout(900), requires("docker", "dcmtk")]

SECTION = (ROOT / "README.md").read_text().split("## In containers")[1].split("\n## ")[0]
BLOCKS = re.findall(r"^```sh\n(.*?)^```", SECTION, re.MULTILINE | re.DOTALL)
LINES = [line.partition("  #")[0].strip() for block in BLOCKS for line in block.splitlines()]
INLINE = [text for text in re.findall(r"`(docker compose [^`]+)`", SECTION) if " -f " not in text]


def test_make_writes_an_env_file_with_passwords_for_the_owner_alone(tmp_path: Path) -> None:
    assert LINES[0] == "make .env"
    shutil.copy(ROOT / ".env.example", tmp_path)
    subprocess.run(["make", "-f", str(ROOT / "Makefile"), ".env"], cwd=tmp_path, check=True, capture_output=True)
    made = tmp_path / ".env"
    assert made.stat().st_mode & 0o077 == 0
    passwords = re.findall(r"^(?:POSTGRES_PASSWORD|\w+_DB_PASSWORD)=(\w{48})$", made.read_text(), re.MULTILINE)
    assert len(set(passwords)) == 3


@pytest.mark.parametrize("command", [*LINES[1:], *INLINE])
def test_each_command_works_as_it_is_written(project: Project, tmp_path: Path, command: str) -> None:
    words = command.replace("CT1", "CT-README").split()  # other tests have made CT1's
    assert words[:2] == ["docker", "compose"]
    if "first_password" in command:
        # the project's .env names a password, and then there is no such file
        with pytest.raises(RuntimeError, match="No such file"):
            project.compose(*words[2:])
        return
    target = words.index(">") if ">" in words else len(words)
    printed = project.compose(*words[2:target])
    if target < len(words):
        (tmp_path / words[target + 1]).write_text(printed)
        assert printed.count("BEGIN CERTIFICATE") == 2
        assert printed.count("BEGIN PRIVATE KEY") == 1

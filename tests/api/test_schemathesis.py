"""schemathesis reads the site's own OpenAPI document and tries what it says, and what it rules out, on a real site.

`SCHEMATHESIS_SECONDS` makes it long (`make nightly`): then it goes on with new seeds until the time is over.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import ROOT, Processes, clean_environment

SECONDS = int(os.environ.get("SCHEMATHESIS_SECONDS", "0"))
# An entry that is cancelled stays readable, by intent; and what a value must be besides its form (a station that
# exists, another entry's number) only the site knows.
NOT_MEANT = ("use_after_free", "positive_data_acceptance")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Processes]:
    """The site alone, with a station and a client of its API."""
    processes = Processes(
        tmp_path, {"API_REQUESTS_PER_MINUTE": "1000000", "PACS_NOTIFY_SECRET": "a secret of the tests"}
    )
    processes.data_dir.mkdir()
    processes.prepare()
    processes.mwl_admin.start()
    try:
        yield processes
    finally:
        processes.stop()


def run(site: Processes, token: str, *arguments: str) -> None:
    command = [
        *(sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()"),
        *("--config-file", str(ROOT / "tests" / "api" / "schemathesis.toml")),
        *("run", f"{site.web_url}/api/openapi.json", "--header", f"Authorization: Bearer {token}"),
        *("--exclude-checks", ",".join(NOT_MEANT), "--continue-on-failure", *arguments),
    ]
    done = subprocess.run(
        command,
        env=clean_environment({"NO_COLOR": "1"}),
        cwd=site.folder,
        capture_output=True,
        text=True,
        timeout=SECONDS + 600,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2_000:]
    assert "Test cases:" in done.stdout
    assert f"{site.web_url}" in done.stdout


@pytest.mark.timeout(SECONDS + 900)
def test_nothing_is_found(site: Processes) -> None:
    token = site.manage("api_token", "make", "RIS", "--write").split()[-1]
    if SECONDS:
        run(site, token, "--max-time", str(SECONDS))
    else:
        run(site, token, "--seed", "12", "--phases", "examples,fuzzing", "--max-examples", "15", "--workers", "2")
        # Every bound of every parameter; those of bodies and of the search are thousands, and tried at night.
        reading = ("--include-method", "GET", "--exclude-operation-id", "search_steps")
        run(site, token, "--seed", "12", "--phases", "coverage", *reading)
    assert "Traceback" not in site.mwl_admin.log_text()

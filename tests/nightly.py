"""Runs the long forms of tests, of which CI runs short ones, and writes the figures to docs/nightly.md.

Usage: python -m tests.nightly [--only NAME]

A part is a row of ``PARTS``: what makes the tests long stands in their own environment variables.
"""

from __future__ import annotations

import argparse
import datetime
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
REPORT = ROOT / "docs" / "nightly.md"


@dataclass(frozen=True)
class Part:
    """Tests that run together, and the variables that make them long."""

    name: str
    subject: str
    tests: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)


PARTS = (
    Part(
        "api",
        "10 minutes of schemathesis, all phases, against a real site: the API does what its OpenAPI document says",
        ("tests/api/test_schemathesis.py",),
        {"SCHEMATHESIS_SECONDS": "600"},
    ),
    Part(
        "identity",
        "2,000 orders of inputs by every way in: no entry shows another person's demographics",
        ("tests/identity/test_any_order.py",),
        {"IDENTITY_EXAMPLES": "2000"},
    ),
    Part(
        "matching",
        "2,000 sets of entries and queries on both databases against the reference matcher",
        ("tests/worklist/test_matching_properties.py",),
        {"CI": "true"},
    ),
    Part(
        "encoding",
        "5,000 data sets of each kind, legal and damaged, through all that read them: they agree",
        ("tests/dicom_encoding/test_agreement.py",),
        {"AGREEMENT_EXAMPLES": "5000"},
    ),
    Part(
        "fuzzing",
        "20 minutes of mutated PDUs, commands and identifiers: no crash, no hang, others served",
        ("tests/dicom_listener/test_fuzz.py",),
        {"FUZZ_SECONDS": "1200"},
    ),
    Part(
        "kills",
        "100 kills of the receiver under four senders: no acknowledged instance lost",
        ("tests/pacs_receiver/test_torture.py",),
        {"TORTURE_KILLS": "100"},
    ),
    Part(
        "conflicts",
        "a kill before each lasting step of accepting and dropping: no bytes lost, and the same command ends it",
        ("tests/pacs_receiver/test_conflicts.py",),
        {"CONFLICT_STRIDE": "1"},
    ),
)


@dataclass(frozen=True)
class Outcome:
    """How a part ended: pytest's last line, and whether all passed."""

    part: Part
    passed: bool
    summary: str
    seconds: float


def run(part: Part) -> Outcome:
    """Run the tests of one part; what they print goes to the terminal too."""
    print(f"== {part.name}: {part.subject}", flush=True)
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "--timeout", "0", "-q", *part.tests],
        cwd=ROOT,
        env={**os.environ, **part.environment},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    last = ""
    for line in process.stdout:
        print(line, end="", flush=True)
        last = line.strip() or last
    return Outcome(part, process.wait() == 0, last.strip("= "), time.monotonic() - started)


def report(outcomes: list[Outcome]) -> str:
    """Return the page that is committed."""
    today = f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}"
    lines = [
        "# The last nightly run",
        "",
        f"Written by `make nightly` on {today}: the long forms of tests, of which CI runs short ones.",
        "",
        "| part | subject | result | minutes |",
        "| -- | -- | -- | -- |",
    ]
    for outcome in outcomes:
        result = outcome.summary if outcome.passed else f"**failed**: {outcome.summary}"
        lines.append(f"| {outcome.part.name} | {outcome.part.subject} | {result} | {outcome.seconds / 60:.1f} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Run all parts, or the one that is named; write the page only after all."""
    parser = argparse.ArgumentParser(prog="python -m tests.nightly", description=__doc__.partition("\n")[0])
    parser.add_argument("--only", choices=[part.name for part in PARTS], help="run this part; leave the page as it is")
    only = parser.parse_args().only
    outcomes = [run(part) for part in PARTS if only in (None, part.name)]
    if only is None:
        REPORT.write_text(report(outcomes))
    print(report(outcomes))
    return 0 if all(outcome.passed for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())

"""`make audit`: asks whether a pinned package has a known vulnerability, and takes no silence for an answer.

pip-audit alone ends with 0 when an index tells nothing of a package. Here a package that nobody could tell about counts
as not checked, and one such package is a failure. PyPI is asked first, then OSV about what PyPI did not know.

Exit status: 0 all checked and none vulnerable, 1 some are vulnerable, 3 some could not be checked.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SERVICES = ("pypi", "osv")
_SECONDS = 600

EXIT_CLEAN = 0
EXIT_VULNERABLE = 1
EXIT_UNCHECKED = 3


@dataclass(slots=True)
class Findings:
    """Packages by name: with what is known of them, or why nothing is."""

    vulnerable: dict[str, list[str]] = field(default_factory=dict)
    clean: set[str] = field(default_factory=set)
    unchecked: dict[str, str] = field(default_factory=dict)

    def add(self, report: dict[str, Any]) -> None:
        """Take pip-audit's report; what an earlier one has told stays told."""
        for package in report["dependencies"]:
            name, known = package["name"], package.get("vulns")
            if name in self.vulnerable or name in self.clean:
                continue
            if known is None or "skip_reason" in package:
                self.unchecked[name] = package.get("skip_reason", "no answer")
                continue
            self.unchecked.pop(name, None)
            if known:
                self.vulnerable[name] = [f"{name} {package['version']}: {_told(found)}" for found in known]
            else:
                self.clean.add(name)

    def status(self) -> int:
        if self.vulnerable:
            return EXIT_VULNERABLE
        return EXIT_CLEAN if self.clean and not self.unchecked else EXIT_UNCHECKED


def _told(found: dict[str, Any]) -> str:
    mended = ", ".join(found.get("fix_versions", [])) or "no version yet"
    return f"{found['id']} (mended in {mended})"


def main(lists: list[str]) -> int:
    """Audit requirement lists; return the exit status."""
    findings, silent = Findings(), []
    for service in SERVICES:
        for requirements in lists or [str(ROOT / "requirements.txt")]:
            report, complaint = _ask(service, requirements)
            if report is None:
                silent.append(f"{service} gave no answer: {complaint}")
            else:
                findings.add(report)
        if findings.clean and not findings.unchecked:
            break
    for line in _lines(findings, silent):
        print(line)  # noqa: T201
    return findings.status()


def _ask(service: str, requirements: str) -> tuple[dict[str, Any] | None, str]:
    """Return pip-audit's report of a list, None when there is none, and its last words."""
    command = [
        sys.executable, "-m", "pip_audit", "--requirement", requirements, "--require-hashes", "--disable-pip",
        "--vulnerability-service", service, "--format", "json", "--progress-spinner", "off",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_SECONDS)  # noqa: S603
    said = done.stderr.strip().splitlines() or ["nothing"]
    try:
        report: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        return None, said[-1][:200]
    return report, said[-1][:200]


def _lines(findings: Findings, silent: list[str]) -> list[str]:
    lines = [line for told in findings.vulnerable.values() for line in told]
    if findings.unchecked or not findings.clean:
        lines += silent
    if findings.unchecked:
        names = ", ".join(sorted(findings.unchecked))
        lines.append(f"NOT CHECKED, since nobody could tell: {len(findings.unchecked)} packages: {names}")
    elif not findings.clean and not findings.vulnerable:
        lines.append("NOT CHECKED: nothing")
    lines.append(f"{len(findings.clean)} packages without a known vulnerability, {len(findings.vulnerable)} with")
    return lines


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

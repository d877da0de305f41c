"""DCMTK's clients: what a modality in the field is most like."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset, dcmread


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a client ended: its exit status, and what it said."""

    status: int
    output: str

    @property
    def succeeded(self) -> bool:
        return self.status == 0


def run(*command: str, folder: Path | None = None, timeout: float = 120) -> Outcome:
    """Run one of DCMTK's programs."""
    # Nagle's algorithm off, as modern stacks have it: a test is about answers, not about waiting for them
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "TCP_NODELAY": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=timeout,
        check=False,
    )
    return Outcome(done.returncode, done.stdout.decode(errors="replace"))


def echo(port: int, *, called: str = "ANY-SCP") -> Outcome:
    """C-ECHO by `echoscu`."""
    return run("echoscu", "-v", "-to", "10", "-aec", called, "127.0.0.1", str(port))


def find(
    port: int, keys: Iterable[str] | Mapping[str, str], *, calling: str = "FINDSCU", called: str = "MWL_SCP"
) -> list[Dataset]:
    """Modality Worklist C-FIND by `findscu -W`; return the pending responses' identifiers.

    ``keys`` are written as `findscu -k` takes them: `PatientID=P-1`, `(0040,0100)[0].Modality=CT`. Raises RuntimeError
    when the final status was not success.
    """
    if isinstance(keys, Mapping):
        keys = [f"{path}={value}" for path, value in keys.items()]
    with tempfile.TemporaryDirectory() as folder:
        outcome = run(
            "findscu", "-v", "-W", "-X", "-od", folder, "-aet", calling, "-aec", called,
            *(word for key in keys for word in ("-k", key)),
            "127.0.0.1", str(port),
        )  # fmt: skip
        if not outcome.succeeded or "Success" not in outcome.output:
            raise RuntimeError(f"findscu: {outcome}")
        return [dcmread(path) for path in sorted(Path(folder).glob("rsp*.dcm"))]


def store(port: int, *files: Path, calling: str = "STORESCU", called: str = "PACS") -> Outcome:
    """C-STORE by `storescu`, which proposes uncompressed transfer syntaxes."""
    return run("storescu", "-v", "-R", "-aet", calling, "-aec", called, "127.0.0.1", str(port), *map(str, files))


def send(port: int, *files: Path, called: str = "PACS") -> Outcome:
    """C-STORE by `dcmsend`, which proposes for each file the transfer syntax that it has."""
    return run("dcmsend", "-v", "-aec", called, "127.0.0.1", str(port), *map(str, files))

"""`make audit` tells a vulnerable package, and never takes silence for an answer; `make sbom` lists all that runs."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.processes import ROOT, clean_environment

PINNED = f"alpha==1.0 --hash=sha256:{'0' * 64}\nbeta==2.0 --hash=sha256:{'1' * 64}\n"
UNREACHABLE = "http://127.0.0.1:9"


@contextmanager
def osv(answer: Callable[[str], dict[str, object]]) -> Iterator[str]:
    """A vulnerability service as OSV is, on this machine; ``answer`` gives what it says of a package."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            body = json.dumps(answer(asked["package"]["name"])).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
    finally:
        server.shutdown()
        server.server_close()


def audit(folder: Path, osv_url: str) -> subprocess.CompletedProcess[str]:
    """Run the audit where nothing but loopback is reached."""
    (folder / "pinned.txt").write_text(PINNED)
    away = dict.fromkeys(("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"), UNREACHABLE)
    return subprocess.run(
        [sys.executable, str(ROOT / "deploy" / "audit.py"), str(folder / "pinned.txt")],
        env=clean_environment({**away, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", "PIP_AUDIT_OSV_URL": osv_url,
                               "XDG_CACHE_HOME": str(folder)}),
        cwd=folder, capture_output=True, text=True, check=False, timeout=110,
    )  # fmt: skip


def vulnerable(name: str) -> dict[str, object]:
    if name != "beta":
        return {}
    ranges = [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.1"}]}]
    affected = [{"package": {"name": name, "ecosystem": "PyPI"}, "ranges": ranges, "versions": ["2.0"]}]
    return {
        "vulns": [{"id": "PYSEC-2026-1", "published": "2026-01-01T00:00:00Z", "summary": "s", "affected": affected}]
    }


def test_where_nobody_can_be_reached_it_fails_and_says_so(tmp_path: Path) -> None:
    ended = audit(tmp_path, UNREACHABLE)
    assert ended.returncode == 3, ended.stdout
    assert "NOT CHECKED" in ended.stdout
    assert "gave no answer" in ended.stdout


def test_a_vulnerable_package_is_named_with_the_version_that_mends_it(tmp_path: Path) -> None:
    with osv(vulnerable) as url:
        ended = audit(tmp_path, url)
    assert ended.returncode == 1, ended.stdout
    assert "beta 2.0: PYSEC-2026-1 (mended in 2.1)" in ended.stdout


def test_where_all_were_checked_and_none_is_known_it_succeeds(tmp_path: Path) -> None:
    with osv(lambda _: {}) as url:
        ended = audit(tmp_path, url)
    assert ended.returncode == 0, ended.stdout
    assert ended.stdout == "2 packages without a known vulnerability, 0 with\n"


def test_a_package_that_the_index_does_not_know_was_not_checked() -> None:
    spec = importlib.util.spec_from_file_location("audit", ROOT / "deploy" / "audit.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["audit"] = module
    spec.loader.exec_module(module)
    findings = module.Findings()
    findings.add(
        {"dependencies": [{"name": "a", "version": "1", "vulns": []}, {"name": "b", "skip_reason": "unknown"}]}
    )
    assert findings.status() == 3
    findings.add({"dependencies": [{"name": "b", "version": "1", "vulns": []}]})
    assert findings.status() == 0


@pytest.mark.parametrize("target", ["audit", "sbom"])
def test_make_knows_the_target(target: str) -> None:
    assert (
        f"make {target}"
        in subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    )


def test_the_bill_of_materials_is_valid_and_lists_each_pinned_package(tmp_path: Path) -> None:
    made = tmp_path / "sbom.json"
    command = ["make", "-C", str(ROOT), "sbom", f"VENV={sys.prefix}", f"SBOM={made}"]
    subprocess.run(command, check=True, capture_output=True, timeout=110)
    bom = json.loads(made.read_text())
    assert (bom["bomFormat"], bom["specVersion"]) == ("CycloneDX", "1.6")
    pinned = re.findall(r"^([\w.-]+)==([^ ;\\]+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert {(part["name"], part["version"]) for part in bom["components"]} == set(pinned)
    assert bom["metadata"]["component"]["name"] == "gateway"


def test_the_bill_is_made_and_not_kept_in_git() -> None:
    assert "/sbom.cdx.json" in (ROOT / ".gitignore").read_text().splitlines()

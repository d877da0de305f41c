"""The site as the receiver sees it: a small HTTP server that checks each signature as docs/devices.md says."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from gateway_link.signature import Nonces, Unsigned, verify
from tests.ports import free_port

SECRET = "a secret of the tests' own"


def device(title: str, **changes: Any) -> dict[str, Any]:
    """One device in the form of the list."""
    return {
        "ae_title": title, "name": title.title(), "kind": "modality", "modality": "CT", "enabled": True,
        "addresses": [], "host": "", "port": 0, "rights": ["store"], "certificates": [], **changes,
    }  # fmt: skip


@dataclass
class Site:
    """``text`` is what it says to who asks for the list; ``callers`` what it was told; ``refused`` bad signatures."""

    port: int = field(default_factory=free_port)
    text: str = '{"devices": []}'
    statuses: list[int] = field(default_factory=list)
    callers: list[dict[str, Any]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    _nonces: Nonces = field(default_factory=Nonces)

    @property
    def settings(self) -> dict[str, str]:
        """What a receiver is told of it."""
        return {
            "PACS_PEERS_URL": f"http://127.0.0.1:{self.port}/api/receiver/devices",
            "PACS_PEERS_SECONDS": "0.3",
            "PACS_NOTIFY_SECRET": SECRET,
            "PACS_UNKNOWN_PEERS": "reject",
        }

    def say(self, *devices: dict[str, Any], refused: tuple[str, ...] = ()) -> None:
        self.text = json.dumps({"devices": devices, "refused": refused})

    @contextmanager
    def open(self) -> Iterator[Site]:
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self._is_signed(b"") and self.path == "/api/receiver/devices":
                    body = site.text.encode()
                    etag = f'"{hashlib.sha256(body).hexdigest()}"'
                    if self.headers.get("If-None-Match") == etag:
                        self._answer(304)
                    else:
                        self._answer(200, body, etag)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self._is_signed(body) and self.path == "/api/receiver/turned-away":
                    site.callers += json.loads(body)["callers"]
                    self._answer(204)

            def _is_signed(self, body: bytes) -> bool:
                try:
                    site._nonces.use(verify(SECRET, self.command, self.path, dict(self.headers), body))
                except Unsigned as error:
                    site.refused.append(str(error))
                    self._answer(403)
                    return False
                return True

            def _answer(self, status: int, body: bytes = b"", etag: str = "") -> None:
                site.statuses.append(status)
                self.send_response(status)
                if etag:
                    self.send_header("ETag", etag)
                if status != 304:
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
                pass

        server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

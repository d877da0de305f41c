"""`docker compose` on the repository's compose.yaml, as a project of its own on free ports of loopback."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.clients.site import Site
from tests.ports import free_port
from tests.processes import ROOT


class Project:
    """One running compose.yaml; everything that it made is gone after :meth:`remove`."""

    def __init__(self, folder: Path) -> None:
        self.name = f"gateway-test-{secrets.token_hex(4)}"
        self.image = f"{self.name}:test"
        self.http_port, self.https_port = free_port(), free_port()
        self.mwl_port, self.pacs_port = free_port(), free_port()
        self.web_url = f"https://localhost:{self.https_port}"
        self.certificate = folder / "site.pem"
        self._variables: dict[str, str] = {}
        self.passwords = {
            name: secrets.token_hex(12)
            for name in ("POSTGRES_PASSWORD", "WORKLIST_DB_PASSWORD", "PACS_DB_PASSWORD", "DJANGO_SUPERUSER_PASSWORD")
        }
        # a network of its own for the proxy, beside those of other runs on this machine
        network = f"198.18.{secrets.randbelow(256)}"
        settings = {
            **self.passwords,
            "GATEWAY_IMAGE": self.image,
            "PUBLISH_ADDRESS": "127.0.0.1",
            "PROXY_NETWORK": f"{network}.0/29",
            "PROXY_ADDRESS": f"{network}.2",
            "DJANGO_ALLOWED_HOSTS": "localhost,127.0.0.1,worklist.example",
            "PACS_STUDY_STABLE_SECONDS": "1",
            "HTTP_PORT": str(self.http_port),
            "HTTPS_PORT": str(self.https_port),
            "MWL_PORT": str(self.mwl_port),
            "PACS_PORT": str(self.pacs_port),
        }
        self._env_file = folder / "compose.env"
        self._env_file.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))

    def compose(self, *arguments: str, timeout: float = 900) -> str:
        """Run `docker compose` with this project; return what it printed."""
        base = [
            "docker",
            "compose",
            "--project-name",
            self.name,
            "--env-file",
            str(self._env_file),
            "--progress",
            "plain",
        ]
        return _run([*base, *arguments], timeout, self._variables)

    def docker(self, *arguments: str) -> str:
        return _run(["docker", *arguments], 120)

    def up(self, *services: str, **variables: str) -> None:
        """Start what does not run, and start again what ``variables`` change; they stay for later commands."""
        self._variables = variables
        self.compose("up", "--detach", "--wait", "--wait-timeout", "180", *services)
        self.certificate.write_text(self.execute("proxy", "cat", "/certificates/site.pem").split("-----BEGIN EC")[0])

    def execute(self, service: str, *command: str) -> str:
        """Run a command in a service's container; return what it printed."""
        return self.compose("exec", "-T", service, *command)

    def site(self) -> Site:
        """Log in as the first account, over HTTPS."""
        return Site(self.web_url, self.passwords["DJANGO_SUPERUSER_PASSWORD"], trusted=str(self.certificate))

    def elsewhere(self, network: str, code: str) -> str:
        """Run Python in a container, with an address of its own in one of the networks; return what it printed."""
        return self.docker("run", "--rm", "--network", f"{self.name}_{network}", self.image, "python", "-c", code)

    def container(self, service: str) -> dict[str, Any]:
        """Return what the engine knows about a service's container."""
        name = self.compose("ps", "--all", "--quiet", service).strip()
        (found,) = json.loads(self.docker("inspect", name))
        return dict(found)

    def is_healthy(self, service: str) -> bool:
        state = self.container(service)["State"]
        return bool(state["Status"] == "running" and state["Health"]["Status"] == "healthy")

    def remove(self) -> None:
        self.compose("down", "--volumes", "--remove-orphans", "--timeout", "10")
        _run(["docker", "image", "rm", "--force", self.image], 120)


def _run(command: list[str], timeout: float, variables: Mapping[str, str] | None = None) -> str:
    # the variables of the shell would win over those of the file
    env = {name: value for name, value in os.environ.items() if not name.endswith(("_PORT", "_PASSWORD"))}
    env |= variables or {}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=timeout, check=False)
    if done.returncode != 0:
        raise RuntimeError(
            f"{' '.join(command)} failed ({done.returncode}):\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
        )
    return done.stdout

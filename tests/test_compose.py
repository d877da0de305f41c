"""compose.yaml against the settings table, the published ports, and what a production set-up must not do."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from tests.processes import ROOT
from tests.test_settings import documented

TEXT = (ROOT / "compose.yaml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = ("mwl_admin", "mwl_scp", "pacs_receiver")
PORTS = {"mwl_admin": 8000, "mwl_scp": 4243, "pacs_receiver": 4244}


def test_the_four_services_and_the_migration_are_there() -> None:
    assert SERVICES.keys() == {*OURS, "postgres", "migrate"}


@pytest.mark.parametrize("name", SERVICES)
def test_each_variable_that_a_service_is_given_is_in_the_settings_table(name: str) -> None:
    known = documented() | documented(containers=True)
    assert SERVICES[name]["environment"].keys() <= known.keys()


@pytest.mark.parametrize("name", OURS)
def test_each_service_has_command_health_check_restart_policy_volume_and_log_stream(name: str) -> None:
    service = SERVICES[name]
    assert service["command"][:2] == ["python", "-m"]
    assert service["healthcheck"]["test"]
    assert service["restart"] == "unless-stopped"
    assert service["volumes"][0].partition(":")[0] in COMPOSE["volumes"]
    assert service["logging"]["options"]["max-size"]


def test_no_two_services_share_a_volume() -> None:
    used = [volume.partition(":")[0] for name in (*OURS, "postgres") for volume in SERVICES[name]["volumes"]]
    named = [volume for volume in used if volume in COMPOSE["volumes"]]
    assert sorted(named) == sorted(COMPOSE["volumes"])


def test_each_service_binds_the_port_that_is_published_and_only_those_are() -> None:
    defaults = {8000: "WEB_BIND", 4243: "MWL_BIND", 4244: "PACS_BIND"}
    for name, service in SERVICES.items():
        published = [port.rpartition(":")[2] for port in service.get("ports", [])]
        assert published == ([str(PORTS[name])] if name in PORTS else [])
    for name, port in PORTS.items():
        variable = defaults[port]
        assert SERVICES[name]["environment"][variable] == f"0.0.0.0:{port}"
        assert documented()[variable].strip("`").endswith(f":{port}")


@pytest.mark.parametrize("name", SERVICES)
def test_each_container_runs_with_the_least_rights(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert "privileged" not in service


def test_the_health_checks_ask_where_the_services_answer() -> None:
    for name, variable in (("mwl_scp", "MWL_HEALTH_BIND"), ("pacs_receiver", "PACS_HEALTH_BIND")):
        port = SERVICES[name]["environment"][variable].rpartition(":")[2]
        assert f"127.0.0.1:{port}/health" in SERVICES[name]["healthcheck"]["test"][-1]
        assert documented()[variable].strip("`").endswith(f":{port}")


def test_the_receiver_never_sees_the_worklist_database() -> None:
    given = str(SERVICES["pacs_receiver"]["environment"])
    assert "WORKLIST" not in given
    assert "DATABASE_URL': 'postgres://worklist" not in given
    for name in ("mwl_admin", "mwl_scp", "migrate"):
        assert "PACS_DB" not in str(SERVICES[name]["environment"])


def test_passwords_must_be_set_and_none_is_in_the_file() -> None:
    for name in re.findall(r"\$\{([A-Z_]*PASSWORD)", TEXT):
        if name != "DJANGO_SUPERUSER_PASSWORD":
            assert not re.search(rf"\$\{{{name}(?!:\?)", TEXT), f"{name} has a default"
    assert not re.search(r"postgres://\w+:(?!\$\{)", TEXT)
    assert not re.search(r"PASSWORD: (?!\$\{)", TEXT)


def test_migrations_run_once_before_the_services_that_need_them() -> None:
    for name in ("mwl_admin", "mwl_scp"):
        assert SERVICES[name]["depends_on"]["migrate"]["condition"] == "service_completed_successfully"
    assert "migrate" not in SERVICES["pacs_receiver"]["depends_on"]


def test_a_container_has_longer_to_stop_than_its_associations() -> None:
    for name, variable in (("mwl_scp", "MWL_STOP_SECONDS"), ("pacs_receiver", "PACS_STOP_SECONDS")):
        assert int(SERVICES[name]["stop_grace_period"].rstrip("s")) > int(documented()[variable].strip("`"))

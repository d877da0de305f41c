"""compose.yaml against the settings table, the published ports, and what a production set-up must not do."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest
import yaml

from tests.processes import ROOT
from tests.test_settings import documented

TEXT = (ROOT / "compose.yaml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = ("mwl_admin", "mwl_scp", "pacs_receiver")
JOBS = ("migrate", "certificates", "site_certificate")
PUBLISHED = {"proxy": {80: 8080, 443: 8443}, "mwl_scp": {4243: 4243}, "pacs_receiver": {4244: 4244}}
SHARED = {
    # the secret of site and receiver, the two that sign with it
    "link": {"mwl_admin", "pacs_receiver", "migrate"},
    # made by a job, read by those who show it
    "https": {"site_certificate", "proxy"},
    "tls": {"certificates", "mwl_scp", "pacs_receiver"},
    # migrate collects static files for the site
    "site": {"mwl_admin", "migrate"},
}


def test_the_services_and_the_jobs_before_them_are_there() -> None:
    assert SERVICES.keys() == {*OURS, "postgres", "proxy", *JOBS}


def test_the_image_holds_every_package_of_the_product() -> None:
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["root_packages"]
    copied = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert set(packages) <= copied


@pytest.mark.parametrize("name", SERVICES)
def test_each_variable_that_a_service_is_given_is_in_the_settings_table(name: str) -> None:
    known = documented() | documented(containers=True)
    assert SERVICES[name].get("environment", {}).keys() <= known.keys()


@pytest.mark.parametrize("name", OURS)
def test_each_service_has_command_health_check_restart_policy_volume_and_log_stream(name: str) -> None:
    service = SERVICES[name]
    assert service["command"][:2] == ["python", "-m"]
    assert service["healthcheck"]["test"]
    assert service["restart"] == "unless-stopped"
    assert service["volumes"][0].partition(":")[0] in COMPOSE["volumes"]
    assert service["logging"]["options"]["max-size"]


def test_no_volume_is_shared_but_by_those_who_must() -> None:
    users: dict[str, set[str]] = {volume: set() for volume in COMPOSE["volumes"]}
    for name, service in SERVICES.items():
        for volume in service["volumes"]:
            if volume.partition(":")[0] in users:
                users[volume.partition(":")[0]].add(name)
    assert {volume: names for volume, names in users.items() if len(names) > 1} == SHARED
    assert all(users.values())


def test_who_only_reads_a_shared_volume_cant_write_it() -> None:
    for volume, path, readers in (
        ("https", "/certificates", ["proxy"]),
        ("tls", "/var/lib/gateway-tls", ["mwl_scp", "pacs_receiver"]),
    ):
        for name in readers:
            assert f"{volume}:{path}:ro" in SERVICES[name]["volumes"]


def test_only_four_ports_are_published_and_each_can_be_chosen() -> None:
    for name, service in SERVICES.items():
        published = {}
        for port in service.get("ports", []):
            found = re.fullmatch(r"\$\{PUBLISH_ADDRESS:-0\.0\.0\.0\}:\$\{[A-Z]+_PORT:-(\d+)\}:(\d+)", port)
            assert found, port
            published[int(found[1])] = int(found[2])
        assert published == PUBLISHED.get(name, {}), name


def test_each_service_binds_the_port_that_is_published_or_that_the_proxy_asks() -> None:
    for name, variable, port in (
        ("mwl_admin", "WEB_BIND", 8000),
        ("mwl_scp", "MWL_BIND", 4243),
        ("pacs_receiver", "PACS_BIND", 4244),
    ):
        assert SERVICES[name]["environment"][variable] == f"0.0.0.0:{port}"
        assert documented()[variable].strip("`").endswith(f":{port}")
    proxy = (ROOT / "deploy" / "proxy" / "haproxy.cfg").read_text()
    assert "server site site:8000 " in proxy
    for port in PUBLISHED["proxy"].values():
        assert re.search(rf"bind :{port}\b", proxy)


def test_the_site_believes_the_proxy_and_nobody_else() -> None:
    address = SERVICES["proxy"]["networks"]["web"]["ipv4_address"]
    assert SERVICES["mwl_admin"]["environment"]["WEB_TRUSTED_PROXIES"] == address
    assert COMPOSE["networks"]["web"]["internal"] is True
    users = {name for name, service in SERVICES.items() if "web" in service.get("networks", [])}
    assert users == {"proxy", "mwl_admin"}
    assert set(SERVICES["proxy"]["networks"]) == {"web", "edge"}


def test_the_site_has_a_host_name_that_is_one_and_always_answers_to_it() -> None:
    site = SERVICES["mwl_admin"]
    assert all(site["networks"][network]["aliases"] == ["site"] for network in ("web", "front"))
    assert "site" in site["environment"]["WEB_INTERNAL_HOSTS"].split(",")
    for line in (ROOT / "deploy" / "link.env").read_text().splitlines():
        for host in re.findall(r"http://([^:/]+)", line):
            assert "_" not in host, line


@pytest.mark.parametrize("name", SERVICES)
def test_each_container_has_a_limit_of_memory_and_of_processes(name: str) -> None:
    assert SERVICES[name]["mem_limit"]
    assert SERVICES[name]["pids_limit"]


def test_the_receiver_may_have_as_many_threads_as_associations() -> None:
    for name, prefix in (("mwl_scp", "MWL"), ("pacs_receiver", "PACS")):
        associations = int(documented()[f"{prefix}_MAX_ASSOCIATIONS"].strip("`"))
        assert int(re.findall(r"\d+", SERVICES[name]["pids_limit"])[-1]) > associations + 100


def test_the_owners_env_files_win_over_what_is_set_for_him() -> None:
    for name in ("mwl_admin", "pacs_receiver", "migrate"):
        first, own = SERVICES[name]["env_file"]
        assert first == "deploy/link.env"
        assert own["required"] is False
    wired = set(re.findall(r"^([A-Z_]+)=", (ROOT / "deploy" / "link.env").read_text(), re.MULTILINE))
    for service in SERVICES.values():
        assert not wired & service.get("environment", {}).keys(), "that would win over the owner's file"


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
    assert "mwl_admin" not in SERVICES["proxy"]["depends_on"]


def test_a_container_has_longer_to_stop_than_its_associations() -> None:
    for name, variable in (("mwl_scp", "MWL_STOP_SECONDS"), ("pacs_receiver", "PACS_STOP_SECONDS")):
        assert int(SERVICES[name]["stop_grace_period"].rstrip("s")) > int(documented()[variable].strip("`"))

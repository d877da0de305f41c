"""The OpenAPI document is complete: each operation, each status, bounds, examples. Answers are held against it by all
tests of the API (`tests/api/contract.py`)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
from django.http import HttpResponse
from django.urls import URLPattern, get_resolver

from mwl_admin.api.document import operations
from mwl_admin.api.site import api
from tests.api import contract
from tests.api.bodies import WORKLIST
from tests.api.conftest import Caller

OPERATIONS = [(path, method, operation) for path, method, operation in operations(contract.document())]
NAMES = [f"{method} {path}" for path, method, _ in OPERATIONS]
each = pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS, ids=NAMES)


def schemas(found: Any, where: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every schema of a parameter, a body or an answer with its place."""
    if isinstance(found, dict):
        for name, value in found.items():
            if name == "schema":
                yield where, value
            yield from schemas(value, f"{where}/{name}")
    elif isinstance(found, list):
        for number, value in enumerate(found):
            yield from schemas(value, f"{where}/{number}")


def test_it_has_every_operation_that_is_served() -> None:
    served = {
        (re.sub(r"\{\w+:(\w+)\}", r"{\1}", prefix + path), method.lower())
        for prefix, router in api._routers
        for path, view in router.path_operations.items()
        for operation in view.operations
        for method in operation.methods
    }
    assert {(path, method) for path, method, _ in OPERATIONS} == served
    # Nothing is served under /api/ and /dicom-web/ beside the framework's routes.
    routes = {
        str(pattern.pattern)
        for resolver in get_resolver().url_patterns
        for pattern in getattr(resolver, "url_patterns", [resolver])
        if isinstance(pattern, URLPattern) and str(pattern.pattern).startswith(("api/", "dicom-web/"))
    }
    own = {contract._path(route) for route in routes} - {"/api/docs", "/api/openapi.json"}
    assert own <= {path for path, _, _ in OPERATIONS} | {"/api/"}


def test_it_is_a_document_of_openapi_and_its_schemas_are_schemas() -> None:
    document = contract.document()
    assert document["openapi"].startswith("3.1")
    for name, schema in document["components"]["schemas"].items():
        jsonschema_rs.validator_for({**schema, "components": document["components"]})
        assert schema.get("description"), name


def test_all_references_lead_somewhere() -> None:
    document = contract.document()
    text = json.dumps(document)
    for reference in set(re.findall(r'"#/([^"]+)"', text)):
        found: Any = document
        for part in reference.split("/"):
            found = found[part]


@each
def test_each_operation_says_who_may_and_how_it_is_refused(path: str, method: str, operation: dict[str, Any]) -> None:
    assert operation["summary"]
    (needed,) = operation["security"]
    assert needed.keys() <= contract.document()["components"]["securitySchemes"].keys()
    statuses = operation["responses"].keys()
    assert {"400", "401", "403", "429"} <= statuses if "Token" in needed else {"403", "503"} <= statuses
    assert any(status.startswith("2") for status in statuses)
    if "requestBody" in operation:
        assert "413" in statuses
    for status, answer in operation["responses"].items():
        assert answer["description"]
        if status[0] in "45":
            assert [*answer["content"]] == ["application/problem+json"]
        elif status not in {"204", "304"}:
            assert answer["content"], status


@each
def test_each_parameter_has_its_bounds(path: str, method: str, operation: dict[str, Any]) -> None:
    for parameter in operation.get("parameters", []):
        where = f"{method} {path}: {parameter['name']}"
        assert parameter.get("description"), where
        schema = parameter["schema"]
        if schema.get("type") == "integer":
            assert {"minimum", "maximum"} <= schema.keys(), where
        if schema.get("type") == "string":
            assert {"maxLength", "enum", "format", "pattern"} & schema.keys(), where
        if parameter["in"] == "path":
            assert parameter["required"], where
            assert parameter["example"], where


@each
def test_each_writing_operation_may_be_rehearsed(path: str, method: str, operation: dict[str, Any]) -> None:
    names = {parameter["name"] for parameter in operation.get("parameters", [])}
    assert ("dry_run" in names) == (method not in {"get", "head"})


@pytest.mark.parametrize("name", sorted(contract.document()["components"]["schemas"]))
def test_each_example_keeps_to_its_schema(name: str) -> None:
    document = contract.document()
    schema = document["components"]["schemas"][name]
    if "example" in schema:
        jsonschema_rs.validator_for({**schema, "components": document["components"]}).validate(schema["example"])


@pytest.mark.django_db
def test_an_answer_that_is_not_in_the_document_fails_its_test(ris: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = ris.get(WORKLIST)
    for change in (
        lambda: setattr(answer, "status_code", 418),
        lambda: setattr(answer, "content", b'[{"PatientID": 5}]'),
        lambda: answer.__setitem__("Content-Type", "text/html"),
    ):
        before = (answer.status_code, answer.content, answer["Content-Type"])
        answer.content = b"[]"
        contract.check("GET", answer)
        change()
        with pytest.raises(AssertionError):
            contract.check("GET", answer)
        answer.status_code, answer.content, answer["Content-Type"] = before
    assert isinstance(answer, HttpResponse)

"""The API's own document, and whether an answer is one that it tells of."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

import jsonschema_rs

from mwl_admin.api.document import METHODS, operations
from mwl_admin.api.site import api


@cache
def document() -> dict[str, Any]:
    """Return the document as clients read it."""
    made: dict[str, Any] = json.loads(json.dumps(dict(api.get_openapi_schema())))
    return made


@cache
def _operations() -> dict[tuple[str, str], dict[str, Any]]:
    return {(path, method): operation for path, method, operation in operations(document())}


@cache
def _validator(pointer: str) -> Any:
    found: Any = document()
    for part in json.loads(pointer):
        found = found[part]
    return jsonschema_rs.validator_for({**found, "components": document()["components"]})


def _path(route: str) -> str:
    """Return the document's path for Django's route."""
    return "/" + re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", route)


def check(method: str, answer: Any) -> None:
    """Fail when the document does not tell of an answer: its status, its form, its header fields, or its content."""
    # The request's own: the test client would look up the path as it was sent, with a slash at its end or without.
    match = answer.wsgi_request.resolver_match
    if match is None or "api" not in match.namespaces:
        return
    operation = _operations().get((_path(match.route), method.lower()))
    if operation is None:
        return  # a method that an address does not have is no operation
    where = f"{method} {_path(match.route)}, {answer.status_code}"
    told = operation["responses"].get(str(answer.status_code))
    assert told is not None, f"{where}: the document has no such status"
    for name, header in told.get("headers", {}).items():
        if header.get("required"):
            assert name in answer.headers, f"{where}: without {name}"
    kind = answer.headers.get("Content-Type", "").partition(";")[0]
    if not answer.content:
        return
    assert kind in told.get("content", {}), f"{where}: {kind} is not in the document"
    if kind.endswith("json"):
        pointer = ["paths", _path(match.route), method.lower(), "responses", str(answer.status_code), "content", kind]
        errors = [*_validator(json.dumps([*pointer, "schema"])).iter_errors(json.loads(answer.content))]
        assert not errors, f"{where}: {errors[0].message[:500]} at {errors[0].instance_path}"


__all__ = ["METHODS", "check", "document"]

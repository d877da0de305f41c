"""The API: what is served where, how it refuses, and what it says of itself."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, HttpResponse
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, ValidationError
from ninja.openapi.docs import Swagger

from mwl_admin.api import (
    changing,
    corrections,
    document,
    errors,
    following,
    notices,
    outcome,
    patients,
    receiver,
    schema,
    whoknows,
)
from mwl_admin.api.asked import client_of
from mwl_admin.api.errors import RequestRefused
from mwl_admin.api.insiders import insiders_only
from mwl_admin.api.known import known_parameters
from mwl_admin.api.search import search
from mwl_admin.api.tokens import Scope, Token
from mwl_admin.entries.problems import EntryError, Problem


class _API(NinjaAPI):
    def get_openapi_schema(self, **options: Any) -> Any:
        return document.complete(super().get_openapi_schema(**options))


api = _API(
    title="Worklist",
    version="1",
    description="Search the worklist, make, change and cancel entries. docs/api.md tells it in full.",
    urls_namespace="api",
    # Links within the headings would be links within buttons.
    docs=Swagger(settings={"deepLinking": False}),
    docs_url="/api/docs",
    openapi_url="/api/openapi.json",
    docs_decorator=insiders_only,
)
api.add_decorator(known_parameters)
for part in (receiver, notices, following, changing, outcome, patients, corrections):
    api.add_router("", part.router)


@api.exception_handler(RequestRefused)
def _refused(request: HttpRequest, error: RequestRefused) -> HttpResponse:
    return errors.response(error)


@api.exception_handler(EntryError)
def _entry_refused(request: HttpRequest, error: EntryError) -> HttpResponse:
    return errors.response(errors.of_entry(whoknows.with_values(error, request)))


@api.exception_handler(AuthenticationError)
def _unknown(request: HttpRequest, error: AuthenticationError) -> HttpResponse:
    return errors.response(errors.unauthorized())


@api.exception_handler(ValidationError)
def _parameters_refused(request: HttpRequest, error: ValidationError) -> HttpResponse:
    problems = [Problem(str(part["loc"][-1]), str(part["msg"])) for part in error.errors]
    return errors.response(RequestRefused(HTTPStatus.BAD_REQUEST, "A query parameter is wrong.", problems))


# --- DICOMweb


@api.get(
    "/dicom-web/modality-scheduled-procedure-steps",
    auth=Token(Scope.READ),
    tags=["DICOMweb"],
    summary="Search for scheduled procedure steps (PS3.18 §14)",
    operation_id="search_steps",
    openapi_extra={
        "parameters": schema.search_parameters(),
        "responses": schema.responses({200: "The steps that match", 204: "None matches"}, 400, 406, 413),
    },
)
def search_steps(request: HttpRequest) -> HttpResponse:
    return search(request, client_of(request))

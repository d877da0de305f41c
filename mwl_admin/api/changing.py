"""Entries are made, read, replaced, changed and cancelled."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse

from mwl_admin.api import preconditions, schema
from mwl_admin.api.asked import WORKLIST, answer, body_of, no_such_entry, reach_of, refuse_impossible, source_of
from mwl_admin.api.errors import RequestRefused, bad_request
from mwl_admin.api.listing import router  # one address, one router: GET is there
from mwl_admin.api.rehearsal import carry_out
from mwl_admin.api.tokens import Scope, Token
from mwl_admin.entries.cancelling import cancel
from mwl_admin.entries.entries import store
from mwl_admin.entries.entry import Entry, Mode
from mwl_admin.entries.jsonform import entry_from_json, is_storable
from mwl_admin.entries.problems import Problem
from mwl_admin.models import RequestedProcedure
from mwl_admin.validators import validate_long_string

_read, _write = Token(Scope.READ), Token(Scope.WRITE)
_ENTRY = {"$ref": "#/components/schemas/ShownEntry"}
ENTRY = f"{WORKLIST}/{{path:accession_number}}"
"""An accession number may hold what separates a path, so it is all that follows."""


def _addressed(body: Any, accession_number: str) -> Entry:
    entry = entry_from_json(body)
    given = entry.accession_number
    if given and given != accession_number:
        raise RequestRefused(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "The entry can't be taken as it is.",
            [Problem("AccessionNumber", "differs from the one in the address.")],
        )
    return Entry({**entry.values, "AccessionNumber": accession_number}, entry.steps)


@router.post(
    WORKLIST,
    auth=_write,
    summary="Make an entry",
    operation_id="make_entry",
    openapi_extra={
        "requestBody": schema.body(),
        "responses": schema.responses(
            {200: "The same entry was there already", 201: "Made"}, 400, 409, 413, 415, 422, content=_ENTRY
        ),
    },
)
def make_entry(request: HttpRequest, update_patient: bool = False, dry_run: bool = False) -> HttpResponse:
    """Idempotent by accession number: the same entry again is no second one. Without a number one is made."""
    entry = entry_from_json(body_of(request))
    return carry_out(lambda: _store(request, entry, Mode.CREATE, update_patient=update_patient), dry_run=dry_run)


@router.get(
    ENTRY,
    auth=_read,
    summary="Read an entry",
    operation_id="read_entry",
    openapi_extra={"responses": schema.responses({200: "The entry"}, 404, content=_ENTRY)},
)
def read_entry(request: HttpRequest, accession_number: str) -> HttpResponse:
    refuse_impossible(accession_number)
    reach = reach_of(request)
    order = reach.orders().filter(accession_number=accession_number).first()
    if order is None:
        raise no_such_entry()
    return answer(request, order, reach, reach.seen)


@router.put(
    ENTRY,
    auth=_write,
    summary="Make or replace an entry",
    operation_id="put_entry",
    openapi_extra={
        "requestBody": schema.body(),
        "responses": schema.responses({200: "Replaced", 201: "Made"}, 400, 409, 412, 413, 415, 422, content=_ENTRY),
    },
)
def put_entry(
    request: HttpRequest, accession_number: str, update_patient: bool = False, dry_run: bool = False
) -> HttpResponse:
    """What is absent of order and steps becomes empty; waiting steps that are absent are cancelled."""
    return carry_out(
        lambda: _replace(request, accession_number, Mode.PUT, update_patient=update_patient), dry_run=dry_run
    )


@router.patch(
    ENTRY,
    auth=_write,
    summary="Change an entry",
    operation_id="change_entry",
    openapi_extra={
        "requestBody": schema.body(),
        "responses": schema.responses({200: "Changed"}, 400, 404, 409, 412, 413, 415, 422, content=_ENTRY),
    },
)
def change_entry(
    request: HttpRequest, accession_number: str, update_patient: bool = False, dry_run: bool = False
) -> HttpResponse:
    """What is absent stays as it is. Of several steps, ScheduledProcedureStepID says which one is meant."""
    return carry_out(
        lambda: _replace(request, accession_number, Mode.UPDATE, update_patient=update_patient), dry_run=dry_run
    )


def _replace(request: HttpRequest, accession_number: str, mode: Mode, *, update_patient: bool) -> HttpResponse:
    if mode is not Mode.PUT:
        refuse_impossible(accession_number)
    elif not is_storable(accession_number):
        problem = Problem("AccessionNumber", "holds a character that can't be stored.")
        raise RequestRefused(HTTPStatus.UNPROCESSABLE_ENTITY, "The entry can't be taken as it is.", [problem])
    return _store(request, _addressed(body_of(request), accession_number), mode, update_patient=update_patient)


def _store(request: HttpRequest, entry: Entry, mode: Mode, *, update_patient: bool) -> HttpResponse:
    reach = reach_of(request)

    def before() -> None:
        if mode is not Mode.CREATE:
            preconditions.check(request, entry.accession_number, reach)
        reach.check_entry(entry, mode)
        if update_patient:
            reach.check_correction()

    stored = store(
        entry,
        mode,
        source=source_of(request),
        before=before,
        after=reach.check_stored,
        update_patient=update_patient,
    )
    status = HTTPStatus.CREATED if stored.created else HTTPStatus.OK
    return answer(request, stored.requested, reach, reach.own, status)


@router.delete(
    ENTRY,
    auth=_write,
    summary="Cancel an entry, or one of its steps",
    operation_id="cancel_entry",
    openapi_extra={"responses": schema.responses({200: "Cancelled, now or before"}, 404, 409, 412, content=_ENTRY)},
)
def cancel_entry(
    request: HttpRequest, accession_number: str, step: str = "", reason: str = "", dry_run: bool = False
) -> HttpResponse:
    """Steps become CANCELLED and stay readable. A step that has started is not cancelled: 409."""
    refuse_impossible(accession_number, step)
    try:
        validate_long_string(reason)
    except ValidationError as error:
        raise bad_request(" ".join(error.messages), "reason") from error
    reach = reach_of(request)

    def before() -> None:
        preconditions.check(request, accession_number, reach)
        reach.check_cancelled(accession_number, step)

    def write() -> HttpResponse:
        cancel(accession_number, step, source=source_of(request), reason=reason, before=before)
        order = RequestedProcedure.objects.get(accession_number=accession_number)
        return answer(request, order, reach, reach.own)

    return carry_out(write, dry_run=dry_run)

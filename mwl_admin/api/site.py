"""The API's operations: what is served where, and to whom."""

from __future__ import annotations

import datetime
import json
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.core.exceptions import ValidationError as DjangoValidationError
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, ValidationError
from ninja.openapi.docs import Swagger

from mwl_admin.api import errors, receiver, schema
from mwl_admin.api.dicomjson import MEDIA_TYPE, to_keywords
from mwl_admin.api.entries import shown, tag_of
from mwl_admin.api.errors import Refused, bad_request
from mwl_admin.api.insiders import insiders_only
from mwl_admin.api.reach import Reach
from mwl_admin.api.rehearsal import carry_out
from mwl_admin.api.results import results
from mwl_admin.api.search import search
from mwl_admin.api.tokens import Scope, Token
from mwl_admin.exchange import arrivals
from mwl_admin.exchange.entries import Entry, Mode, cancel, store
from mwl_admin.exchange.jsonform import entry_from_json, is_storable
from mwl_admin.exchange.problems import EntryError, Problem
from mwl_admin.models import APIClient, RequestedProcedure, StepStatus
from mwl_admin.validators import validate_long_string
from mwl_admin.web.limits import API_BODY_BYTES

MAX_BODY = API_BODY_BYTES
MAX_ENTRIES = 500


class _API(NinjaAPI):
    def get_openapi_schema(self, **options: Any) -> Any:
        document = super().get_openapi_schema(**options)
        document["components"].setdefault("schemas", {}).update(Problem=schema.problem(), Entry=schema.entry())
        return document


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
api.add_router("", receiver.router)
_read, _write = Token(Scope.READ), Token(Scope.WRITE)
_ENTRY = {"$ref": "#/components/schemas/Entry"}


@api.exception_handler(Refused)
def _refused(request: HttpRequest, error: Refused) -> HttpResponse:
    return errors.response(error)


@api.exception_handler(EntryError)
def _entry_refused(request: HttpRequest, error: EntryError) -> HttpResponse:
    return errors.response(errors.of_entry(error))


@api.exception_handler(AuthenticationError)
def _unknown(request: HttpRequest, error: AuthenticationError) -> HttpResponse:
    return errors.response(errors.unauthorized())


@api.exception_handler(ValidationError)
def _parameters_refused(request: HttpRequest, error: ValidationError) -> HttpResponse:
    problems = [Problem(str(part["loc"][-1]), str(part["msg"])) for part in error.errors]
    return errors.response(Refused(HTTPStatus.BAD_REQUEST, "A query parameter is wrong.", problems))


# --- DICOMweb


@api.get(
    "/dicom-web/modality-scheduled-procedure-steps",
    auth=_read,
    tags=["DICOMweb"],
    summary="Search for scheduled procedure steps (PS3.18 section 14)",
    operation_id="search_steps",
    openapi_extra={
        "parameters": schema.search_parameters(),
        "responses": schema.responses({200: "The steps that match", 204: "None matches"}, 400, 406, 413),
    },
)
def search_steps(request: HttpRequest) -> HttpResponse:
    return search(request, _client(request))


# --- entries


def _client(request: HttpRequest) -> APIClient:
    client: APIClient = request.auth  # type: ignore[attr-defined]  # set by the token
    return client


def _reach(request: HttpRequest) -> Reach:
    return Reach.of(_client(request), request.META.get("REMOTE_ADDR", ""))


def _source(request: HttpRequest) -> str:
    return f"API: {_client(request)}"[:100]


def _body(request: HttpRequest) -> Any:
    kind = (request.content_type or "").lower()
    if kind not in {"application/json", MEDIA_TYPE}:
        raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"The body must be application/json or {MEDIA_TYPE}.")
    body = _bytes(request)
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        raise bad_request("The body is not JSON.") from None
    if isinstance(content, list) and len(content) == 1:
        return content[0]  # DICOM JSON of one data set is a list of one (PS3.18 section F.2.1)
    return content


def _bytes(request: HttpRequest) -> bytes:
    try:
        body = request.body
    except RequestDataTooBig:
        body = b" " * (MAX_BODY + 1)
    if len(body) > MAX_BODY:
        raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body is larger than {MAX_BODY} bytes.")
    return body


def _in_form(request: HttpRequest, data_sets: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], str]:
    """Return data sets as the client takes them: DICOM JSON where it names that, else the short form."""
    if MEDIA_TYPE in request.headers.get("Accept", ""):
        return data_sets, MEDIA_TYPE
    return [to_keywords(data_set) for data_set in data_sets], "application/json"


def _answer(
    request: HttpRequest, order: RequestedProcedure, reach: Reach, shows: Q, status: HTTPStatus = HTTPStatus.OK
) -> HttpResponse:
    order = RequestedProcedure.objects.select_related("patient").get(pk=order.pk)
    data_sets, kind = _in_form(request, shown(RequestedProcedure.objects.filter(pk=order.pk), shows))
    content = data_sets if kind == MEDIA_TYPE else data_sets[0]
    response = HttpResponse(json.dumps(content, ensure_ascii=False).encode(), status=status, content_type=kind)
    response["ETag"] = tag_of(order, reach.seen)
    response["Cache-Control"] = "no-store"
    if status == HTTPStatus.CREATED:
        response["Location"] = request.build_absolute_uri(f"/api/worklist/{order.accession_number}")
    return response


def _no_such_entry() -> Refused:
    problem = Problem("AccessionNumber", "No entry has this accession number.", "unknown")
    return Refused(HTTPStatus.NOT_FOUND, "There is no such entry.", [problem])


def _refuse_impossible(*texts: str) -> None:
    """Refuse what can't be looked up: nothing is there by such a name."""
    if not all(is_storable(text) for text in texts):
        raise _no_such_entry()


def _check_tag(request: HttpRequest, accession_number: str, reach: Reach) -> None:
    """Refuse what the preconditions of the request rule out (RFC 9110 section 13.1)."""
    wanted, unwanted = request.headers.get("If-Match"), request.headers.get("If-None-Match", "")
    if unwanted.strip() == "*" and reach.orders().filter(accession_number=accession_number).exists():
        raise Refused(HTTPStatus.PRECONDITION_FAILED, "There is an entry of this accession number already.")
    if wanted is None:
        return
    # Locked, so that what was compared is what is changed: each request is one transaction when it has If-Match.
    locked = reach.orders().select_for_update(of=("self",), no_key=True).select_related("patient")
    order = locked.filter(accession_number=accession_number).first()
    tags = [tag.strip() for tag in wanted.split(",")]
    if order is None or (wanted.strip() != "*" and tag_of(order, reach.seen) not in tags):
        raise Refused(HTTPStatus.PRECONDITION_FAILED, "The entry is no longer as If-Match says: read it again.")


def _addressed(body: Any, accession_number: str) -> Entry:
    entry = entry_from_json(body)
    given = entry.accession_number
    if given and given != accession_number:
        raise Refused(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "The entry can't be taken as it is.",
            [Problem("AccessionNumber", "differs from the one in the address.")],
        )
    return Entry({**entry.values, "AccessionNumber": accession_number}, entry.steps)


@api.get(
    "/api/worklist/",
    auth=_read,
    tags=["Entries"],
    summary="List entries",
    operation_id="list_entries",
    openapi_extra={
        "responses": schema.responses(
            {200: "Entries, the one made last first"}, 400, content={"type": "array", "items": _ENTRY}
        )
    },
)
def list_entries(  # noqa: PLR0917 - each is a query parameter
    request: HttpRequest,
    date: datetime.date | None = None,
    patient_id: str = "",
    status: StepStatus | None = None,
    updated_since: datetime.datetime | None = None,
    limit: int = 100,
    offset: int = 0,
) -> HttpResponse:
    """Entries with a step on a day, of a patient, with a step of a status, or changed since a moment."""
    if not 1 <= limit <= MAX_ENTRIES:
        raise bad_request(f"must be from 1 to {MAX_ENTRIES}.", "limit")
    if not 0 <= offset < 10**9:
        raise bad_request("must not be negative.", "offset")
    if not is_storable(patient_id):
        raise bad_request("holds a character that can't be stored.", "patient_id")
    reach = _reach(request)
    orders = reach.orders().order_by("-pk")
    steps: dict[str, Any] = {}
    if date:
        steps["scheduled_date"] = date
    if status:
        steps["status"] = status
    if steps:
        orders = orders.filter(pk__in=reach.steps().filter(**steps).values("requested_procedure"))
    if patient_id:
        orders = orders.filter(patient__patient_id=patient_id)
    if updated_since:
        moment = updated_since if updated_since.tzinfo else timezone.make_aware(updated_since)
        changed = RequestedProcedure.objects.order_by().filter(updated_at__gte=moment).values("pk")
        steps_changed = reach.steps().filter(updated_at__gte=moment)
        orders = orders.filter(pk__in=changed.union(steps_changed.values("requested_procedure")))
    data_sets, kind = _in_form(request, shown(orders[offset : offset + limit], reach.seen))
    response = HttpResponse(json.dumps(data_sets, ensure_ascii=False).encode(), content_type=kind)
    response["Cache-Control"] = "no-store"
    return response


@api.post(
    "/api/worklist/",
    auth=_write,
    tags=["Entries"],
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
    entry = entry_from_json(_body(request))
    return carry_out(lambda: _store(request, entry, Mode.CREATE, update_patient=update_patient), dry_run=dry_run)


@api.get(
    "/api/worklist/{accession_number}",
    auth=_read,
    tags=["Entries"],
    summary="Read an entry",
    operation_id="read_entry",
    openapi_extra={"responses": schema.responses({200: "The entry"}, 404, content=_ENTRY)},
)
def read_entry(request: HttpRequest, accession_number: str) -> HttpResponse:
    _refuse_impossible(accession_number)
    reach = _reach(request)
    order = reach.orders().filter(accession_number=accession_number).first()
    if order is None:
        raise _no_such_entry()
    return _answer(request, order, reach, reach.seen)


@api.put(
    "/api/worklist/{accession_number}",
    auth=_write,
    tags=["Entries"],
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


@api.patch(
    "/api/worklist/{accession_number}",
    auth=_write,
    tags=["Entries"],
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
    _refuse_impossible(accession_number)
    return _store(request, _addressed(_body(request), accession_number), mode, update_patient=update_patient)


def _store(request: HttpRequest, entry: Entry, mode: Mode, *, update_patient: bool) -> HttpResponse:
    reach = _reach(request)

    def before() -> None:
        if mode is not Mode.CREATE:
            _check_tag(request, entry.accession_number, reach)
        reach.check_entry(entry, mode)
        if update_patient:
            reach.check_correction()

    stored = store(
        entry,
        mode,
        source=_source(request),
        before=before,
        after=reach.check_stored,
        update_patient=update_patient,
    )
    status = HTTPStatus.CREATED if stored.created else HTTPStatus.OK
    return _answer(request, stored.requested, reach, reach.own, status)


@api.delete(
    "/api/worklist/{accession_number}",
    auth=_write,
    tags=["Entries"],
    summary="Cancel an entry, or one of its steps",
    operation_id="cancel_entry",
    openapi_extra={"responses": schema.responses({200: "Cancelled, now or before"}, 404, 409, 412, content=_ENTRY)},
)
def cancel_entry(
    request: HttpRequest, accession_number: str, step: str = "", reason: str = "", dry_run: bool = False
) -> HttpResponse:
    """Steps become CANCELLED and stay readable. A step that has started is not cancelled: 409."""
    _refuse_impossible(accession_number, step)
    try:
        validate_long_string(reason)
    except DjangoValidationError as error:
        raise bad_request(" ".join(error.messages), "reason") from error
    reach = _reach(request)

    def before() -> None:
        _check_tag(request, accession_number, reach)
        reach.check_cancelled(accession_number, step)

    def write() -> HttpResponse:
        cancel(accession_number, step, source=_source(request), reason=reason, before=before)
        order = RequestedProcedure.objects.get(accession_number=accession_number)
        return _answer(request, order, reach, reach.own)

    return carry_out(write, dry_run=dry_run)


@api.get(
    "/api/results/{path:accession_number}",
    auth=_read,
    tags=["Entries"],
    summary="Read what became of an entry",
    operation_id="read_results",
    openapi_extra={"responses": schema.responses({200: "The results"}, 404)},
)
def read_results(request: HttpRequest, accession_number: str) -> HttpResponse:
    """Reasons of cancellation and discontinuation, what modalities reported (MPPS), and counts of received images."""
    _refuse_impossible(accession_number)
    reach = _reach(request)
    order = reach.orders().filter(accession_number=accession_number).first()
    if order is None:
        raise _no_such_entry()
    response = HttpResponse(
        json.dumps(results(order, reach.steps()), ensure_ascii=False).encode(), content_type="application/json"
    )
    response["Cache-Control"] = "no-store"
    return response


# --- the receiver's notices


@api.post(
    "/api/notices/study-complete",
    auth=None,
    tags=["Receiver"],
    summary="Take the image receiver's notice that a study is complete",
    operation_id="study_complete",
    openapi_extra={
        "description": "Signed with HMAC SHA-256; docs/notifications.md tells how.",
        "requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}},
        "responses": {
            200: {"description": "Taken, now or before"},
            400: {"description": "The event's ID differs between header and body."},
            403: {"description": "The signature is missing or wrong, or the notice is too old."},
            413: {"description": "Too large."},
            422: {"description": "Not a notice."},
            503: {"description": "PACS_NOTIFY_SECRET is not set."},
        },
    },
)
def study_complete(request: HttpRequest, dry_run: bool = False) -> HttpResponse:
    secret = settings.PACS_NOTIFY_SECRET
    if not secret:
        # The receiver tries again later, and finds the secret set.
        raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, "PACS_NOTIFY_SECRET is not set on this side.")
    body = _bytes(request)
    try:
        arrivals.verify(body, request.headers, secret, timezone.now())
    except arrivals.NoticeRefused as error:
        raise Refused(HTTPStatus.FORBIDDEN, str(error)) from error
    notice = arrivals.read(body)
    if request.headers.get("X-Gateway-Event-Id", notice.event_id) != notice.event_id:
        raise bad_request("The event's ID differs between header and body.", "id")

    def write() -> HttpResponse:
        taken = arrivals.take(notice)
        answer = {"repeated": taken.repeated, "completed": list(taken.completed)}
        return HttpResponse(json.dumps(answer), content_type="application/json")

    return carry_out(write, dry_run=dry_run)

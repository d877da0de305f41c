"""Search for Modality Scheduled Procedure Steps (PS3.18 §14.4): C-FIND's matching, answered over HTTP."""

from __future__ import annotations

import dataclasses
import json
import re
import uuid
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from dicom_encoding.elements import tag_name
from dicom_encoding.syntaxes import EXPLICIT_LITTLE
from mwl_admin.api import dicomjson, nativexml
from mwl_admin.api.errors import RequestRefused, bad_request
from mwl_admin.api.parameters import Search, parse
from mwl_admin.api.reach import Reach
from mwl_admin.entries.problems import Problem
from mwl_admin.models import APIClient
from mwl_admin.worklist.identifier import parse as parse_identifier
from mwl_admin.worklist.query import PreparedQuery, prepare
from mwl_admin.worklist.query_errors import IdentifierError, MatchingKeyError, QueryError

_PLAIN = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)
"""Names of parameters that are repeated in a header field."""
_MULTIPART = "multipart/related"
FORMS = (
    dicomjson.MEDIA_TYPE,
    "application/json",
    nativexml.MEDIA_TYPE,
    f'{_MULTIPART}; type="{dicomjson.MEDIA_TYPE}"',
    f'{_MULTIPART}; type="{nativexml.MEDIA_TYPE}"',
)
"""What a search is answered in, the preferred one first."""


def search(request: HttpRequest, client: APIClient) -> HttpResponse:
    """Answer a search."""
    form = accepted(request.headers.get("Accept", ""))
    asked = parse(request.GET)
    query = _prepare(asked, client, request.META.get("REMOTE_ADDR", ""))
    limit = query.maximum if asked.limit is None else min(asked.limit, query.maximum)
    if query.refuse_above and asked.limit is None and query.rows()[limit : limit + 1].exists():
        raise RequestRefused(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"More than {limit} entries match: ask for less, or by limit and offset.",
        )
    rows = list(query.rows()[asked.offset : asked.offset + limit + 1]) if limit else []
    more = len(rows) > limit and (asked.limit is None or asked.limit > limit)
    found = [dicomjson.to_dicom_json(parse_identifier(query.plan.encode(row), EXPLICIT_LITTLE)) for row in rows[:limit]]
    response = _encoded(found, form) if found else HttpResponse(status=HTTPStatus.NO_CONTENT)
    warnings = list(_warnings(asked, more=more))
    if warnings:
        service = request.build_absolute_uri("/dicom-web")
        response["Warning"] = ", ".join(f'299 {service}: "{text}"' for text in warnings)
    response["Cache-Control"] = "no-store"
    return response


def _prepare(asked: Search, client: APIClient, address: str) -> PreparedQuery:
    station = client.station
    Reach.of(client, address)  # refuses a station that is switched off or elsewhere
    # A token says more than an AE title: whoever has one is known, and sees the list unless it is a station's own.
    rules = dataclasses.replace(settings.WORKLIST_POLICY, unknown_see=True)
    try:
        return prepare(
            asked.identifier,
            station.ae_title if station else "",
            EXPLICIT_LITTLE,
            rules,
            address=address if station else "",
        )
    except (IdentifierError, MatchingKeyError) as error:
        raise RequestRefused(
            HTTPStatus.BAD_REQUEST,
            error.comment,
            [Problem(tag_name(tag), error.comment) for tag in error.offending],
        ) from error
    except QueryError as error:
        raise bad_request(error.comment) from error


def _warnings(asked: Search, *, more: bool) -> Iterable[str]:
    # The texts of PS3.18 §8.3.4.2 and §8.3.4.4, by which user agents know them.
    if asked.fuzzy:
        yield "The fuzzymatching parameter is not supported. Only literal matching has been performed."
    if asked.ignored:
        names = [name if _PLAIN.fullmatch(name) else "others" for name in asked.ignored]
        yield f"The following parameters are not supported and have been ignored: {' '.join(dict.fromkeys(names))}"
    if asked.empty_values:
        yield "The emptyvaluematching parameter is not supported."
    if more:
        yield "The number of results exceeded the maximum supported by the server. Additional results can be requested."


def accepted(header: str) -> str:
    """Return the form to answer in, by the Accept header (PS3.18 §8.7.5)."""
    if not header.strip():
        return FORMS[0]
    best, best_quality = "", 0.0
    for part in header.split(","):
        name, *parameters = (piece.strip() for piece in part.split(";"))
        values = dict(piece.split("=", 1) for piece in parameters if "=" in piece)
        quality = _quality(values.get("q", "1"))
        inner = values.get("type", "").strip('"')
        wanted = f'{name.lower()}; type="{inner.lower()}"' if name.lower() == _MULTIPART and inner else name.lower()
        form = _ANY.get(wanted, wanted)
        if form in FORMS and quality > best_quality:
            best, best_quality = form, quality
    if not best:
        raise RequestRefused(HTTPStatus.NOT_ACCEPTABLE, f"Answers are {', '.join(FORMS)}.")
    return best


_ANY = {"*/*": FORMS[0], "application/*": FORMS[0], _MULTIPART: FORMS[3], f'{_MULTIPART}; type="*/*"': FORMS[3]}


def _quality(text: str) -> float:
    try:
        return max(0.0, min(1.0, float(text)))
    except ValueError:
        return 0.0


def _encoded(found: list[dict[str, Any]], form: str) -> HttpResponse:
    if form == nativexml.MEDIA_TYPE and len(found) == 1:
        return HttpResponse(nativexml.to_xml(found[0]), content_type=f"{form}; charset=utf-8")
    if form in FORMS[:2]:
        return HttpResponse(json.dumps(found, ensure_ascii=False).encode(), content_type=form)
    # A document of XML holds one data set (PS3.18 §8.7.4), so several of them make several parts.
    inner = nativexml.MEDIA_TYPE if nativexml.MEDIA_TYPE in form else dicomjson.MEDIA_TYPE
    if inner == nativexml.MEDIA_TYPE:
        parts = [nativexml.to_xml(data_set) for data_set in found]
    else:
        parts = [json.dumps(found, ensure_ascii=False).encode()]
    return _multipart(parts, inner)


def _multipart(parts: list[bytes], inner: str) -> HttpResponse:
    boundary = uuid.uuid4().hex
    head = f"--{boundary}\r\nContent-Type: {inner}\r\n\r\n".encode()
    body = b"".join(head + part + b"\r\n" for part in parts) + f"--{boundary}--\r\n".encode()
    return HttpResponse(body, content_type=f'{_MULTIPART}; type="{inner}"; boundary={boundary}')

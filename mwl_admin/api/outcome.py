"""What became of an entry, for whoever ordered it."""

from __future__ import annotations

import json

from django.http import HttpRequest, HttpResponse
from ninja import Router

from mwl_admin.api import schema
from mwl_admin.api.asked import no_such_entry, reach_of, refuse_impossible
from mwl_admin.api.results import results
from mwl_admin.api.tokens import Scope, Token

router = Router(tags=["Entries"])


@router.get(
    "/api/results/{path:accession_number}",
    auth=Token(Scope.READ),
    summary="Read what became of an entry",
    operation_id="read_results",
    openapi_extra={"responses": schema.responses({200: "The results"}, 404)},
)
def read_results(request: HttpRequest, accession_number: str) -> HttpResponse:
    """Reasons of cancellation and discontinuation, what modalities reported (MPPS), and counts of received images."""
    refuse_impossible(accession_number)
    reach = reach_of(request)
    order = reach.orders().filter(accession_number=accession_number).first()
    if order is None:
        raise no_such_entry()
    response = HttpResponse(
        json.dumps(results(order, reach.steps()), ensure_ascii=False).encode(), content_type="application/json"
    )
    response["Cache-Control"] = "no-store"
    return response

"""C-FIND of the Modality Worklist: a request of the listener's to a query of the worklist's, and back."""

from __future__ import annotations

import datetime
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING

from django.db import close_old_connections

from dicom_encoding.faults import NestedTooDeep
from dicom_encoding.statuses import Status
from dicom_listener.service import Response
from mwl_admin.worklist.identifier import Identifier, parse
from mwl_admin.worklist.policy import Policy
from mwl_admin.worklist.query import PreparedQuery, prepare
from mwl_admin.worklist.query_errors import NestingError, QueryError
from mwl_scp import statuses
from mwl_scp.pool import give_back
from mwl_scp.recording import QueryRecord

if TYPE_CHECKING:
    from dicom_listener.service import AcceptedAssociation, Request

logger = logging.getLogger(__name__)


def find(
    policy: Policy, record: Callable[[QueryRecord], None], association: AcceptedAssociation, request: Request
) -> Iterator[Response]:
    """Answer one worklist query; what becomes of it is handed to ``record``, however it ends."""
    taken = QueryRecord(
        received_at=datetime.datetime.now(datetime.UTC),
        calling_ae_title=association.calling_ae,
        called_ae_title=association.called_ae,
        address=association.address,
    )
    started = time.perf_counter()
    try:
        yield from _answer(policy, taken, association, request)
    except GeneratorExit:
        if request.cancelled:
            taken.status = Status.CANCEL
        else:
            taken.error_comment = "The peer left before the list was complete"
        raise
    except statuses.ANSWERED as error:
        refused = statuses.refused(error)
        taken.status, taken.error_comment = refused.response.status, refused.response.comment
        _log_refusal(error, association, taken)
        raise refused from error
    finally:
        taken.milliseconds = (time.perf_counter() - started) * 1000
        record(taken)
        give_back()


def _answer(
    policy: Policy, taken: QueryRecord, association: AcceptedAssociation, request: Request
) -> Iterator[Response]:
    close_old_connections()
    identifier = _identifier_of(policy, association, request)
    taken.identifier = identifier
    query = prepare(
        identifier,
        association.calling_ae,
        request.context.transfer_syntax,
        policy,
        address=association.address,
    )
    taken.identifier = query.identifier
    taken.station_known = query.caller is not None
    status = Status.PENDING_WARNING if query.warn else Status.PENDING
    with closing(query.run()) as matches:
        for match in matches:
            taken.delivered.append(match.step_pk)
            yield Response(status, match.identifier)
    taken.truncated = query.truncated
    taken.status = Status.SUCCESS
    _log_answer(query, identifier, association, taken)
    yield Response(Status.SUCCESS)


def _identifier_of(policy: Policy, association: AcceptedAssociation, request: Request) -> Identifier:
    limit = association.limits.nesting
    try:
        return parse(request.data, request.context.transfer_syntax, max_inflated=policy.max_inflated, max_nesting=limit)
    except NestingError as error:
        raise NestedTooDeep(limit) from error


def _log_answer(
    query: PreparedQuery, identifier: Identifier, association: AcceptedAssociation, taken: QueryRecord
) -> None:
    fields = {**association.peer(), "matches": len(taken.delivered), "keys": len(identifier.keys)}
    if query.truncated:
        logger.warning("worklist query answered; list cut at the maximum number of matches", extra={"fields": fields})
    else:
        logger.info("worklist query answered", extra={"fields": fields})


def _log_refusal(error: Exception, association: AcceptedAssociation, taken: QueryRecord) -> None:
    fields = association.peer(status=f"{taken.status:04X}", because=taken.error_comment)
    if isinstance(error, QueryError):
        logger.warning("worklist query refused", extra={"fields": fields})
    else:
        logger.error("worklist query failed", extra={"fields": {**fields, "error": type(error).__name__}})
        logger.debug("the same in full", exc_info=error)

"""Storage Commitment Push Model (PS3.4 Annex J): what the modality waits for before it deletes its copy.

A worker keeps the request as it came and answers; that costs it the same for one reference and for a hundred thousand.
:mod:`pacs_receiver.commitment_jobs` checks in another process. The result goes to the requestor on the same association
when it keeps that open, else on a new one to where its device answers.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlalchemy import Engine, func, select, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from dicom_encoding.statuses import Status
from dicom_listener.dimse import CommandField
from dicom_listener.service import Refused, Response
from pacs_receiver.commitment_data import parse_request, read_head
from pacs_receiver.database import reading
from pacs_receiver.index_tables import commitment
from pacs_receiver.peer_book import PeerBook
from pacs_receiver.sop_classes import STORAGE_COMMITMENT

if TYPE_CHECKING:
    from dicom_listener.service import AcceptedAssociation, Context, Request

logger = logging.getLogger(__name__)

WELL_KNOWN_INSTANCE = "1.2.840.10008.1.20.1.1"
CLAIM_SECONDS = 300.0
_REQUEST_COMMITMENT = 1
_PATIENCE_SECONDS = 240.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0
_READ_AT_ONCE = 1 << 14
"""Bytes of a request that is short enough to be read, and refused, before it is answered."""
_OPEN_REQUESTS = 20
"""How many requests of the greatest length may wait for their result, for each AE title."""


@dataclass(slots=True)
class _Pending:
    row_id: int
    context: Context


@dataclass(frozen=True, slots=True)
class Commitments:
    """Storage Commitment for one worker."""

    engine: Engine
    peers: PeerBook
    wait_seconds: float
    max_references: int
    _pending: dict[int, list[_Pending]] = field(default_factory=dict)
    """By association: the requests whose results it has not been told."""

    # -- the request

    def action(self, association: AcceptedAssociation, request: Request) -> Iterator[Response]:
        """Answer an N-ACTION, then report on the same association if it stays open (PS3.4 §J.3.2, §J.3.3)."""
        command = request.command
        if not self.peers.may_store(association.calling_ae):
            raise Refused(Status.NOT_AUTHORIZED, "this device may not store")
        if command.requested_sop_class_uid != STORAGE_COMMITMENT:
            raise Refused(Status.NO_SUCH_SOP_CLASS, "no such SOP class")
        if command.requested_sop_instance_uid != WELL_KNOWN_INSTANCE:
            raise Refused(Status.NO_SUCH_SOP_INSTANCE, "no such SOP instance")
        if command.action_type_id != _REQUEST_COMMITMENT:
            raise Refused(Status.NO_SUCH_ACTION_TYPE, "no such action type")
        syntax = request.context.transfer_syntax
        transaction_uid, count = read_head(request.data, syntax, max_references=self.max_references)
        if len(request.data) <= _READ_AT_ONCE:
            parse_request(request.data, syntax)
        self._check_room(association.calling_ae, count)
        row_id = self._keep(association, request, transaction_uid, count)
        fields = {"calling": association.calling_ae, "instances": count}
        logger.info("storage commitment requested", extra={"fields": fields})
        yield Response(Status.SUCCESS)
        self._pending.setdefault(association.id, []).append(_Pending(row_id, request.context))
        self._report_here(association)

    def _check_room(self, ae_title: str, count: int) -> None:
        waiting = select(func.coalesce(func.sum(commitment.c.reference_count), 0)).where(
            commitment.c.ae_title == ae_title, commitment.c.next_attempt.is_not(None)
        )
        with reading(self.engine) as connection:
            if connection.execute(waiting).scalar_one() + count > _OPEN_REQUESTS * self.max_references:
                raise Refused(Status.RESOURCE_LIMITATION, "too many references wait for their result")

    def _keep(self, association: AcceptedAssociation, request: Request, transaction_uid: str, count: int) -> int:
        now = time.time()
        values = {
            "address": association.address,
            "referenced": "",
            "request": request.data,
            "transfer_syntax": request.context.transfer_syntax,
            "reference_count": count,
            "report": None,
            "event_type": None,
            "requested_at": now,
            "next_attempt": now,
            # not before this association had its chance
            "claimed_until": now + self.wait_seconds + CLAIM_SECONDS,
            "attempts": 0,
            "reported_at": None,
        }
        key = {"ae_title": association.calling_ae, "transaction_uid": transaction_uid}
        same = (commitment.c.ae_title == key["ae_title"]) & (commitment.c.transaction_uid == transaction_uid)
        try:
            with self.engine.begin() as connection:
                statement = commitment.insert().values(**key, **values).returning(commitment.c.id)
                return int(connection.execute(statement).scalar_one())
        except IntegrityError:
            # The same transaction again: its requestor has not heard of the first.
            with self.engine.begin() as connection:
                again = update(commitment).where(same).values(**values).returning(commitment.c.id)
                return int(connection.execute(again).scalar_one())

    # -- the report on the same association

    def _report_here(self, association: AcceptedAssociation) -> None:
        """Report each result on the association of its request, unless its requestor ends it before.

        Another request that comes meanwhile is served first, and waits for the results of both. What is left when the
        association ends is reported on a new one (:meth:`ended`).
        """
        pending = self._pending[association.id]
        began = time.monotonic()
        pause = _FIRST_PAUSE
        while pending and time.monotonic() - began < self.wait_seconds + _PATIENCE_SECONDS:
            association.poll(pause)  # raises when the requestor ends the association
            if association.has_waiting or association.is_stopping:
                return
            pause = min(pause * 1.5, _LONGEST_PAUSE)
            if time.monotonic() - began >= self.wait_seconds and (ready := self._next_ready(pending)):
                pause = _FIRST_PAUSE
                pending.remove(ready)
                self._report(association, ready)

    def _next_ready(self, pending: list[_Pending]) -> _Pending | None:
        by_id = {one.row_id: one for one in pending}
        query = select(commitment.c.id).where(commitment.c.id.in_(by_id), commitment.c.report.is_not(None)).limit(1)
        with reading(self.engine) as connection:
            row_id = connection.execute(query).scalar_one_or_none()
        return None if row_id is None else by_id[row_id]

    def _report(self, association: AcceptedAssociation, pending: _Pending) -> None:
        reported = False
        try:
            with reading(self.engine) as connection:
                row = connection.execute(
                    select(commitment.c.report, commitment.c.event_type).where(commitment.c.id == pending.row_id)
                ).one()
            elements: dict[str, str | int] = {
                "AffectedSOPClassUID": STORAGE_COMMITMENT,
                "AffectedSOPInstanceUID": WELL_KNOWN_INSTANCE,
                "EventTypeID": row.event_type,
            }
            answer, _ = association.request(CommandField.N_EVENT_REPORT_RQ, pending.context, elements, row.report)
            reported = answer.status == Status.SUCCESS
        finally:
            self._hand_over([pending], reported_at=time.time() if reported else None)

    def ended(self, association: AcceptedAssociation) -> None:
        """The association has ended: what it was not told is told elsewhere, at once."""
        pending = self._pending.pop(association.id, None)
        if pending:
            with suppress(SQLAlchemyError):  # then it is due when the claim is over
                self._hand_over(pending, reported_at=None)

    def _hand_over(self, pending: list[_Pending], *, reported_at: float | None) -> None:
        """Leave requests to the other process: to be reported, or to be finished."""
        with self.engine.begin() as connection:
            connection.execute(
                update(commitment)
                .where(commitment.c.id.in_([one.row_id for one in pending]))
                .values(claimed_until=0, reported_at=reported_at)
            )

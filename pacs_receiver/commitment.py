"""Storage Commitment Push Model (PS3.4 Annex J): what the modality waits for before it deletes its copy.

The request is kept in the index before it is answered, and is due until its result has been reported: on the same
association when the requestor keeps that open, else on a new one to where the peers' file says.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from io import BytesIO
from typing import TYPE_CHECKING

from pydicom import Dataset
from pydicom.uid import UID
from pynetdicom import AE, build_role
from pynetdicom.dsutils import decode, encode
from sqlalchemy import Engine, select, update
from sqlalchemy.exc import IntegrityError

from dicom_listener.dimse import CommandField
from dicom_listener.service import Refused, Response
from pacs_receiver import jobs, uids
from pacs_receiver.database import reading
from pacs_receiver.index_tables import commitment, instance, series, study
from pacs_receiver.part10 import NotPart10
from pacs_receiver.peer_book import PeerBook
from pacs_receiver.sop_classes import STORAGE_COMMITMENT
from pacs_receiver.statuses import Status
from pacs_receiver.storage import Storage, read_stored, relative_path

if TYPE_CHECKING:
    from dicom_listener.association import Association
    from dicom_listener.service import Context, Request
    from pacs_receiver.config import PacsConfig

log = logging.getLogger(__name__)

WELL_KNOWN_INSTANCE = "1.2.840.10008.1.20.1.1"
_REQUEST_COMMITMENT = 1
_ALL_COMMITTED, _SOME_FAILED = 1, 2
_CLAIM_SECONDS = 300.0
_POLL_SECONDS = 0.05
_CONNECT_SECONDS = 10
_LOOKUP_SIZE = 500
_DAY = 86400.0

Reference = tuple[str, str]
"""SOP class and SOP instance UID."""


class Failure(IntEnum):
    """Failure Reason (0008,1197), PS3.3 §C.14.1.1."""

    PROCESSING_FAILURE = 0x0110
    NO_SUCH_OBJECT_INSTANCE = 0x0112
    CLASS_INSTANCE_CONFLICT = 0x0119


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a request: references that are safe here, and those that are not, with the reason."""

    transaction_uid: str
    committed: tuple[Reference, ...]
    failed: tuple[tuple[Reference, Failure], ...]

    @property
    def event_type(self) -> int:
        return _SOME_FAILED if self.failed else _ALL_COMMITTED

    def data_set(self) -> Dataset:
        """The Event Information (PS3.4 Table J.3-2)."""
        ds = Dataset()
        ds.TransactionUID = UID(self.transaction_uid)
        if self.committed:
            ds.ReferencedSOPSequence = [_item(reference) for reference in self.committed]
        if self.failed:
            ds.FailedSOPSequence = [_item(reference, reason) for reference, reason in self.failed]
        return ds


def _item(reference: Reference, reason: Failure | None = None) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = UID(reference[0])
    item.ReferencedSOPInstanceUID = UID(reference[1])
    if reason is not None:
        item.FailureReason = int(reason)
    return item


@dataclass(frozen=True, slots=True)
class Commitments:
    """Storage Commitment for one process."""

    engine: Engine
    storage: Storage
    peers: PeerBook
    ae_title: str
    verify_hash: bool
    wait_seconds: float
    give_up_seconds: float

    @classmethod
    def of(cls, config: PacsConfig, engine: Engine, storage: Storage, peers: PeerBook) -> Commitments:
        """Return them as the settings say."""
        return cls(
            engine=engine,
            storage=storage,
            peers=peers,
            ae_title=config.listener.ae_title,
            verify_hash=config.commit_verify_hash,
            wait_seconds=config.commit_wait_seconds,
            give_up_seconds=config.commit_give_up_days * _DAY,
        )

    # -- the request

    def action(self, association: Association, request: Request) -> Iterator[Response]:
        """Answer an N-ACTION, then report on the same association if it stays open (PS3.4 §J.3.2, §J.3.3)."""
        command = request.command
        if not self.peers.may_store(association.calling_ae):
            raise Refused(Status.NOT_AUTHORIZED, "this device may not store")
        if command.requested_sop_class_uid != STORAGE_COMMITMENT:
            raise Refused(0x0118, "no such SOP class")
        if command.requested_sop_instance_uid != WELL_KNOWN_INSTANCE:
            raise Refused(0x0112, "no such SOP instance")
        if command.action_type_id != _REQUEST_COMMITMENT:
            raise Refused(0x0123, "no such action type")
        transaction_uid, references = parse_request(request.data, request.context.transfer_syntax)
        row_id = self._keep(association, transaction_uid, references)
        log.info("storage commitment of %d instances requested by %s", len(references), association.calling_ae)
        yield Response(Status.SUCCESS)
        self._report_here(association, request.context, row_id)

    def _keep(self, association: Association, transaction_uid: str, references: tuple[Reference, ...]) -> int:
        now = time.time()
        values = {
            "address": association.address,
            "referenced": json.dumps(references),
            "requested_at": now,
            "next_attempt": now,
            # not before this association had its chance
            "claimed_until": now + self.wait_seconds + _CLAIM_SECONDS,
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

    def _report_here(self, association: Association, context: Context, row_id: int) -> None:
        """Report on the association of the request, unless its requestor ends it within the time to wait."""
        reported = False
        try:
            result = self._check(row_id)
            deadline = time.monotonic() + self.wait_seconds
            while time.monotonic() < deadline:
                association.poll()  # raises when the requestor ends the association
                time.sleep(_POLL_SECONDS)
            syntax = UID(context.transfer_syntax)
            data = encode(result.data_set(), syntax.is_implicit_VR, syntax.is_little_endian)
            answer, _ = association.request(
                CommandField.N_EVENT_REPORT_RQ,
                context,
                {
                    "AffectedSOPClassUID": STORAGE_COMMITMENT,
                    "AffectedSOPInstanceUID": WELL_KNOWN_INSTANCE,
                    "EventTypeID": result.event_type,
                },
                data,
            )
            reported = answer.status == Status.SUCCESS
            if reported:
                self._finish(row_id, result)
        finally:
            if not reported:
                self._make_due(row_id)

    def _make_due(self, row_id: int) -> None:
        with self.engine.begin() as connection:
            connection.execute(update(commitment).where(commitment.c.id == row_id).values(claimed_until=0))

    # -- the report on a new association

    def report_due(self) -> int:
        """Report what is due, each on a new association; return how many were reported."""
        reported = 0
        for row_id in jobs.due(self.engine, commitment, time.time()):
            if jobs.claim(self.engine, commitment, row_id, time.time(), _CLAIM_SECONDS):
                reported += self._report_elsewhere(row_id)
        return reported

    def _report_elsewhere(self, row_id: int) -> bool:
        with reading(self.engine) as connection:
            row = connection.execute(select(commitment).where(commitment.c.id == row_id)).one()
        peer = self.peers.get(row.ae_title)
        if peer is not None and peer.can_be_called:
            result = self._check(row_id)
            if send_report(self.ae_title, peer.host, peer.port, row.ae_title, result):
                self._finish(row_id, result)
                return True
            reason = "it could not be reached"
        else:
            reason = "the peers' file has no host and port for it"
        if time.time() - row.requested_at > self.give_up_seconds:
            log.error("gave up reporting a storage commitment to %s: %s", row.ae_title, reason)
            with self.engine.begin() as connection:
                connection.execute(update(commitment).where(commitment.c.id == row_id).values(next_attempt=None))
            return False
        log.warning("a storage commitment result for %s waits: %s", row.ae_title, reason)
        jobs.try_again(self.engine, commitment, row_id, time.time(), row.attempts)
        return False

    # -- the check

    def _check(self, row_id: int) -> Result:
        with reading(self.engine) as connection:
            row = connection.execute(select(commitment).where(commitment.c.id == row_id)).one()
        references: list[Reference] = [(item[0], item[1]) for item in json.loads(row.referenced)]
        found = self._look_up({reference[1] for reference in references})
        committed: list[Reference] = []
        failed: list[tuple[Reference, Failure]] = []
        for reference in references:
            failure = self._failure(reference, found.get(reference[1]))
            if failure is None:
                committed.append(reference)
            else:
                failed.append((reference, failure))
        return Result(row.transaction_uid, tuple(committed), tuple(failed))

    def _look_up(self, instance_uids: set[str]) -> dict[str, _Row]:
        wanted = sorted(instance_uids)
        found: dict[str, _Row] = {}
        for start in range(0, len(wanted), _LOOKUP_SIZE):
            query = (
                select(
                    instance.c.sop_instance_uid,
                    instance.c.sop_class_uid,
                    study.c.study_uid,
                    series.c.series_uid,
                    instance.c.file_bytes,
                    instance.c.sha256,
                )
                .join_from(instance, series, instance.c.series == series.c.id)
                .join(study, series.c.study == study.c.id)
                .where(instance.c.sop_instance_uid.in_(wanted[start : start + _LOOKUP_SIZE]))
            )
            with reading(self.engine) as connection:
                for row in connection.execute(query):
                    found[row.sop_instance_uid] = _Row(
                        row.sop_class_uid,
                        relative_path(row.study_uid, row.series_uid, row.sop_instance_uid),
                        row.file_bytes,
                        bytes(row.sha256),
                    )
        return found

    def _failure(self, reference: Reference, row: _Row | None) -> Failure | None:
        """Say why an instance can't be committed to; None when file and index agree that it is safe."""
        if row is None:
            return Failure.NO_SUCH_OBJECT_INSTANCE
        if row.sop_class_uid != reference[0]:
            return Failure.CLASS_INSTANCE_CONFLICT
        try:
            return None if self._is_whole(row) else Failure.PROCESSING_FAILURE
        except FileNotFoundError:
            return Failure.NO_SUCH_OBJECT_INSTANCE

    def _is_whole(self, row: _Row) -> bool:
        path = self.storage.root / row.relative
        if path.stat().st_size != row.file_bytes:
            return False
        if not self.verify_hash:
            return True
        try:
            return read_stored(path).sha256 == row.sha256
        except (NotPart10, PermissionError):
            return False

    def _finish(self, row_id: int, result: Result) -> None:
        now = time.time()
        with self.engine.begin() as connection:
            connection.execute(
                update(commitment)
                .where(commitment.c.id == row_id)
                .values(reported_at=now, next_attempt=None, claimed_until=0)
            )
            safe = sorted(reference[1] for reference in result.committed)
            for start in range(0, len(safe), _LOOKUP_SIZE):
                connection.execute(
                    update(instance)
                    .where(instance.c.sop_instance_uid.in_(safe[start : start + _LOOKUP_SIZE]))
                    .values(committed_at=now)
                )
        log.info("storage commitment reported: %d safe, %d not", len(result.committed), len(result.failed))


@dataclass(frozen=True, slots=True)
class _Row:
    sop_class_uid: str
    relative: str
    file_bytes: int
    sha256: bytes


def parse_request(data: bytes, transfer_syntax: str) -> tuple[str, tuple[Reference, ...]]:
    """Read the Action Information (PS3.4 Table J.3-1). Raises :class:`Refused` with what is wrong."""
    syntax = UID(transfer_syntax)
    try:
        ds = decode(BytesIO(data), syntax.is_implicit_VR, syntax.is_little_endian)
        transaction_uid = str(ds.get("TransactionUID", "") or "")
        items = ds.get("ReferencedSOPSequence") or []
        references = tuple(
            (str(item.get("ReferencedSOPClassUID", "")), str(item.get("ReferencedSOPInstanceUID", "")))
            for item in items
        )
    except Exception as exc:
        raise Refused(0x0110, "the action information can't be read") from exc
    if not uids.is_legal(transaction_uid):
        raise Refused(0x0115, "Transaction UID is missing or not a UID")
    if not references:
        raise Refused(0x0115, "Referenced SOP Sequence is missing or empty")
    if not all(uids.is_legal(uid) for reference in references for uid in reference):
        raise Refused(0x0115, "Referenced SOP Sequence holds what is not a UID")
    return transaction_uid, references


def send_report(own_title: str, host: str, port: int, called_ae: str, result: Result) -> bool:
    """Send an N-EVENT-REPORT on an association of our own; say whether the peer took it."""
    ae = AE(own_title)
    ae.connection_timeout = ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = _CONNECT_SECONDS
    ae.add_requested_context(STORAGE_COMMITMENT)
    # This side is the SCP though it opens the association (PS3.4 §J.3.3, PS3.7 §D.3.3.4).
    association = ae.associate(
        host, port, ae_title=called_ae, ext_neg=[build_role(STORAGE_COMMITMENT, scu_role=False, scp_role=True)]
    )
    if not association.is_established:
        return False
    try:
        status, _ = association.send_n_event_report(
            result.data_set(), result.event_type, STORAGE_COMMITMENT, WELL_KNOWN_INSTANCE
        )
        return "Status" in status and status.Status == Status.SUCCESS
    except (RuntimeError, ValueError):
        # no context was accepted for it
        return False
    finally:
        association.release()

"""The part of Storage Commitment beside the workers: checking, calling requestors back, marking what is safe."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydicom import Dataset
from pydicom.uid import UID
from pynetdicom import AE, build_role
from sqlalchemy import Engine, Row, select, update

from dicom_encoding.part10 import NotPart10
from dicom_encoding.statuses import Status
from dicom_listener.service import Refused
from pacs_receiver import aside, jobs
from pacs_receiver.commitment import CLAIM_SECONDS, WELL_KNOWN_INSTANCE
from pacs_receiver.commitment_data import Failure, Reference, Result, committed_in, parse_request
from pacs_receiver.database import reading
from pacs_receiver.due import SKEW_SECONDS
from pacs_receiver.index_tables import commitment, instance, series, study
from pacs_receiver.peer_book import PeerBook
from pacs_receiver.sop_classes import STORAGE_COMMITMENT
from pacs_receiver.storage import Storage, read_stored, relative_path

if TYPE_CHECKING:
    from pacs_receiver.config import PacsConfig

logger = logging.getLogger(__name__)

_CONNECT_SECONDS = 10
_LOOKUP_SIZE = 500
_DAY = 86400.0
_KEEP_SECONDS = 90 * _DAY


@dataclass(frozen=True, slots=True)
class CommitmentJobs:
    """Storage Commitment for one process beside the workers."""

    engine: Engine
    storage: Storage
    peers: PeerBook
    ae_title: str
    verify_hash: bool
    give_up_seconds: float
    wait_seconds: float

    @classmethod
    def of(cls, config: PacsConfig, engine: Engine, storage: Storage, peers: PeerBook) -> CommitmentJobs:
        """Return them as the settings say."""
        return cls(
            engine=engine,
            storage=storage,
            peers=peers,
            ae_title=config.listener.ae_title,
            verify_hash=config.commit_verify_hash,
            give_up_seconds=config.commit_give_up_days * _DAY,
            wait_seconds=config.commit_wait_seconds,
        )

    # -- for the association of the request

    def prepare_awaited(self) -> int:
        """Make the reports for which an association waits; return how many."""
        query = (
            select(commitment.c.id)
            .where(
                commitment.c.next_attempt.is_not(None),
                commitment.c.report.is_(None),
                commitment.c.reported_at.is_(None),
                commitment.c.attempts == 0,
                commitment.c.claimed_until > time.time(),
            )
            .order_by(commitment.c.id)
        )
        with reading(self.engine) as connection:
            row_ids = connection.execute(query).scalars().all()
        return sum(self._prepare(row_id) for row_id in row_ids)

    def _prepare(self, row_id: int) -> bool:
        row = self._row(row_id)
        result = self._check(row)
        if result is None:
            return False
        with self.engine.begin() as connection:
            connection.execute(
                update(commitment)
                # the same transaction may have been requested again meanwhile
                .where(commitment.c.id == row_id, commitment.c.requested_at == row.requested_at)
                .values(report=result.encoded(row.transfer_syntax), event_type=result.event_type)
            )
        return True

    # -- on a new association

    def report_due(self) -> int:
        """Finish what was reported; report what is due, each on a new association; return how many were reported."""
        reported = 0
        longest = self.wait_seconds + CLAIM_SECONDS
        for row_id in jobs.due(self.engine, commitment, time.time(), longest_claim=longest):
            if jobs.claim(self.engine, commitment, row_id, time.time(), CLAIM_SECONDS, longest_claim=longest):
                reported += self._report_or_finish(row_id)
        return reported

    def _report_or_finish(self, row_id: int) -> bool:
        row = self._row(row_id)
        if row.reported_at is not None:
            # what was reported is marked, whatever has changed since
            safe = committed_in(bytes(row.report), row.transfer_syntax)
            self._finish(row_id, safe, failed=row.reference_count - len(safe), reported_at=row.reported_at)
            return False
        peer = self.peers.get(row.ae_title)
        if peer is None or not peer.can_be_called:
            self._put_off(row, "no host and port is known for it")
            return False
        result = self._check(row)
        if result is None:
            return False
        if not send_report(self.ae_title, peer.host, peer.port, row.ae_title, result):
            self._put_off(row, "it could not be reached")
            return False
        self._finish(row_id, result.committed, failed=len(result.failed), reported_at=time.time())
        return True

    def _put_off(self, row: Row[tuple[object, ...]], reason: str) -> None:
        waited = time.time() - row.requested_at
        if waited < -SKEW_SECONDS:  # the clock was ahead: the patience begins now
            self._set_requested(row.id, time.time())
        fields = {"calling": row.ae_title, "because": reason}
        if waited > self.give_up_seconds:
            logger.error("gave up reporting a storage commitment", extra={"fields": fields})
            self._close(row.id)
            return
        jobs.try_again(self.engine, commitment, row.id, time.time(), row.attempts)
        logger.warning("a storage commitment result waits", extra={"fields": fields})

    def _set_requested(self, row_id: int, at: float) -> None:
        with self.engine.begin() as connection:
            connection.execute(update(commitment).where(commitment.c.id == row_id).values(requested_at=at))

    def _row(self, row_id: int) -> Row[tuple[object, ...]]:
        with reading(self.engine) as connection:
            return connection.execute(select(commitment).where(commitment.c.id == row_id)).one()

    # -- the check

    def _check(self, row: Row[tuple[object, ...]]) -> Result | None:
        """Say what is safe; None when the request can't be read: then nothing can be said, and it is closed."""
        try:
            references = _references(row)
        except Refused as error:
            fields = {"calling": row.ae_title, "because": error.response.comment}
            logger.warning("a storage commitment can't be read", extra={"fields": fields})
            self._close(row.id)
            return None
        wanted = {reference[1] for reference in references}
        found = self._look_up(wanted)
        differing = aside.sent_by(self.storage.root, row.ae_title, wanted)
        committed: list[Reference] = []
        failed: list[tuple[Reference, Failure]] = []
        for reference in references:
            failure = self._failure(reference, found.get(reference[1]))
            if failure is None and reference[1] in differing:
                # what this AE sent last is not what is kept (docs/conformance-storage.md)
                failure = Failure.PROCESSING_FAILURE
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

    # -- the end

    def _finish(self, row_id: int, committed: tuple[Reference, ...], *, failed: int, reported_at: float) -> None:
        safe = sorted(reference[1] for reference in committed)
        for start in range(0, len(safe), _LOOKUP_SIZE):
            # one transaction for each, so that instances come in between
            with self.engine.begin() as connection:
                connection.execute(
                    update(instance)
                    .where(instance.c.sop_instance_uid.in_(safe[start : start + _LOOKUP_SIZE]))
                    .values(committed_at=reported_at)
                )
        self._close(row_id, reported_at=reported_at)
        logger.info("storage commitment reported", extra={"fields": {"safe": len(safe), "not_safe": failed}})

    def _close(self, row_id: int, **values: float) -> None:
        with self.engine.begin() as connection:
            connection.execute(
                update(commitment)
                .where(commitment.c.id == row_id)
                .values(next_attempt=None, claimed_until=0, request=None, report=None, referenced="", **values)
            )

    def forget_old(self) -> None:
        """Drop the requests that are over since long ago."""
        with self.engine.begin() as connection:
            connection.execute(
                commitment.delete().where(
                    commitment.c.next_attempt.is_(None), commitment.c.requested_at < time.time() - _KEEP_SECONDS
                )
            )


def _references(row: Row[tuple[object, ...]]) -> tuple[Reference, ...]:
    if row.request is not None:
        return parse_request(bytes(row.request), row.transfer_syntax)[1]
    # kept by a version that read the request before it was answered
    return tuple((item[0], item[1]) for item in json.loads(row.referenced))


@dataclass(frozen=True, slots=True)
class _Row:
    sop_class_uid: str
    relative: str
    file_bytes: int
    sha256: bytes


def event_information(result: Result) -> Dataset:
    """The Event Information (PS3.4 Table J.3-2) as a data set."""
    ds = Dataset()
    ds.TransactionUID = UID(result.transaction_uid)
    if result.committed:
        ds.ReferencedSOPSequence = [_item(reference) for reference in result.committed]
    if result.failed:
        ds.FailedSOPSequence = [_item(reference, reason) for reference, reason in result.failed]
    return ds


def _item(reference: Reference, reason: Failure | None = None) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = UID(reference[0])
    item.ReferencedSOPInstanceUID = UID(reference[1])
    if reason is not None:
        item.FailureReason = int(reason)
    return item


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
            event_information(result), result.event_type, STORAGE_COMMITMENT, WELL_KNOWN_INSTANCE
        )
        return "Status" in status and status.Status == Status.SUCCESS
    except (RuntimeError, ValueError):
        # no context was accepted for it
        return False
    finally:
        association.release()

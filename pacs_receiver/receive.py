"""The life of an instance: from the first fragment to Success, which is said only after file and row are durable."""

from __future__ import annotations

import hashlib
import logging
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dicom_encoding import part10, uids
from dicom_encoding.statuses import Status
from dicom_encoding.walk import HIGHEST_NESTING
from dicom_listener.service import Refused, Response
from pacs_receiver import aside, indexed_attributes, metrics
from pacs_receiver.changes import announce_again, place_of, remove_empty_rows, remove_row
from pacs_receiver.exceptions import ReceiverError, StorageFailed
from pacs_receiver.header import INFLATED_LIMIT, Scan
from pacs_receiver.index import IndexOutcome, IndexWriter
from pacs_receiver.index_record import InstanceRecord
from pacs_receiver.oddities import Malformed
from pacs_receiver.peers import STORE
from pacs_receiver.statuses import refusal
from pacs_receiver.storage import IncomingFile, Storage, StoredFile, read_stored, relative_path

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from dicom_listener.service import AcceptedAssociation, Request
    from pacs_receiver.config import DuplicatePolicy
    from pacs_receiver.peer_book import PeerBook

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Receiver:
    """What all receptions of one process share."""

    storage: Storage
    index: IndexWriter
    engine: Engine
    peers: PeerBook
    duplicate_policy: DuplicatePolicy
    implementation_uid: str
    implementation_version: str
    inflated_limit: int = INFLATED_LIMIT
    max_nesting: int = HIGHEST_NESTING
    refuse_odd: bool = False

    def open(self, association: AcceptedAssociation, request: Request) -> InstanceReception:
        """Begin to receive the instance of a C-STORE request (PS3.4 §B.2).

        :raises Refused: with the status that the sender is told.
        """
        try:
            return self._open(association, request)
        except ReceiverError as error:
            raise _refused(association.calling_ae, refusal(error)) from error

    def _open(self, association: AcceptedAssociation, request: Request) -> InstanceReception:
        sop_class = request.command.affected_sop_class_uid or ""
        sop_instance = request.command.affected_sop_instance_uid or ""
        if sop_class != request.context.abstract_syntax:
            raise _refused(
                association.calling_ae,
                Refused(Status.SOP_CLASS_NOT_SUPPORTED, "SOP class is not that of the presentation context"),
            )
        peer = self.peers.get(association.calling_ae)
        if peer is not None and not peer.may(STORE):
            raise _refused(association.calling_ae, Refused(Status.NOT_AUTHORIZED, "this device may not store"))
        if peer is not None and peer.sop_classes and sop_class not in peer.sop_classes:
            raise _refused(
                association.calling_ae, Refused(Status.NOT_AUTHORIZED, "this SOP class is not accepted from this AE")
            )
        if not uids.is_usable(sop_instance):
            raise _refused(
                association.calling_ae, Refused(Status.INVALID_SOP_INSTANCE, "Affected SOP Instance UID is not a UID")
            )
        meta = part10.header(
            sop_class=sop_class,
            sop_instance=sop_instance,
            transfer_syntax=request.context.transfer_syntax,
            source_ae=association.calling_ae,
            implementation_uid=self.implementation_uid,
            implementation_version=self.implementation_version,
        )
        return InstanceReception(self, self.storage.create(), meta, association, request)


class InstanceReception:
    """One instance on its way in: the sink of one C-STORE request."""

    def __init__(
        self, receiver: Receiver, file: IncomingFile, meta: bytes, association: AcceptedAssociation, request: Request
    ) -> None:
        self._began = time.perf_counter()
        self._receiver = receiver
        self._file = file
        self._meta = meta
        self._header_bytes = len(meta)
        self._sop_class = request.context.abstract_syntax
        self._sop_instance = request.command.affected_sop_instance_uid or ""
        self._transfer_syntax = request.context.transfer_syntax
        self._calling_ae = association.calling_ae
        self._address = association.address
        self._scan = Scan(
            request.context.transfer_syntax,
            inflated_limit=receiver.inflated_limit,
            max_nesting=receiver.max_nesting,
            refuse_odd=receiver.refuse_odd,
        )
        self._digest = hashlib.sha256()

    def write(self, fragment: memoryview) -> None:
        """Take a fragment: to the file, into the hash, past the scan."""
        try:
            if self._meta:
                self._file.write(self._meta, fragment)
                self._meta = b""
            else:
                self._file.write(fragment)
            self._digest.update(fragment)
            self._scan.feed(fragment)
        except Malformed as error:
            raise self._malformed(error) from error
        except ReceiverError as error:
            raise self._refused(refusal(error)) from error

    def finish(self) -> Response:
        """Check, make durable, index; only then say so."""
        try:
            record = self._checked()
            self._file.make_durable()
            response = self._publish(record)
        except Malformed as error:
            raise self._malformed(error) from error
        except ReceiverError as error:
            raise self._refused(refusal(error)) from error
        except Refused as error:
            raise self._refused(error) from error
        self._file.discard()
        if record.odd:
            metrics.ODD.inc()
            fields = {"calling": self._calling_ae, "instance": self._sop_instance, "odd": record.odd}
            logger.warning("kept an odd data set as it came", extra={"fields": fields})
        metrics.STORE_SECONDS.observe(time.perf_counter() - self._began)
        return response

    def abandon(self) -> None:
        """Leave no trace."""
        self._file.discard()

    def _refused(self, refused: Refused) -> Refused:
        return _refused(self._calling_ae, refused)

    def _malformed(self, error: Malformed) -> Refused:
        fields = {"instance": self._sop_instance, "place": error.at}
        logger.warning("a data set can't be read", extra={"fields": fields})
        return self._refused(Refused(Status.CANNOT_UNDERSTAND, str(error)))

    def _checked(self) -> InstanceRecord:
        """Check the data set against the command (PS3.4 §B.2.2) and for what a place in the storage needs."""
        self._scan.finish()
        values = self._scan.values
        if uids.decode(values.get(indexed_attributes.SOP_CLASS_UID)) != self._sop_class:
            raise Refused(Status.DATA_SET_DOES_NOT_MATCH, "SOP Class UID differs from the command's")
        if uids.decode(values.get(indexed_attributes.SOP_INSTANCE_UID)) != self._sop_instance:
            raise Refused(Status.DATA_SET_DOES_NOT_MATCH, "SOP Instance UID differs from the command's")
        study = uids.decode(values.get(indexed_attributes.STUDY_INSTANCE_UID))
        if not uids.is_usable(study):
            raise Refused(Status.UNABLE_TO_PROCESS, "Study Instance UID is missing or not a UID")
        series = uids.decode(values.get(indexed_attributes.SERIES_INSTANCE_UID))
        if not uids.is_usable(series):
            raise Refused(Status.UNABLE_TO_PROCESS, "Series Instance UID is missing or not a UID")
        return InstanceRecord(
            study_uid=study,
            series_uid=series,
            sop_instance_uid=self._sop_instance,
            sop_class_uid=self._sop_class,
            transfer_syntax=self._transfer_syntax,
            data_bytes=self._file.size - self._header_bytes,
            file_bytes=self._file.size,
            sha256=self._digest.digest(),
            calling_ae=self._calling_ae,
            address=self._address,
            arrived_at=time.time(),
            values=values,
            odd=self._scan.odd,
        )

    def _publish(self, record: InstanceRecord) -> Response:
        relative = relative_path(record.study_uid, record.series_uid, record.sop_instance_uid)
        while not self._file.publish(relative):
            try:
                return self._came_again(record, relative)
            except FileNotFoundError:
                # it was deleted between the two looks: its place is free again
                continue
        outcome = self._receiver.index.add(record)
        if outcome is IndexOutcome.DIFFERENT_BYTES:
            fields = {"instance": record.sop_instance_uid}
            logger.warning("an instance whose file was lost came again", extra={"fields": fields})
            self._reindex(record)
        elif outcome is IndexOutcome.ELSEWHERE:
            return self._other_study(record, relative)
        metrics.INSTANCES.inc()
        metrics.BYTES.inc(record.data_bytes)
        return Response(Status.SUCCESS)

    def _came_again(self, record: InstanceRecord, relative: str) -> Response:
        """The place is taken: by the same bytes, by different ones, or by a file that decayed."""
        storage = self._receiver.storage
        path = storage.root / relative
        stored = _read(storage, relative)
        if stored is not None and stored.sha256 == record.sha256:
            # Whoever wrote it may not have finished: Success needs file and row to be durable all the same.
            storage.make_durable(path)
            record = replace(record, file_bytes=stored.file_bytes)
            outcome = self._receiver.index.add(record)
            if outcome is IndexOutcome.DIFFERENT_BYTES:
                self._reindex(record)
            elif outcome is IndexOutcome.ELSEWHERE:
                # the last time it came, setting it aside failed
                return self._other_study(record, relative)
            metrics.DUPLICATES.inc()
            return Response(Status.SUCCESS)
        if stored is None or self._was_stored(record):
            fields = {"instance": record.sop_instance_uid}
            logger.error("a damaged file is replaced by what came again", extra={"fields": fields})
            aside.keep(storage, path, record.sop_instance_uid, b"")
            self._file.replace(path)
            self._reindex(record)
            return Response(Status.SUCCESS)
        if self._receiver.duplicate_policy == "replace":
            aside.keep(storage, path, record.sop_instance_uid, stored.sha256)
            self._file.replace(path)
            self._reindex(record)
            return self._conflict(record, "replaced the first")
        self._file.name_as(aside.path_for(storage.root, record.sop_instance_uid, record.sha256))
        announce_again(self._receiver.engine, record.sop_instance_uid)
        return self._conflict(record, "kept aside")

    def _other_study(self, record: InstanceRecord, relative: str) -> Response:
        """The SOP Instance UID belongs to an instance of another study or series."""
        storage = self._receiver.storage
        if self._receiver.duplicate_policy == "replace":
            old = place_of(self._receiver.engine, record.sop_instance_uid)
            if old is not None:
                path = storage.root / relative_path(*old.uids)
                aside.move(storage, path, record.sop_instance_uid, old.sha256, was_replaced=True)
            self._reindex(record)
            return self._conflict(record, "replaced one of another study")
        aside.move(storage, storage.root / relative, record.sop_instance_uid, record.sha256)
        remove_empty_rows(self._receiver.engine, record.study_uid)
        announce_again(self._receiver.engine, record.sop_instance_uid)
        return self._conflict(record, "its UID belongs to another study")

    def _conflict(self, record: InstanceRecord, what: str) -> Response:
        metrics.CONFLICTS.inc()
        fields = {"instance": record.sop_instance_uid, "outcome": what}
        logger.warning("an instance came again with different bytes", extra={"fields": fields})
        if self._receiver.duplicate_policy == "refuse":
            raise Refused(Status.DUPLICATE_SOP_INSTANCE, "SOP instance exists with different content")
        return Response(Status.SUCCESS)

    def _was_stored(self, record: InstanceRecord) -> bool:
        """Say whether the index knows the newcomer's bytes as those that once arrived: then the file has decayed."""
        place = place_of(self._receiver.engine, record.sop_instance_uid)
        return place is not None and place.sha256 == record.sha256

    def _reindex(self, record: InstanceRecord) -> None:
        remove_row(self._receiver.engine, record.sop_instance_uid)
        self._receiver.index.add(record)


def _read(storage: Storage, relative: str) -> StoredFile | None:
    """Read the file that has the place; None when it is no whole file any more."""
    try:
        return read_stored(storage.root / relative)
    except part10.NotPart10:
        return None
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StorageFailed(error.strerror) from error


def _refused(calling_ae: str, refused: Refused) -> Refused:
    status = f"{refused.response.status:04X}"
    metrics.REFUSED.labels(status).inc()
    fields = {"calling": calling_ae, "status": status, "because": refused.response.comment}
    logger.warning("refused an instance", extra={"fields": fields})
    return refused

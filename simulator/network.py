"""What a scanner says on the network: worklist query, MPPS, storage, storage commitment. pynetdicom's SCU side."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydicom import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, build_role, evt
from pynetdicom.association import Association

from dicom_encoding.statuses import Status, is_success
from simulator.answers import keep_answers
from simulator.examination import new_uid

WORKLIST = UID("1.2.840.10008.5.1.4.31")
PERFORMED_STEP = UID("1.2.840.10008.3.1.2.3.3")
COMMITMENT = UID("1.2.840.10008.1.20.1")
COMMITMENT_INSTANCE = UID("1.2.840.10008.1.20.1.1")
_BOTH = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
_SECONDS = 60
_CONNECT_SECONDS = 10


class NoAnswerError(Exception):
    """The other side did not answer as a scanner needs it to; the text says what happened."""


class NotOfferedError(NoAnswerError):
    """The other side accepts the association, but not the SOP class."""


@dataclass(frozen=True, slots=True)
class ServiceAddress:
    """Where a service is."""

    host: str
    port: int
    ae_title: str

    def __str__(self) -> str:
        return f"{self.ae_title} at {self.host}:{self.port}"


@dataclass(slots=True)
class DimseAnswer:
    """A response's status, its comment, and what came with it."""

    status: int
    comment: str = ""
    data: Dataset = field(default_factory=Dataset)

    @property
    def good(self) -> bool:
        """Success, or a warning, with which a scanner goes on (PS3.7 Annex C)."""
        return is_success(self.status)

    def __str__(self) -> str:
        said = "Success" if self.status == 0 else self.comment
        return f"{self.status:04X} {said}".rstrip()


@dataclass(slots=True)
class QueryOutcome:
    """A worklist query's outcome: the entries, and the final status."""

    entries: list[Dataset]
    final: DimseAnswer


@dataclass(slots=True)
class Committed:
    """The result of a commitment request: how many are safe, which are not and why, and over what it came."""

    committed: int
    failed: dict[str, int]
    association: Association


class Results:
    """Commitment results that came in, over any association, by Transaction UID."""

    def __init__(self) -> None:
        self._arrived = threading.Condition()
        self._results: dict[str, Committed] = {}

    def take(self, event: Any) -> tuple[int, None]:
        """Handle an N-EVENT-REPORT (PS3.4 §J.3.3)."""
        ds = event.event_information
        failed = {
            str(item.ReferencedSOPInstanceUID): int(item.get("FailureReason") or 0)
            for item in ds.get("FailedSOPSequence") or []
        }
        result = Committed(len(ds.get("ReferencedSOPSequence") or []), failed, event.assoc)
        with self._arrived:
            self._results[str(ds.get("TransactionUID"))] = result
            self._arrived.notify_all()
        return Status.SUCCESS, None

    def wait(self, transaction_uid: str, seconds: float) -> Committed | None:
        """Return the result of a transaction; None when it has not come in time."""
        with self._arrived:
            self._arrived.wait_for(lambda: transaction_uid in self._results, seconds)
            return self._results.pop(transaction_uid, None)

    @contextlib.contextmanager
    def listening(self, port: int) -> Iterator[None]:
        """Take results that come on associations of the other side's."""
        ae = AE(ae_title="SIMULATOR")
        ae.add_supported_context(COMMITMENT, list(_BOTH), scu_role=True, scp_role=True)
        ae.add_supported_context("1.2.840.10008.1.1")
        ae.start_server(("", port), block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, self.take)])
        try:
            yield
        finally:
            ae.shutdown()


class Scanner:
    """One station's side of the network."""

    def __init__(self, ae_title: str, results: Results) -> None:
        self._ae_title = ae_title
        self._results = results

    @contextlib.contextmanager
    def _association(
        self, peer: ServiceAddress, sop_class: UID, syntaxes: Sequence[str] = _BOTH, **options: Any
    ) -> Iterator[Association]:
        ae = AE(ae_title=self._ae_title)
        ae.add_requested_context(sop_class, list(syntaxes))
        ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = _SECONDS
        ae.connection_timeout = _CONNECT_SECONDS
        assoc = ae.associate(peer.host, peer.port, ae_title=peer.ae_title, **options)
        try:
            if not assoc.is_established:
                raise _refusal(assoc, peer, sop_class)
            yield assoc
        finally:
            if assoc.is_established:
                assoc.release()

    @contextlib.contextmanager
    def _asking(self, peer: ServiceAddress, sop_class: UID, syntaxes: Sequence[str] = _BOTH) -> Iterator[Association]:
        with self._association(peer, sop_class, syntaxes) as assoc:
            keep_answers(assoc)
            yield assoc

    def query(self, peer: ServiceAddress, identifier: Dataset, syntaxes: Sequence[str]) -> QueryOutcome:
        """Send a worklist query and take all that comes back."""
        entries: list[Dataset] = []
        with self._asking(peer, WORKLIST, syntaxes) as assoc:
            final = DimseAnswer(Status.CANNOT_UNDERSTAND, "no answer")
            for status, entry in assoc.send_c_find(identifier, WORKLIST):
                final = _answer(status)
                if entry is not None:
                    entries.append(entry)
        return QueryOutcome(entries, final)

    def create_step(self, peer: ServiceAddress, ds: Dataset, uid: UID) -> DimseAnswer:
        """MPPS N-CREATE."""
        with self._asking(peer, PERFORMED_STEP) as assoc:
            status, _ = assoc.send_n_create(ds, PERFORMED_STEP, uid)
            return _answer(status)

    def set_step(self, peer: ServiceAddress, ds: Dataset, uid: UID) -> DimseAnswer:
        """MPPS N-SET."""
        with self._asking(peer, PERFORMED_STEP) as assoc:
            status, _ = assoc.send_n_set(ds, PERFORMED_STEP, uid)
            return _answer(status)

    def store(
        self,
        peer: ServiceAddress,
        sop_class: UID,
        images: Iterator[Dataset],
        stored: Callable[[Dataset, DimseAnswer], None],
    ) -> None:
        """C-STORE images over one association, each as it is made; tell ``stored`` of each."""
        with self._asking(peer, sop_class, (ExplicitVRLittleEndian,)) as assoc:
            for image in images:
                stored(image, _answer(assoc.send_c_store(image)))
                if not assoc.is_established:
                    raise NoAnswerError("the receiver ended the association")

    def commit(
        self, peer: ServiceAddress, references: Sequence[tuple[str, str]], seconds: float
    ) -> tuple[DimseAnswer, Committed | None]:
        """Ask for storage commitment and wait for the result, on the same association or on another."""
        ds = Dataset()
        ds.TransactionUID = new_uid()
        ds.ReferencedSOPSequence = [_reference(*reference) for reference in references]
        role = build_role(COMMITMENT, scu_role=True, scp_role=True)
        answered = threading.Event()

        def sent(event: Any) -> None:
            if type(event.message).__name__ == "N_EVENT_REPORT_RSP":
                answered.set()

        handlers = [(evt.EVT_N_EVENT_REPORT, self._results.take), (evt.EVT_DIMSE_SENT, sent)]
        with self._association(peer, COMMITMENT, evt_handlers=handlers, ext_neg=[role]) as assoc:
            let_the_peer_ask = keep_answers(assoc)
            status, _ = assoc.send_n_action(ds, 1, COMMITMENT, COMMITMENT_INSTANCE)
            let_the_peer_ask()
            answer = _answer(status)
            result = self._results.wait(str(ds.TransactionUID), seconds) if answer.good else None
            if result is not None and result.association is assoc:
                # The result is there before its response is sent; a release in between would break the association.
                answered.wait(_CONNECT_SECONDS)
        return answer, result


def _reference(sop_class: str, instance: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, instance
    return item


def _answer(status: Dataset) -> DimseAnswer:
    if "Status" not in status:
        raise NoAnswerError("no answer: the association was ended, or it took too long")
    return DimseAnswer(int(status.Status), str(status.get("ErrorComment") or ""))


def _refusal(assoc: Association, peer: ServiceAddress, sop_class: UID) -> NoAnswerError:
    if assoc.rejected_contexts and not assoc.is_rejected:
        return NotOfferedError(f"{peer} does not offer {sop_class.name}")
    if assoc.is_rejected:
        primitive = assoc.acceptor.primitive
        reason = getattr(primitive, "reason_str", "") if primitive is not None else ""
        return NoAnswerError(f"{peer} rejected the association: {reason or 'without a reason'}")
    return NoAnswerError(f"{peer} cannot be reached")

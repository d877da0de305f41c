"""A modality's side of a worklist query, with pynetdicom."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from pydicom import Dataset
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.sop_class import ModalityWorklistInformationFind, Verification  # type: ignore[attr-defined]

from dicom_encoding.syntaxes import EXPLICIT_LITTLE
from simulator.answers import keep_answers


@dataclass
class Answer:
    """The responses to one C-FIND: identifiers of the pending ones, and statuses of all."""

    identifiers: list[Dataset] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    last: Dataset = field(default_factory=Dataset)

    @property
    def final(self) -> int:
        return self.statuses[-1]


@contextmanager
def association(
    port: int, *, calling: str = "WORKSTATION", transfer_syntax: str = EXPLICIT_LITTLE
) -> Iterator[Association]:
    """An association with the provider."""
    ae = AE(ae_title=calling)
    ae.add_requested_context(ModalityWorklistInformationFind, transfer_syntax)
    ae.add_requested_context(Verification)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 30
    opened = ae.associate("127.0.0.1", port, ae_title="MWL_SCP")
    assert opened.is_established
    keep_answers(opened)
    try:
        yield opened
    finally:
        if opened.is_established:
            opened.release()


def find(port: int, ds: Dataset, *, calling: str = "WORKSTATION", transfer_syntax: str = EXPLICIT_LITTLE) -> Answer:
    """Send one query and return all that comes back."""
    answer = Answer()
    with association(port, calling=calling, transfer_syntax=transfer_syntax) as opened:
        for status, ds_ in opened.send_c_find(ds, ModalityWorklistInformationFind):
            answer.statuses.append(status.Status)
            answer.last = status
            if ds_ is not None:
                answer.identifiers.append(ds_)
    return answer

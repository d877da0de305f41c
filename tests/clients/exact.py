"""An SCU that sends a data set's bytes exactly as they are, which those that parse it first do not promise."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from pydicom import FileDataset, dcmread
from pydicom.filereader import read_preamble
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE

from simulator.answers import keep_answers


@dataclass(frozen=True, slots=True)
class Instance:
    """What is in a Part 10 file: ``data_set`` is everything after the file meta information."""

    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    data_set: bytes


def read_instance(path: Path) -> Instance | None:
    """Return the instance in a file; None where nothing could be sent: no Part 10 file, no SOP class or instance."""
    whole = path.read_bytes()
    if whole[128:132] != b"DICM":
        return None
    parsed = read_tolerantly(path)
    transfer_syntax = parsed.file_meta.get("TransferSyntaxUID")
    sop_class, sop_instance = parsed.get("SOPClassUID"), parsed.get("SOPInstanceUID")
    if not (transfer_syntax and sop_class and sop_instance):
        return None
    return Instance(path, str(sop_class), str(sop_instance), str(transfer_syntax), data_set_bytes(path))


def read_tolerantly(path: Path) -> FileDataset:
    """Return what is in a file, pixels left out, without a warning for what pydicom's odd test files have wrong."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return dcmread(path, force=True, stop_before_pixels=True)


def data_set_bytes(path: Path) -> bytes:
    """Return what follows the file meta information of a Part 10 file, untouched (PS3.10 §7.1)."""
    with path.open("rb") as file:
        read_preamble(file, force=False)
        # File Meta Information Group Length comes first, Explicit VR Little Endian, four bytes of value
        header = file.read(12)
        if header[:6] != b"\x02\x00\x00\x00UL":
            raise ValueError(f"{path.name} has no group length")
        file.seek(int.from_bytes(header[8:], "little"), 1)
        return file.read()


@contextmanager
def association(port: int, contexts: Iterable[tuple[str, str]], *, called: str = "PACS") -> Iterator[Association]:
    """Open an association that proposes pairs of SOP class and transfer syntax; release it at the end."""
    ae = AE(ae_title="EXACT")
    for sop_class, transfer_syntax in dict.fromkeys(contexts):
        ae.add_requested_context(sop_class, transfer_syntax)
    made = ae.associate("127.0.0.1", port, ae_title=called)
    if not made.is_established:
        raise ConnectionError("the association was not accepted")
    keep_answers(made)
    try:
        yield made
    finally:
        if made.is_established:
            made.release()


def store(made: Association, instance: Instance) -> int:
    """Send one instance; return the status of the response, 0122 where its presentation context was not accepted."""
    context_ids = [
        context.context_id
        for context in made.accepted_contexts
        if context.context_id is not None
        and (context.abstract_syntax, context.transfer_syntax[0])
        == (instance.sop_class_uid, instance.transfer_syntax_uid)
    ]
    if not context_ids:
        return 0x0122
    request = C_STORE()
    request.MessageID = 1
    request.AffectedSOPClassUID = instance.sop_class_uid
    request.AffectedSOPInstanceUID = instance.sop_instance_uid
    request.Priority = 2
    request.DataSet = BytesIO(instance.data_set)
    made.dimse.send_msg(request, context_ids[0])
    _, response = made.dimse.get_msg(block=True)
    if response is None or response.Status is None:
        raise ConnectionError("no response")
    return response.Status

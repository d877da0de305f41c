"""What must never be acknowledged, each with the status that it gets; and what real devices get wrong and may."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import Dataset, dcmread

from dicom_listener.service import Refused
from tests.clients import raw
from tests.pacs_receiver import images
from tests.pacs_receiver.conftest import House, house_at
from tests.pacs_receiver.images import CT, EXPLICIT, encode, image
from tests.pacs_receiver.load import stored_digests, temporary_files
from tests.pacs_receiver.process import ReceiverProcess
from tests.pacs_receiver.testdata import REGULAR, data_set_of

MR = "1.2.840.10008.5.1.4.1.1.4"
IMPLICIT, BIG, DEFLATED = "1.2.840.10008.1.2", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"
JPEG = "1.2.840.10008.1.2.4.50"
CONTEXTS = {EXPLICIT: 1, IMPLICIT: 3, BIG: 5, DEFLATED: 7, JPEG: 9}

SEQUENCE_END = b"\xfe\xff\xdd\xe0\0\0\0\0"
ITEM = b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
ITEM_END = b"\xfe\xff\x0d\xe0\0\0\0\0"


def head(tag: int, vr: str, length: int) -> bytes:
    start = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr.encode()
    if vr in ("OB", "OW", "SQ", "UN", "UT"):
        return start + struct.pack("<HL", 0, length)
    return start + struct.pack("<H", length)


def element(tag: int, vr: str, value: bytes) -> bytes:
    return head(tag, vr, len(value)) + value


def nested(depth: int) -> bytes:
    inner = nested(depth - 1) if depth else b""
    return head(0x00400275, "SQ", 0xFFFFFFFF) + ITEM + inner + ITEM_END + SEQUENCE_END


def deflated(data: bytes) -> bytes:
    deflate = zlib.compressobj(wbits=-15)
    return deflate.compress(data) + deflate.flush()


@dataclass(frozen=True)
class Case:
    """``make`` gives the data set of an instance; the rest says how the command differs from it."""

    status: int
    make: Callable[[Dataset], bytes]
    transfer_syntax: str = EXPLICIT
    sop_class: str = CT
    instance: str | None = None


def edited(**values: object) -> Callable[[Dataset], bytes]:
    """Set attributes, or leave them out where the value is None."""

    def make(ds: Dataset) -> bytes:
        for keyword, value in values.items():
            if value is None:
                delattr(ds, keyword)
            else:
                element_ = ds[keyword]
                # past the validation of pydicom's own setters
                element_._value = value
        return encode(ds)

    return make


def with_tail(tail: bytes) -> Callable[[Dataset], bytes]:
    """The image up to its pixel data, then ``tail``."""

    def make(ds: Dataset) -> bytes:
        del ds.PixelData
        return encode(ds) + tail

    return make


def with_uid(keyword: str, value: bytes) -> Callable[[Dataset], bytes]:
    """Replace the encoded value of a UI, whatever it is."""

    def make(ds: Dataset) -> bytes:
        old = encode(ds)
        tag = ds[keyword].tag
        encoded = ds[keyword].value.encode() + b"\0" * (len(ds[keyword].value) % 2)
        found = element(int(tag), "UI", encoded)
        assert found in old
        return old.replace(found, element(int(tag), "UI", value))

    return make


def cut(count: int) -> Callable[[Dataset], bytes]:
    return lambda ds: encode(ds)[:-count]


OK, MISMATCH, BROKEN, NO_PLACE = 0x0000, 0xA900, 0xC000, 0xC001
INVALID_INSTANCE, WRONG_CLASS = 0x0117, 0x0122
WHOLE = encode

CASES = {
    # lengths and ends
    "one byte missing": Case(BROKEN, cut(1)),
    "half the pixel data missing": Case(BROKEN, cut(256)),
    "cut within the pixel data's header": Case(BROKEN, cut(512 + 6)),
    "cut within a tag": Case(BROKEN, with_tail(b"\xe0\x7f")),
    "a length beyond the end": Case(BROKEN, with_tail(head(0x7FE00010, "OW", 4096) + bytes(512))),
    "a length of four gigabytes": Case(BROKEN, with_tail(head(0x7FE00010, "OW", 0xFFFFFFFE) + bytes(512))),
    "an empty data set": Case(BROKEN, lambda _ds: b"\x08"),
    "no element but one": Case(MISMATCH, lambda _ds: element(0x00080005, "CS", b"ISO_IR 100")),
    "a byte too many": Case(OK, lambda ds: encode(ds) + b"\0"),
    "eight zero bytes too many": Case(OK, lambda ds: encode(ds) + bytes(8)),
    "rubbish at the end": Case(BROKEN, lambda ds: encode(ds) + b"rubbish, and more of it"),
    "rubbish only": Case(BROKEN, lambda _ds: b"GET / HTTP/1.1\r\nHost: pacs\r\n\r\n"),
    "zeros only": Case(MISMATCH, lambda _ds: bytes(1024)),
    "ones only": Case(BROKEN, lambda _ds: b"\xff" * 1024),
    "the data set twice": Case(OK, lambda ds: encode(ds) * 2),
    "two data sets of two instances": Case(BROKEN, lambda ds: encode(ds) + encode(image())),
    # nesting and delimiters
    "a sequence without end": Case(BROKEN, with_tail(head(0x00400275, "SQ", 0xFFFFFFFF) + ITEM + ITEM_END)),
    "an item without end": Case(BROKEN, with_tail(head(0x00400275, "SQ", 0xFFFFFFFF) + ITEM)),
    "a sequence that ends within its item": Case(
        OK, with_tail(head(0x00400275, "SQ", 0xFFFFFFFF) + ITEM + SEQUENCE_END)
    ),
    "nested undefined lengths without end": Case(BROKEN, with_tail((head(0x00400275, "SQ", 0xFFFFFFFF) + ITEM) * 50)),
    "nested too deeply": Case(BROKEN, with_tail(nested(40))),
    "nested without end and too deeply": Case(BROKEN, with_tail((head(0x00400275, "SQ", 0xFFFFFFFF) + ITEM) * 20_000)),
    "an item at the top": Case(OK, with_tail(ITEM + ITEM_END)),
    "a sequence end at the top": Case(OK, with_tail(SEQUENCE_END)),
    "an element where an item belongs": Case(
        OK, with_tail(head(0x00400275, "SQ", 0xFFFFFFFF) + element(0x00100020, "LO", b"X ") + SEQUENCE_END)
    ),
    "a delimiter with a length": Case(
        OK, with_tail(head(0x00400275, "SQ", 0xFFFFFFFF) + b"\xfe\xff\xdd\xe0\x04\0\0\0abcd")
    ),
    "text of undefined length": Case(OK, with_tail(head(0x00104000, "UT", 0xFFFFFFFF) + SEQUENCE_END)),
    "a fragment of undefined length": Case(
        OK, with_tail(head(0x7FE00010, "OB", 0xFFFFFFFF) + ITEM + SEQUENCE_END), JPEG
    ),
    "fragments without end": Case(
        BROKEN, with_tail(head(0x7FE00010, "OB", 0xFFFFFFFF) + b"\xfe\xff\x00\xe0\x04\0\0\0abcd"), JPEG
    ),
    "a fragment longer than what comes": Case(
        BROKEN, with_tail(head(0x7FE00010, "OB", 0xFFFFFFFF) + b"\xfe\xff\x00\xe0\xff\0\0\0abcd"), JPEG
    ),
    # encodings
    "implicit VR where explicit was negotiated": Case(BROKEN, lambda ds: encode(ds, IMPLICIT)),
    "explicit VR where implicit was negotiated": Case(BROKEN, WHOLE, IMPLICIT),
    "big endian where little was negotiated": Case(BROKEN, lambda ds: encode(ds, BIG)),
    "little endian where big was negotiated": Case(BROKEN, WHOLE, BIG),
    "not deflated where deflated was negotiated": Case(BROKEN, WHOLE, DEFLATED),
    "deflated where it was not negotiated": Case(BROKEN, lambda ds: deflated(encode(ds))),
    "a deflated stream cut short": Case(BROKEN, lambda ds: deflated(encode(ds))[:-3], DEFLATED),
    "a deflated data set cut short": Case(BROKEN, lambda ds: deflated(encode(ds)[:-3]), DEFLATED),
    "a deflated stream with a long tail": Case(OK, lambda ds: deflated(encode(ds)) + bytes(64), DEFLATED),
    "gzip instead of deflate": Case(BROKEN, lambda ds: zlib.compress(encode(ds), wbits=31), DEFLATED),
    "a VR of digits": Case(BROKEN, with_tail(b"\x10\x00\x20\x40" + b"12\0\0\x02\0\0\0ab")),
    "a whole Part 10 file": Case(BROKEN, lambda ds: bytes(128) + b"DICM" + encode(ds)),
    "file meta elements in the data set": Case(OK, lambda ds: element(0x00020010, "UI", b"1.2\0") + encode(ds)),
    "command elements in the data set": Case(OK, lambda ds: element(0x00000100, "US", b"\1\0") + encode(ds)),
    # identifying attributes
    "another SOP Instance UID than the command's": Case(MISMATCH, WHOLE, instance="1.2.3.4"),
    "another SOP Class UID than the command's": Case(MISMATCH, edited(SOPClassUID=MR)),
    "no SOP Instance UID": Case(MISMATCH, edited(SOPInstanceUID=None)),
    "an empty SOP Instance UID": Case(MISMATCH, edited(SOPInstanceUID="")),
    "no SOP Class UID": Case(MISMATCH, edited(SOPClassUID=None)),
    "the SOP Instance UID twice": Case(BROKEN, lambda ds: encode(ds) + element(0x00080018, "UI", b"1.2.3.4\0")),
    "the Study Instance UID twice": Case(BROKEN, lambda ds: encode(ds) + element(0x0020000D, "UI", b"1.2.3.4\0")),
    "no Study Instance UID": Case(NO_PLACE, edited(StudyInstanceUID=None)),
    "an empty Study Instance UID": Case(NO_PLACE, edited(StudyInstanceUID="")),
    "no Series Instance UID": Case(NO_PLACE, edited(SeriesInstanceUID=None)),
    "an empty Series Instance UID": Case(NO_PLACE, edited(SeriesInstanceUID="")),
    "a Study Instance UID with ../": Case(NO_PLACE, with_uid("StudyInstanceUID", b"../../../etc/cron.d/x ")),
    "a Study Instance UID that is ..": Case(NO_PLACE, with_uid("StudyInstanceUID", b"..")),
    "a Study Instance UID that is an absolute path": Case(NO_PLACE, with_uid("StudyInstanceUID", b"/tmp/x")),
    "a Study Instance UID with a NUL within": Case(NO_PLACE, with_uid("StudyInstanceUID", b"1.2\x003.4")),
    "a Study Instance UID of spaces": Case(NO_PLACE, with_uid("StudyInstanceUID", b"    ")),
    "a Study Instance UID of 65 characters": Case(NO_PLACE, with_uid("StudyInstanceUID", b"1." + b"2" * 63 + b"\0")),
    "a Study Instance UID of 60,000 characters": Case(NO_PLACE, with_uid("StudyInstanceUID", b"1" * 60_000)),
    "a Study Instance UID with two values": Case(NO_PLACE, with_uid("StudyInstanceUID", b"1.2\\1.3\0")),
    "a Study Instance UID with letters": Case(NO_PLACE, with_uid("StudyInstanceUID", b"1.2.abc\0")),
    "a Study Instance UID in UTF-8": Case(NO_PLACE, with_uid("StudyInstanceUID", "1.2.é1".encode())),
    "a Series Instance UID with ../": Case(NO_PLACE, with_uid("SeriesInstanceUID", b"../x")),
    "a Series Instance UID with a line break": Case(NO_PLACE, with_uid("SeriesInstanceUID", b"1.2\n")),
    "a Series Instance UID with two dots": Case(NO_PLACE, with_uid("SeriesInstanceUID", b"1..2")),
    # the command
    "a command's SOP Instance UID with ../": Case(INVALID_INSTANCE, WHOLE, instance="../../x"),
    "a command's SOP Instance UID of 65 characters": Case(INVALID_INSTANCE, WHOLE, instance="1." + "2" * 63),
    "a command's SOP Instance UID that is empty": Case(INVALID_INSTANCE, WHOLE, instance=""),
    "a command's SOP Instance UID with a quote": Case(INVALID_INSTANCE, WHOLE, instance="1.2'; DROP TABLE study"),
    "a command's SOP Class UID that is not its context's": Case(WRONG_CLASS, WHOLE, sop_class=MR),
    # what devices get wrong, and what harms nobody
    "an odd length": Case(OK, edited(PatientID="P-12")),
    "leading zeros in a UID": Case(OK, with_uid("StudyInstanceUID", b"1.002.03\0")),
    "a UID padded with a space": Case(OK, with_uid("StudyInstanceUID", b"1.2.3 ")),
    "a name in a character set that nobody knows": Case(
        OK, lambda ds: encode(ds).replace(b"ISO_IR 192", b"ISO_IR 999")
    ),
    "a name that is not in its character set": Case(
        OK, lambda ds: encode(ds).replace("Prüfer".encode(), b"Pr\xff\xfefer")
    ),
    "a date that is none": Case(OK, edited(StudyDate="tomorrow")),
    "values that look like markup and SQL": Case(OK, edited(StudyDescription="[red]'; DROP TABLE study;--")),
    "a private group with any bytes": Case(OK, with_tail(element(0x00091010, "UN", bytes(range(256))))),
    "an unknown VR": Case(OK, with_tail(b"\x09\x00\x10\x10ZZ\0\0\x02\0\0\0ab")),
    "trailing padding": Case(OK, with_tail(element(0xFFFCFFFC, "OB", bytes(4096)))),
    "tags out of order": Case(OK, with_tail(element(0x00080090, "PN", b"X^Y "))),
    "a deflated data set with its compressor's trailer": Case(
        OK, lambda ds: deflated(encode(ds)) + struct.pack("<LL", zlib.crc32(b""), 1), DEFLATED
    ),
}
CASES["a number that is none"] = Case(
    OK, lambda ds: encode(ds).replace(b"\x20\x00\x13\x00IS\x02\x001 ", b"\x20\x00\x13\x00IS\x02\x00ab")
)


def test_there_are_at_least_fifty_cases_that_are_refused() -> None:
    assert sum(case.status != OK for case in CASES.values()) >= 50


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReceiverProcess]:
    process = ReceiverProcess(tmp_path_factory.mktemp("bad") / "var")
    process.start()
    yield process
    process.kill()


def connect(receiver: ReceiverProcess) -> raw.RawPeer:
    peer = raw.RawPeer.connect(receiver.port)
    contexts = [raw.context_item(number, CT, (syntax,)) for syntax, number in CONTEXTS.items()]
    peer.associate(raw.association_request(called=b"PACS", contexts=contexts))
    return peer


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_each_gets_its_status_and_leaves_nothing_behind(receiver: ReceiverProcess, case: Case) -> None:
    ds = image()
    instance = str(ds.SOPInstanceUID)
    data = case.make(ds)
    before = len(stored_digests(receiver.storage))
    with connect(receiver) as peer:
        command = raw.store(7, instance if case.instance is None else case.instance, case.sop_class)
        peer.send_message(CONTEXTS[case.transfer_syntax], command, data)
        answer = peer.read_message()
        assert (answer.status, answer.responds_to) == (case.status, 7), answer.comment
        if case.status != OK:
            assert answer.comment
        # the association goes on, and so does the receiver
        good = image()
        peer.send_message(1, raw.store(8, str(good.SOPInstanceUID), CT), encode(good))
        assert peer.read_message().status == OK
        peer.release()
    stored = stored_digests(receiver.storage)
    assert len(stored) == before + 1 + (case.status == OK)
    assert (instance in stored) == (case.status == OK)
    assert temporary_files(receiver.storage) == []


def test_a_second_data_set_for_one_command_ends_the_association(receiver: ReceiverProcess) -> None:
    ds = image()
    data = encode(ds)
    with connect(receiver) as peer:
        peer.send_message(1, raw.store(1, str(ds.SOPInstanceUID), CT), data)
        assert peer.read_message().status == OK
        peer.send(raw.p_data(raw.pdv(1, raw.LAST, data)))
        assert peer.read_pdu().kind == 7


def test_a_connection_that_breaks_within_a_data_set_leaves_nothing(receiver: ReceiverProcess) -> None:
    ds = image(size=1 << 20)
    data = encode(ds)
    with connect(receiver) as peer:
        peer.send(
            raw.p_data(raw.pdv(1, raw.COMMAND | raw.LAST, raw.store(1, str(ds.SOPInstanceUID), CT))),
            raw.p_data(raw.pdv(1, 0, data[:200_000])),
        )
        peer.reset()
    with connect(receiver) as peer:
        peer.send_message(1, raw.store(1, str(ds.SOPInstanceUID), CT), data)
        assert peer.read_message().status == OK
        peer.release()
    assert temporary_files(receiver.storage) == []


def test_nothing_outside_the_storage_was_written(receiver: ReceiverProcess) -> None:
    assert {path.name for path in receiver.data_dir.iterdir()} == {"pacs", "run", "receiver.log", "link_secret"}
    assert "Traceback" not in receiver.log.read_text()
    assert "Prüfer" not in receiver.log.read_text()


@pytest.fixture(scope="module")
def shared_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("mutations")
    with house_at(folder / "storage", f"sqlite:///{folder / 'index.sqlite3'}") as house:
        yield house


def is_complete(path: Path) -> bool:
    meta = dcmread(path, stop_before_pixels=True).file_meta
    return "MediaStorageSOPInstanceUID" in meta and "MediaStorageSOPClassUID" in meta


ORIGINALS = [(path.name, dcmread(path, stop_before_pixels=True), data_set_of(path)) for path in REGULAR
             if path.stat().st_size < 200_000 and is_complete(path)]  # fmt: skip


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_mutated_real_files_are_stored_whole_or_refused(shared_house: House, data: st.DataObject) -> None:
    """Whatever is done to a real file: Success means that these very bytes are there, anything else that none are."""
    _, ds, original = data.draw(st.sampled_from(ORIGINALS))
    mutated = bytearray(original)
    for _ in range(data.draw(st.integers(1, 5))):
        where = data.draw(st.integers(0, min(len(mutated), 4000) - 1))
        kind = data.draw(st.sampled_from(["flip", "cut", "insert", "drop", "length"]))
        if kind == "flip":
            mutated[where] ^= data.draw(st.integers(1, 255))
        elif kind == "cut":
            del mutated[max(where, 1) :]
        elif kind == "insert":
            mutated[where:where] = data.draw(st.binary(min_size=1, max_size=20))
        elif kind == "drop":
            del mutated[where : where + data.draw(st.integers(1, 20))]
        else:
            mutated[where : where + 4] = data.draw(st.sampled_from([b"\xff" * 4, bytes(4), b"\xfe\xff\xff\xff"]))
        if not mutated:
            break
    _store_or_refuse(shared_house, ds, bytes(mutated), data.draw(st.sampled_from([97, 4096, 1 << 18])))


def _store_or_refuse(house: House, ds: Dataset, mutated: bytes, piece: int) -> None:
    before = set(house.files)
    known = set(house.conflicts)
    try:
        response = images.store(
            house.receiver,
            mutated,
            instance=str(ds.file_meta.MediaStorageSOPInstanceUID),
            sop_class=str(ds.file_meta.MediaStorageSOPClassUID),
            transfer_syntax=str(ds.file_meta.TransferSyntaxUID),
            piece=piece,
        )
    except Refused as error:
        status = error.response.status
    else:
        status = response.status
    if status != OK:
        assert status in (MISMATCH, BROKEN, NO_PLACE, INVALID_INSTANCE)
        assert set(house.files) == before
    else:
        new = (set(house.files) - before) | (set(house.conflicts) - known)
        assert all(path.read_bytes().endswith(mutated) for path in new)
        assert len(new) <= 1
    assert house.temporary == []

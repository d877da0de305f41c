"""The header before a stored data set."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import UID

from dicom_encoding.part10 import NotPart10, header, parse

uids = st.from_regex(r"\A[1-9][0-9]{0,19}(\.[1-9][0-9]{0,19}){0,2}\Z")
titles = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="\\"), min_size=1, max_size=16)


@given(uids, uids, titles)
def test_it_is_what_pydicom_writes(sop_class: str, sop_instance: str, source_ae: str) -> None:
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\0\1"
    meta.MediaStorageSOPClassUID = UID(sop_class)
    meta.MediaStorageSOPInstanceUID = UID(sop_instance)
    meta.TransferSyntaxUID = UID("1.2.840.10008.1.2.1")
    meta.ImplementationClassUID = UID("2.25.4711")
    meta.ImplementationVersionName = "TEST_1"
    meta.SourceApplicationEntityTitle = source_ae
    expected = DicomBytesIO()
    write_file_meta_info(expected, meta)
    found = header(
        sop_class=sop_class,
        sop_instance=sop_instance,
        transfer_syntax="1.2.840.10008.1.2.1",
        source_ae=source_ae,
        implementation_uid="2.25.4711",
        implementation_version="TEST_1",
    )
    assert found == bytes(128) + b"DICM" + expected.getvalue()
    values, offset = parse(found + b"data set")
    assert offset == len(found)
    assert (values[0x0002], values[0x0003], values[0x0016]) == (sop_class, sop_instance, source_ae)


@given(st.binary(max_size=400))
def test_anything_else_is_refused_and_nothing_else_is_raised(rubbish: bytes) -> None:
    for head in (rubbish, bytes(128) + b"DICM" + b"\x02\x00\x00\x00UL\x04\x00\x40\0\0\0" + rubbish):
        try:
            _, offset = parse(head)
        except NotPart10:
            continue
        assert offset <= len(head)

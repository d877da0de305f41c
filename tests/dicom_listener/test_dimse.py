"""The command-set codec against pynetdicom's and against what PS3.7 says."""

from __future__ import annotations

from io import BytesIO

import pytest
from pydicom import Dataset
from pynetdicom.dsutils import decode as decode_data_set
from pynetdicom.dsutils import encode as encode_data_set

from dicom_listener import dimse
from dicom_listener.answers import encode_response
from dicom_listener.dimse import CommandField, MalformedCommand, Tag
from dicom_listener.service import Response
from tests.clients.raw import action, command_set, element, find, store


def decoded(data: bytes) -> Dataset:
    return decode_data_set(BytesIO(data), True, True)


def test_a_response_is_what_pynetdicom_would_read() -> None:
    request = dimse.decode(store(513, "1.2.840.7"))
    response = Response(0xB000, comment="x" * 70, error_id=3, offending=(0x00100010, 0x00080018))
    ds = decoded(encode_response(request, response))
    assert ds.CommandField == 0x8001
    assert ds.MessageIDBeingRespondedTo == 513
    assert ds.Status == 0xB000
    assert ds.AffectedSOPInstanceUID == "1.2.840.7"
    assert ds.ErrorComment == "x" * 64
    assert ds.ErrorID == 3
    assert list(ds.OffendingElement) == [0x00100010, 0x00080018]
    assert ds.CommandDataSetType == 0x0101
    assert ds.CommandGroupLength == len(encode_response(request, response)) - 12
    assert [element.tag for element in ds] == sorted(element.tag for element in ds)


def test_a_normalized_response_names_the_requested_instance_as_affected() -> None:
    ds = decoded(encode_response(dimse.decode(action(1)), Response(0, b"data", elements={"ActionTypeID": 1})))
    assert ds.AffectedSOPClassUID == "1.2.840.10008.1.20.1"
    assert ds.AffectedSOPInstanceUID == "1.2.840.10008.1.20.1.1"
    assert ds.ActionTypeID == 1
    assert ds.CommandDataSetType != 0x0101


def test_a_request_of_our_own_is_what_pynetdicom_would_read() -> None:
    elements: dict[str, str | int] = {"AffectedSOPClassUID": "1.2.3", "EventTypeID": 2}
    ds = decoded(dimse.encode_request(CommandField.N_EVENT_REPORT_RQ, 9, elements, has_data_set=True))
    assert (ds.CommandField, ds.MessageID, ds.EventTypeID) == (0x0100, 9, 2)
    assert ds.CommandDataSetType != 0x0101


def test_what_pynetdicom_writes_is_read() -> None:
    ds = Dataset()
    ds.AffectedSOPClassUID, ds.CommandField, ds.MessageID = "1.2.840.10008.5.1.4.1.1.2", 1, 65535
    ds.Priority, ds.CommandDataSetType, ds.AffectedSOPInstanceUID = 2, 1, "1.2.3"
    ds.MoveOriginatorApplicationEntityTitle = "MOVER"
    encoded = encode_data_set(ds, True, True)
    assert encoded is not None
    command = dimse.decode(encoded)
    assert (command.field, command.message_id, command.has_data_set) == (1, 65535, True)
    assert command.affected_sop_class_uid == ds.AffectedSOPClassUID
    assert command.affected_sop_instance_uid == "1.2.3"
    assert command.text(Tag.MOVE_ORIGINATOR_AE_TITLE) == "MOVER"
    assert command.number(Tag.PRIORITY) == 2


def test_absent_elements_are_empty_or_none() -> None:
    command = dimse.decode(command_set({0x0100: 0x20, 0x0110: 1, 0x0800: 0x0101, 0x0700: b""}))
    assert command.affected_sop_class_uid == ""
    assert command.requested_sop_instance_uid == ""
    assert command.number(Tag.PRIORITY) is command.status is command.action_type_id is command.event_type_id is None
    assert command.attribute_identifier_list == ()
    assert command.get(Tag.ERROR_COMMENT) is None


def test_lists_of_tags_are_read() -> None:
    asked = command_set({0x0100: 0x110, 0x0110: 1, 0x0800: 0x0101, 0x1005: (0x00100010, 0x7FE00010)})
    assert dimse.decode(asked).attribute_identifier_list == (0x00100010, 0x7FE00010)
    broken = command_set({0x0100: 0x110, 0x0110: 1, 0x0800: 0x0101, 0x1005: b"\1\2"})
    with pytest.raises(MalformedCommand, match="list of tags"):
        _ = dimse.decode(broken).attribute_identifier_list


@pytest.mark.parametrize(
    ("data", "because"),
    [
        (find()[:-1], "longer than the command set"),
        (find() + b"\0\0", "within an element's header"),
        (find() + element(0x00000700, 1), "comes twice"),
        (find() + element(0x00100010, "A"), "not of group 0000"),
        (b"", r"\(0000,0100\) is missing"),
        (command_set({0x0100: 1, 0x0800: 1}), r"\(0000,0110\) is missing"),
        (command_set({0x0100: 0x8001, 0x0110: 1, 0x0800: 1}), r"\(0000,0120\) is missing"),
        (command_set({0x0100: 1, 0x0110: 1}), r"\(0000,0800\) is missing"),
        (command_set({0x0100: b"\1\0\0\0", 0x0110: 1, 0x0800: 1}), "not one US value"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_malformed_command_set_says_what_is_wrong(data: bytes, because: str) -> None:
    with pytest.raises(MalformedCommand, match=because):
        dimse.decode(data)

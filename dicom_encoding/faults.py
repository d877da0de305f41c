"""What may be wrong with the encoding of a data set, in words that hold nothing of its content."""

from __future__ import annotations

from enum import StrEnum

from dicom_encoding.elements import tag_name


class Fault(StrEnum):
    """A fault; the text goes into logs and into Error Comment (0000,0902), which has 64 characters."""

    # behind these nothing tells where the next element begins
    NO_VR = "data set is not in the negotiated transfer syntax"
    TOO_LONG = "an element is longer than what holds it"
    ENDS_IN_ELEMENT = "data set ends within an element"
    ENDS_IN_SEQUENCE = "data set ends within a sequence"
    NO_END = "an item or a sequence has no end"
    NO_ITEM = "no item where one is expected"
    LONG_DELIMITER = "an item or a delimiter where none is expected"
    CLOSES_ANOTHER = "a delimiter that closes something else"
    UNDEFINED_VALUE = "undefined length in an element that can't have it"
    UNDEFINED_FRAGMENT = "a pixel data fragment of undefined length"
    BEHIND_NULS = "bytes behind NULs after the data set"
    TOO_DEEP = "sequences nested too deeply"

    # these can be stepped over
    LATER_VR = "a VR that is none yet"
    ODD_VR = "a VR that is none"
    CLOSES_NOTHING = "a delimiter that closes nothing"
    FRAGMENTS = "fragments in a transfer syntax that has none"
    ODD_LENGTH = "an odd length"
    NULS = "NULs after the data set"
    META = "command or file meta elements in the data set"
    SWAPPED_UN = "UN of undefined length in big endian"


class MalformedDataSet(ValueError):
    """A data set whose structure does not hold. ``offset`` is in bytes from its beginning, inflated if need be."""

    def __init__(self, fault: Fault, tag: int = 0, offset: int = 0) -> None:
        super().__init__(str(fault))
        self.fault = fault
        self.tag = tag
        self.offset = offset

    @property
    def at(self) -> str:
        """The place, for a log."""
        return f"{tag_name(self.tag)} at byte {self.offset}"


class NestedTooDeep(MalformedDataSet):
    """Its sequences nest deeper than the limit."""

    def __init__(self, limit: int, tag: int = 0, offset: int = 0) -> None:
        super().__init__(Fault.TOO_DEEP, tag, offset)
        self.args = (f"Sequences are nested more than {limit} deep",)

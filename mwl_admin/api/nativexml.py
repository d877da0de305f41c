"""Data sets as XML: the Native DICOM Model (PS3.19 §A.1), made of their DICOM JSON."""

from __future__ import annotations

from typing import Any
from xml.etree.ElementTree import Element, SubElement, tostring

from pydicom.datadict import keyword_for_tag

MEDIA_TYPE = "application/dicom+xml"
_NAMESPACE = "http://dicom.nema.org/PS3.19/models/NativeDICOM"
_COMPONENTS = ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix")


def to_xml(data_set: dict[str, Any]) -> bytes:
    """Return one data set as an XML document."""
    root = Element("NativeDicomModel", {"xmlns": _NAMESPACE})
    _fill(root, data_set)
    return bytes(tostring(root, encoding="utf-8", xml_declaration=True))


def _fill(parent: Element, data_set: dict[str, Any]) -> None:
    for tag, element in data_set.items():
        attribute = SubElement(parent, "DicomAttribute", {"tag": tag, "vr": element["vr"]})
        keyword = keyword_for_tag(int(tag, 16))
        if keyword:
            attribute.set("keyword", keyword)
        for number, value in enumerate(element.get("Value", []), start=1):
            _value(attribute, element["vr"], str(number), value)


def _value(attribute: Element, vr: str, number: str, value: Any) -> None:
    if vr == "SQ":
        _fill(SubElement(attribute, "Item", {"number": number}), value)
    elif vr == "PN":
        person = SubElement(attribute, "PersonName", {"number": number})
        for group, text in (value or {}).items():
            form = SubElement(person, group)
            for name, component in zip(_COMPONENTS, text.split("^"), strict=False):
                if component:
                    SubElement(form, name).text = component
    else:
        SubElement(attribute, "Value", {"number": number}).text = "" if value is None else str(value)

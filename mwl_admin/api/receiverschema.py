"""The JSON schemas of what the image receiver asks and tells (docs/devices.md, docs/notifications.md)."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

_STRING: Schema = {"type": "string"}
CALLERS: Schema = {
    "schema": {
        "type": "object",
        "required": ["callers"],
        "properties": {
            "callers": {
                "type": "array",
                "maxItems": 1000,
                "items": {
                    "type": "object",
                    "required": ["ae_title", "address", "at", "because", "attempts", "served"],
                    "properties": {
                        "ae_title": {**_STRING, "example": "CT9"},
                        "address": {**_STRING, "description": "an IP address, or empty", "example": "192.0.2.9"},
                        "at": {**_STRING, "format": "date-time"},
                        "because": {**_STRING, "example": "calling AE title belongs to no known device"},
                        "attempts": {"type": "integer", "minimum": 0, "maximum": 2**31 - 1},
                        "served": {"type": "boolean"},
                    },
                },
            }
        },
    }
}
NOTICE: Schema = {
    "schema": {
        "type": "object",
        "required": ["id", "event", "at", "study"],
        "properties": {
            "id": {**_STRING, "format": "uuid"},
            "event": {"const": "study.complete"},
            "at": {**_STRING, "format": "date-time"},
            "study": {
                "type": "object",
                "required": ["uid", "series", "instances", "first_arrival", "last_arrival"],
                "properties": {
                    "uid": {**_STRING, "maxLength": 64, "example": "2.25.4711"},
                    "series": {"type": "integer", "minimum": 0, "maximum": 2**31 - 1},
                    "instances": {"type": "integer", "minimum": 0, "maximum": 2**31 - 1},
                    "first_arrival": {**_STRING, "format": "date-time"},
                    "last_arrival": {**_STRING, "format": "date-time"},
                    "accession_number": {"type": ["string", "null"], "example": "A-5001"},
                },
            },
            "patient": {"type": "object", "description": "as the images have it: id, issuer, name, birth_date, sex"},
            "senders": {"type": "array", "items": {"type": "object", "properties": {"ae_title": _STRING}}},
        },
    }
}
TAKEN: Schema = {
    "type": "object",
    "required": ["repeated", "completed"],
    "properties": {
        "repeated": {"type": "boolean", "description": "whether the notice was known"},
        "completed": {"type": "array", "items": _STRING, "description": "IDs of the steps that it completed"},
    },
}
DEVICES: Schema = {
    "type": "object",
    "required": ["devices", "refused"],
    "properties": {
        "devices": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["ae_title", "kind", "enabled", "rights"],
                "properties": {
                    "ae_title": {**_STRING, "maxLength": 16, "example": "CT1"},
                    "name": _STRING,
                    "kind": {**_STRING, "enum": ["modality", "workstation", "archive", "ai"]},
                    "modality": _STRING,
                    "enabled": {"type": "boolean"},
                    "addresses": {"type": "array", "items": _STRING},
                    "host": _STRING,
                    "port": {"type": "integer", "minimum": 0, "maximum": 65535},
                    "rights": {"type": "array", "items": {"enum": ["store", "query", "retrieve"]}},
                    "certificates": {"type": "array", "items": {**_STRING, "pattern": "^[0-9a-f]{64}$"}},
                },
            },
        },
        "refused": {"type": "array", "items": _STRING, "description": "AE titles that are kept out"},
    },
}

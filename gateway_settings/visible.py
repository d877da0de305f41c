"""Text that strangers wrote, made safe to look at: nothing in it moves a cursor, hides, or turns the direction."""

from __future__ import annotations

import json
import re

_HOSTILE = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # C0, DEL and C1
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u3164\ufeff\uffa0"  # shown as nothing
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufff9-\ufffb"  # zero width, line ends, directions
    "\ud800-\udfff"  # halves of a character
    "\U0001d173-\U0001d17a\U000e0000-\U000e007f"
    "]"
)


def visible(text: str) -> str:
    r"""Return ``text`` with each such character as `\x1b`, `\u202e` or `\U000e0001`."""
    return _HOSTILE.sub(_escape, text)


def visible_json(text: str) -> str:
    r"""Return a JSON text that says the same, with each such character in JSON's own form, `\u202e`."""
    return _HOSTILE.sub(lambda found: json.dumps(found[0])[1:-1], text)


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"

"""Preconditions of a change: entity tags that an entry must have, or must not have (RFC 9110 section 13.1)."""

from __future__ import annotations

import re
from http import HTTPStatus

from django.http import HttpRequest

from mwl_admin.api.entries import tag_of
from mwl_admin.api.errors import RequestRefused, bad_request
from mwl_admin.api.reach import Reach

ANY = "*"
_TAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
LIST = rf"(?:\*|{_TAG}(?:[ \t]*,[ \t]*{_TAG})*)"
_WEAK = "W/"


def check(request: HttpRequest, accession_number: str, reach: Reach) -> None:
    """Refuse what the preconditions of the request rule out.

    Within the transaction of the change: the entry is locked, so that what was compared is what is changed.

    :raises Refused: 412, or 400 when a header field holds no entity tags.
    """
    wanted, unwanted = _tags(request, "If-Match"), _tags(request, "If-None-Match")
    if wanted is None and unwanted is None:
        return
    locked = reach.orders().select_for_update(of=("self",), no_key=True).select_related("patient")
    order = locked.filter(accession_number=accession_number).first()
    tag = tag_of(order, reach.seen) if order is not None else None
    if wanted is not None and (tag is None or not {ANY, tag} & set(wanted)):
        raise RequestRefused(HTTPStatus.PRECONDITION_FAILED, "The entry is no longer as If-Match says: read it again.")
    # Compared weakly, as section 13.1.2 asks: a tag is the same with W/ before it and without.
    if unwanted is not None and tag is not None and {ANY, tag} & {name.removeprefix(_WEAK) for name in unwanted}:
        text = "There is an entry of this accession number already." if ANY in unwanted else "The entry has this tag."
        raise RequestRefused(HTTPStatus.PRECONDITION_FAILED, text)


def _tags(request: HttpRequest, name: str) -> list[str] | None:
    """Return the tags of a header field; None when there is no such field."""
    text = request.headers.get(name)
    if text is None:
        return None
    if not re.fullmatch(LIST, text.strip(" \t")):
        raise bad_request('must be entity tags, such as "3-1-7.2", or *.', name)
    return [ANY] if text.strip(" \t") == ANY else re.findall(_TAG, text)

"""The site's commands about what lies aside (docs/devices.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from http import HTTPStatus
from typing import Any

from sqlalchemy import Engine

from pacs_receiver import settle
from pacs_receiver.commands import Command, Declined, TryLater
from pacs_receiver.exceptions import ReceiverError
from pacs_receiver.index import IndexWriter
from pacs_receiver.storage import Storage


def table(engine: Engine, storage: Storage, index: IndexWriter) -> dict[str, Command]:
    """Return the commands by name."""
    return {
        "conflicts": partial(_list, engine, storage),
        "settle-conflict": partial(_settle, engine, storage, index),
    }


def _list(engine: Engine, storage: Storage, wish: Mapping[str, Any]) -> Mapping[str, Any]:
    found = settle.listed(engine, storage, study_uid=_text(wish, "study", needed=False))
    return {"conflicts": [asdict(conflict) for conflict in found]}


def _settle(engine: Engine, storage: Storage, index: IndexWriter, wish: Mapping[str, Any]) -> Mapping[str, Any]:
    action, name, who = (_text(wish, key) for key in ("action", "name", "who"))
    dry_run = wish.get("dry_run", False)
    if action not in (settle.ACCEPT, settle.DROP) or not isinstance(dry_run, bool):
        raise Declined(HTTPStatus.BAD_REQUEST, "action is accept or drop, dry_run true or false.")
    try:
        return settle.settle(
            settle.SettlingResources(engine, storage, index, f"site: {who}"), action, name, dry_run=dry_run
        )
    except settle.NoSuchConflict as error:
        if settle.is_settled(engine, action, name):
            return {"name": name, "action": action, "done": True}
        raise Declined(HTTPStatus.NOT_FOUND, "Nothing lies aside under this name.") from error
    except settle.Unsettled as error:
        raise Declined(HTTPStatus.CONFLICT, str(error)) from error
    except ReceiverError as error:
        raise TryLater("The storage or the index is not available.") from error


def _text(wish: Mapping[str, Any], key: str, *, needed: bool = True) -> str:
    value = wish.get(key, "")
    if not isinstance(value, str) or len(value) > 200 or (needed and not value):
        raise Declined(HTTPStatus.BAD_REQUEST, f"{key} is missing, or no text.")
    return value

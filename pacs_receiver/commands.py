"""What the site can ask the receiver to do (docs/devices.md): each once, however often it asks, restarts or not."""

from __future__ import annotations

import hashlib
import json
import logging
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from sqlalchemy import Engine, delete, select, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from pacs_receiver.database import reading
from pacs_receiver.due import has_come
from pacs_receiver.exceptions import ReceiverError
from pacs_receiver.index_tables import command

logger = logging.getLogger(__name__)

_CLAIM_SECONDS = 600.0
_KEEP_SECONDS = 30 * 86400.0

Command = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""Takes the body without its ``id``, gives the result. Raises :class:`TryLater` or :class:`Declined`. When the receiver
is killed between the deed and the answer a command is carried out again: twice must come to the same as once."""


class TryLater(ReceiverError):
    """The command can't be carried out now; the text says why"""


class Declined(ReceiverError):
    """The command will never be carried out as it stands; ``status`` is an HTTP status from 400 to 499"""

    def __init__(self, status: HTTPStatus, title: str) -> None:
        super().__init__(title)
        self.status = status


@dataclass(frozen=True, slots=True)
class Reply:
    """What a request is answered: an HTTP status, and a JSON object (a problem of RFC 9457 from 400 on)."""

    status: int
    body: Mapping[str, Any]

    @classmethod
    def problem(cls, status: HTTPStatus, title: str) -> Reply:
        return cls(status, {"type": "about:blank", "title": title, "status": int(status)})


class Commands:
    """The commands by their names, and the memory of what was carried out."""

    def __init__(self, engine: Engine, table: Mapping[str, Command]) -> None:
        self._engine = engine
        self._table = table

    def carry_out(self, name: str, body: bytes) -> Reply:
        """Carry out one command of a request that was signed; never raises what a request can cause."""
        known = self._table.get(name)
        if known is None:
            return Reply.problem(HTTPStatus.NOT_FOUND, "There is no such command.")
        try:
            wish = _parsed(body)
        except ValueError:
            return Reply.problem(HTTPStatus.BAD_REQUEST, "The body is no JSON object with an id that is a UUID.")
        command_id = wish.pop("id")
        digest = hashlib.sha256(json.dumps(wish, sort_keys=True).encode()).digest()
        try:
            if not self._claim(command_id, name, digest):
                return self._earlier(command_id, name, digest)
            return self._answered(command_id, known, wish, name)
        except SQLAlchemyError as error:
            fields = {"command": name, "error": type(error).__name__}
            logger.warning("a command could not be carried out", extra={"fields": fields})
            return Reply.problem(HTTPStatus.SERVICE_UNAVAILABLE, "The index is not available.")

    def forget_old(self) -> None:
        """Drop the commands of long ago."""
        with self._engine.begin() as connection:
            connection.execute(delete(command).where(command.c.at < time.time() - _KEEP_SECONDS))

    def _answered(self, command_id: str, known: Command, wish: Mapping[str, Any], name: str) -> Reply:
        try:
            reply = Reply(HTTPStatus.OK, known(wish))
        except Declined as error:
            reply = Reply.problem(error.status, str(error))
        except TryLater as error:
            self._give_back(command_id)
            return Reply.problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
        except BaseException:
            self._give_back(command_id)
            raise
        with self._engine.begin() as connection:
            connection.execute(
                update(command)
                .where(command.c.id == command_id)
                .values(status=int(reply.status), answer=json.dumps(dict(reply.body)), claimed_until=0)
            )
        fields = {"command": name, "status": int(reply.status)}
        logger.info("a command was carried out", extra={"fields": fields})
        return reply

    def _claim(self, command_id: str, name: str, digest: bytes) -> bool:
        """Take a command for this request; False when it was carried out, is at work, or is another one."""
        now = time.time()
        try:
            with self._engine.begin() as connection:
                connection.execute(
                    command.insert().values(
                        id=command_id, name=name, digest=digest, at=now, claimed_until=now + _CLAIM_SECONDS, answer=""
                    )
                )
            return True
        except IntegrityError:
            same = (command.c.id == command_id) & (command.c.name == name) & (command.c.digest == digest)
            with self._engine.begin() as connection:
                taken = connection.execute(
                    update(command)
                    .where(
                        same, command.c.status.is_(None), has_come(command.c.claimed_until, now, longest=_CLAIM_SECONDS)
                    )
                    .values(claimed_until=now + _CLAIM_SECONDS)
                )
            return bool(taken.rowcount == 1)

    def _give_back(self, command_id: str) -> None:
        with self._engine.begin() as connection:
            connection.execute(update(command).where(command.c.id == command_id).values(claimed_until=0))

    def _earlier(self, command_id: str, name: str, digest: bytes) -> Reply:
        with reading(self._engine) as connection:
            row = connection.execute(select(command).where(command.c.id == command_id)).one_or_none()
        if row is None:
            return Reply.problem(HTTPStatus.SERVICE_UNAVAILABLE, "The command is being forgotten.")
        if row.name != name or bytes(row.digest) != digest:
            return Reply.problem(HTTPStatus.CONFLICT, "The id was used for another command.")
        if row.status is None:
            return Reply.problem(HTTPStatus.SERVICE_UNAVAILABLE, "The command is being carried out.")
        return Reply(row.status, json.loads(row.answer))


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        wish = json.loads(body)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(wish, dict) or not isinstance(wish.get("id"), str):
        raise ValueError("no object with an id")
    wish["id"] = str(uuid.UUID(wish["id"]))
    return wish

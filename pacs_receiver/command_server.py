"""The HTTP server of the site's commands (docs/devices.md): signed requests in, JSON out, little held for strangers.

A connection carries one request. Reading is one event loop's work, so that slow clients take no thread; when as many
are open as may be, the one that has dawdled longest makes room. Only a request with the right signature gets a thread.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from http import HTTPStatus
from http.client import HTTPException, parse_headers
from io import BytesIO

from gateway_link.signature import Nonces, Unsigned, verify
from gateway_settings.log import log_failure
from pacs_receiver.commands import Reply

logger = logging.getLogger(__name__)

BODY_LIMIT = 1 << 20
"""Bytes of a command's body."""
HEAD_LIMIT = 16 << 10
READING_LIMIT = 64
"""Connections from which a request is being read."""
READ_SECONDS = 10.0

_REQUEST_LINE = re.compile(rb"([A-Z]{1,16}) (/[!-~]{0,2000}) HTTP/1\.[01]")
_NAME = re.compile(r"/commands/([a-z][a-z-]{0,63})")
_THREADS = 4
_STOP_SECONDS = 5.0

CarryOut = Callable[[str, bytes], Reply]
"""Takes the name of a command and the body of its request."""


class _Bad(Exception):
    """The request can't be taken; ``reply`` says why"""

    def __init__(self, status: HTTPStatus, title: str) -> None:
        super().__init__(title)
        self.reply = Reply.problem(status, title)


@dataclass(frozen=True, slots=True)
class _Head:
    method: str
    target: str
    headers: Message


class CommandServer:
    """Serves commands on a listening socket until it is stopped."""

    def __init__(self, listening: socket.socket, secret: str, carry_out: CarryOut, *,
                 read_seconds: float = READ_SECONDS) -> None:  # fmt: skip
        self._listening = listening
        self._secret = secret
        self._carry_out = carry_out
        self._read_seconds = read_seconds
        self._nonces = Nonces()
        self._reading: dict[asyncio.Task[None], None] = {}  # in the order in which they came
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="command")

    @contextmanager
    def running(self) -> Iterator[CommandServer]:
        """Answer while the context lasts. A command at work at its end is waited for, so that its answer is kept."""
        runner: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()
        thread = threading.Thread(target=asyncio.run, args=(self._serve(runner),), name="commands", daemon=True)
        thread.start()
        loop, stop = runner.result()
        try:
            yield self
        finally:
            self._pool.shutdown(wait=True, cancel_futures=True)
            loop.call_soon_threadsafe(stop.set)
            thread.join(_STOP_SECONDS)

    async def _serve(self, runner: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]]) -> None:
        stop = asyncio.Event()
        server = await asyncio.start_server(self._connected, sock=self._listening, limit=HEAD_LIMIT)
        runner.set_result((asyncio.get_running_loop(), stop))
        async with server:
            await stop.wait()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - the event loop calls this in a task of its own
        if len(self._reading) >= READING_LIMIT:
            next(iter(self._reading)).cancel()
        self._reading[task] = None
        try:
            reply = await self._reply(task, reader)
            writer.write(_encoded(reply))
            async with asyncio.timeout(self._read_seconds):
                await writer.drain()
                writer.write_eof()
                # closing with unread bytes would reset the connection, and with it the answer
                while await reader.read(HEAD_LIMIT):
                    continue
        except (OSError, TimeoutError, asyncio.CancelledError):
            return  # it went away, was too slow, or made room for another
        finally:
            self._reading.pop(task, None)
            writer.transport.abort()

    async def _reply(self, task: asyncio.Task[None], reader: asyncio.StreamReader) -> Reply:
        try:
            async with asyncio.timeout(self._read_seconds):
                head = await _read_head(reader)
                name = _name_of(head)
                body = await _read_body(reader, head)
            signed = verify(self._secret, head.method, head.target, _only(head.headers), body)
            self._nonces.use(signed)
        except _Bad as error:
            return error.reply
        except Unsigned as error:
            return Reply.problem(HTTPStatus.FORBIDDEN, str(error))
        except TimeoutError:
            return Reply.problem(HTTPStatus.REQUEST_TIMEOUT, "The request took too long.")
        self._reading.pop(task, None)  # whoever signs is waited for
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, self._carry_out, name, body)
        except Exception as error:  # noqa: BLE001 - whatever it is: logged, and answered as a failure
            log_failure(logger, "a command failed", error, {"command": name})
            return Reply.problem(HTTPStatus.INTERNAL_SERVER_ERROR, "The command failed.")


async def _read_head(reader: asyncio.StreamReader) -> _Head:
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError as error:
        raise _Bad(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "The request's head is too long.") from error
    except asyncio.IncompleteReadError as error:
        raise _Bad(HTTPStatus.BAD_REQUEST, "The request is incomplete.") from error
    line, _, rest = raw.partition(b"\r\n")
    found = _REQUEST_LINE.fullmatch(line)
    if found is None:
        raise _Bad(HTTPStatus.BAD_REQUEST, "This is no HTTP request.")
    try:
        headers = parse_headers(BytesIO(rest))
    except HTTPException as error:
        raise _Bad(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "The request has too many headers.") from error
    return _Head(found[1].decode("ascii"), found[2].decode("ascii"), headers)


def _name_of(head: _Head) -> str:
    """Return the command's name; what is unsigned on its face is told so before its body is read."""
    if not head.headers.get("X-Gateway-Signature"):
        raise _Bad(HTTPStatus.FORBIDDEN, "The request is not signed.")
    found = _NAME.fullmatch(head.target)
    if found is None:
        raise _Bad(HTTPStatus.NOT_FOUND, "There is no such command.")
    if head.method != "POST":
        raise _Bad(HTTPStatus.METHOD_NOT_ALLOWED, "Commands are sent by POST.")
    return found[1]


async def _read_body(reader: asyncio.StreamReader, head: _Head) -> bytes:
    lengths = head.headers.get_all("Content-Length", [])
    if head.headers.get("Transfer-Encoding") or len(lengths) != 1 or not re.fullmatch(r"[0-9]{1,10}", lengths[0]):
        raise _Bad(HTTPStatus.LENGTH_REQUIRED, "The request needs one Content-Length.")
    if int(lengths[0]) > BODY_LIMIT:
        raise _Bad(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body is longer than {BODY_LIMIT} bytes.")
    try:
        return await reader.readexactly(int(lengths[0]))
    except asyncio.IncompleteReadError as error:
        raise _Bad(HTTPStatus.BAD_REQUEST, "The request is incomplete.") from error


def _only(headers: Message) -> dict[str, str]:
    return {name: str(value) for name, value in headers.items()}


def _encoded(reply: Reply) -> bytes:
    body = json.dumps(dict(reply.body)).encode()
    kind = "application/json" if reply.status < HTTPStatus.BAD_REQUEST else "application/problem+json"
    head = (
        f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {len(body)}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n"
    )
    return head.encode("ascii") + body

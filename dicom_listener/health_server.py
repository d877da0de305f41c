"""A small HTTP server for a few computed pages, at a bounded cost for any number of clients.

One loop receives and sends, so that a slow client costs a place and no thread; a page that many ask for at once is
computed once. Each request has a connection of its own (HTTP/1.0 closes it).
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from dicom_listener.lobby import Lobby
from dicom_listener.slots import Slots
from gateway_settings.log import log_failure

if TYPE_CHECKING:
    import socket

logger = logging.getLogger(__name__)

_CONNECTIONS, _PER_ADDRESS = 256, 64
_HEAD_BYTES = 8 * 1024
_SECONDS = 10.0
"""How long a client may take to ask, and how long to take the answer."""


@dataclass(frozen=True, slots=True)
class HealthAnswer:
    """The HTTP response of a page."""

    status: HTTPStatus
    content_type: str
    body: bytes
    allow: str = ""

    def encode(self, *, with_body: bool = True) -> bytes:
        lines = [
            f"HTTP/1.0 {self.status.value} {self.status.phrase}",
            f"Content-Type: {self.content_type}",
            f"Content-Length: {len(self.body)}",
            "Connection: close",
        ]
        if self.allow:
            lines.append(f"Allow: {self.allow}")
        return "\r\n".join([*lines, "", ""]).encode() + (self.body if with_body else b"")


def _plain_text(status: HTTPStatus, text: str, allow: str = "") -> HealthAnswer:
    return HealthAnswer(status, "text/plain", f"{text}\n".encode(), allow)


Page = Callable[[], HealthAnswer]


def serve(listening: socket.socket, pages: Mapping[str, Page], *, lifeline: int) -> None:
    """Answer until SIGTERM or until the master is gone; ``pages`` are called in threads of their own, by path."""
    threads = ThreadPoolExecutor(len(pages), "page")
    asyncio.run(_Server(pages, threads).run(listening, lifeline))
    threads.shutdown(wait=False)  # the readers of pages that are still computed are gone


class _Guest:
    """A client that has not been answered yet."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.address = str(writer.get_extra_info("peername", ("",))[0])
        self.place: int | None = None
        self._writer = writer

    def evict(self) -> None:
        self._writer.transport.abort()


class _Server:
    def __init__(self, pages: Mapping[str, Page], threads: ThreadPoolExecutor) -> None:
        self._pages = pages
        self._threads = threads
        self._being_computed: dict[str, asyncio.Future[HealthAnswer]] = {}
        self._places = Slots(_CONNECTIONS, _PER_ADDRESS)
        self._lobby = Lobby(self._places, threads=0)

    async def run(self, listening: socket.socket, lifeline: int) -> None:
        loop = asyncio.get_running_loop()
        stopped = asyncio.Event()

        def follow_master() -> None:
            if not os.read(lifeline, 1):
                loop.remove_reader(lifeline)
                stopped.set()

        loop.add_signal_handler(signal.SIGTERM, stopped.set)
        loop.add_reader(lifeline, follow_master)
        server = await asyncio.start_server(self._visit, sock=listening, limit=_HEAD_BYTES)
        await stopped.wait()
        server.close()
        self._places.close()

    async def _visit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        guest = _Guest(writer)
        is_in = self._lobby.enter(guest)
        self._lobby.evicted.clear()  # not reported here
        if not is_in:
            guest.evict()
            return
        try:
            async with asyncio.timeout(_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
            answer = await self._answer(head)
            async with asyncio.timeout(_SECONDS):
                writer.write(answer)
                writer.close()
                await writer.wait_closed()
        except asyncio.LimitOverrunError:
            writer.write(_plain_text(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "The request is too long").encode())
        except (TimeoutError, EOFError, OSError) as error:
            logger.debug("a client was not answered", extra={"fields": {"because": type(error).__name__}})
            guest.evict()
        finally:
            self._lobby.leave(guest)
            writer.close()

    async def _answer(self, head: bytes) -> bytes:
        method, _, rest = head.partition(b"\r\n")[0].decode("latin-1").partition(" ")
        path = rest.rpartition(" ")[0]
        if method not in ("GET", "HEAD"):
            return _plain_text(HTTPStatus.METHOD_NOT_ALLOWED, "GET and HEAD are answered", "GET, HEAD").encode()
        page = self._pages.get(path)
        if page is None:
            return _plain_text(HTTPStatus.NOT_FOUND, f"There are {' and '.join(self._pages)}").encode()
        try:
            answer = await self._computed(path, page)
        except Exception as error:  # noqa: BLE001 - one answer's failure is not the server's
            log_failure(logger, "a page could not be computed", error, {"path": path})
            answer = _plain_text(HTTPStatus.INTERNAL_SERVER_ERROR, "Internal error")
        return answer.encode(with_body=method == "GET")

    async def _computed(self, path: str, page: Page) -> HealthAnswer:
        """Return the page's answer; requests that come while it is computed share it."""
        future = self._being_computed.get(path)
        if future is None:
            future = asyncio.get_running_loop().run_in_executor(self._threads, page)
            self._being_computed[path] = future
            future.add_done_callback(lambda _: self._being_computed.pop(path, None))
        return await asyncio.shield(future)

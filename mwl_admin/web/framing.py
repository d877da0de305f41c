"""The body of a request as it comes in piece by piece (RFC 9112 sections 6 and 7), kept until it is whole."""

from __future__ import annotations

import io
import re
import tempfile
from collections.abc import Iterable
from typing import IO

from mwl_admin.web.http_limits import STRANGERS_BODY_BYTES
from mwl_admin.web.outgoing import Budget

_LONGEST_CHUNK_LINE = 256
_LONGEST_TRAILERS = 8 * 1024
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,12})[ \t]*(?:;[^\r\n]*)?")


class BadFraming(Exception):
    """What came can't be a body, and where the next request begins is unknown."""


class Body:
    """A body of a length that is known before. ``take`` removes from what was received what belongs to the body."""

    def __init__(self, length: int, budget: Budget) -> None:
        self.length = length
        self.size = 0
        self.is_complete = length == 0
        self._budget = budget
        self._borrowed = 0
        self._file: IO[bytes] = io.BytesIO()

    @property
    def expected(self) -> int:
        """Bytes that it has or is known to get."""
        return max(self.length, self.size)

    def take(self, received: bytearray) -> None:
        """:raises OSError: when it can't be kept."""
        self._keep(received, self.length - self.size)
        self.is_complete = self.size == self.length

    def open(self) -> IO[bytes]:
        """Return the whole body, to be read from its beginning."""
        self._file.seek(0)
        return self._file

    def close(self) -> None:
        self._file.close()
        self._budget.give_back(self._borrowed)
        self._borrowed = 0

    def _keep(self, received: bytearray, wanted: int) -> None:
        """Move up to ``wanted`` bytes; what exceeds a stranger's body goes to a file, out of all requests' budget."""
        data = bytes(received[:wanted])
        del received[: len(data)]
        if self.size + len(data) > STRANGERS_BODY_BYTES:
            self._budget.take(len(data))
            self._borrowed += len(data)
            if isinstance(self._file, io.BytesIO):
                # closed by `close`; the name is gone from the start, so that nothing stays behind
                file = tempfile.TemporaryFile()  # noqa: SIM115
                file.write(self._file.getvalue())
                self._file = file
        self._file.write(data)
        self.size += len(data)


class ChunkedBody(Body):
    """A body in chunks, each with its length before it. Extensions and trailers are read over."""

    def __init__(self, budget: Budget) -> None:
        super().__init__(0, budget)
        self.is_complete = False
        self._left = 0
        self._trailers = 0
        self._stage = "length"

    def take(self, received: bytearray) -> None:
        """:raises BadFraming: when what came is no chunk.
        :raises OSError: when it can't be kept.
        """
        while received and not self.is_complete:
            before = len(received), self._stage
            if self._stage == "data":
                self._take_data(received)
            else:
                self._take_line(received)
            if before == (len(received), self._stage):
                return

    def _take_data(self, received: bytearray) -> None:
        size = self.size
        self._keep(received, self._left)
        self._left -= self.size - size
        if not self._left:
            self._stage = "end of data"

    def _take_line(self, received: bytearray) -> None:
        end = received.find(b"\r\n")
        if end < 0:
            if len(received) > (_LONGEST_TRAILERS if self._stage == "trailers" else _LONGEST_CHUNK_LINE):
                raise BadFraming("a line of a chunk does not end")
            return
        line = bytes(received[:end])
        del received[: end + 2]
        if self._stage == "length":
            self._begin_chunk(line)
        elif self._stage == "end of data":
            if line:
                raise BadFraming("a chunk is longer than it says")
            self._stage = "length"
        elif line:
            self._trailers += len(line)
            if self._trailers > _LONGEST_TRAILERS:
                raise BadFraming("the trailers do not end")
        else:
            self.is_complete = True

    def _begin_chunk(self, line: bytes) -> None:
        found = _CHUNK_LINE.fullmatch(line)
        if found is None:
            raise BadFraming("a chunk has no length")
        self._left = int(found[1], 16)
        self._stage = "data" if self._left else "trailers"


def body_of(headers: Iterable[tuple[str, str]], budget: Budget) -> Body:
    """Return the body that header fields announce, still empty. Gunicorn has checked them: one length, or chunked."""
    for name, value in headers:
        if name == "TRANSFER-ENCODING":
            return ChunkedBody(budget)
        if name == "CONTENT-LENGTH":
            return Body(int(value), budget)
    return Body(0, budget)


def with_length(headers: Iterable[tuple[str, str]], length: int) -> list[tuple[str, str]]:
    """Return the header fields of a request whose chunks have been put together (RFC 9112 section 7.1.3)."""
    kept = [field for field in headers if field[0] not in {"TRANSFER-ENCODING", "TRAILER", "CONTENT-LENGTH"}]
    return [*kept, ("CONTENT-LENGTH", str(length))]

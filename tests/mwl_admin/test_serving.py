"""The parts of the site's worker: bodies in chunks, seats, turns, answers that wait."""

from __future__ import annotations

import ipaddress
import socket
import tempfile
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mwl_admin.web.connection_seats import ConnectionSeats, NoSeat
from mwl_admin.web.framing import BadFraming, Body, ChunkedBody
from mwl_admin.web.http_limits import STRANGERS_BODY_BYTES, HttpLimits
from mwl_admin.web.outgoing import Budget, Outgoing
from mwl_admin.web.work_queue import WorkQueue


@given(chunks=st.lists(st.binary(min_size=1, max_size=40), max_size=6), cut=st.integers(1, 30), next_=st.binary())
def test_a_body_in_chunks_is_the_same_however_it_comes(chunks: list[bytes], cut: int, next_: bytes) -> None:
    wire = b"".join(b"%x;name=value\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\nX: y\r\n\r\n"
    body, received = ChunkedBody(Budget(0)), bytearray()
    for start in range(0, len(wire), cut):
        assert not body.is_complete
        received += wire[start : start + cut]
        body.take(received)
    received += next_
    assert body.is_complete
    assert body.open().read() == b"".join(chunks)
    assert received == next_


@pytest.mark.parametrize("line", [b"", b"g", b"-5", b"+5", b"0x5", b"5 5", b"1\r\nab", b"\n", b"f" * 13, b"5\n;"])
def test_what_is_no_chunk_is_refused(line: bytes) -> None:
    with pytest.raises(BadFraming):
        ChunkedBody(Budget(0)).take(bytearray(line + b"\r\n"))


def test_a_long_body_takes_of_the_budget_and_gives_it_back() -> None:
    budget = Budget(STRANGERS_BODY_BYTES)
    data = b"x" * STRANGERS_BODY_BYTES
    body = Body(3 * len(data), budget)
    body.take(bytearray(data))
    body.take(bytearray(data))
    with pytest.raises(OSError, match="too much waits"):
        body.take(bytearray(data))
    assert body.open().read() == data * 2
    body.close()
    budget.take(STRANGERS_BODY_BYTES)


@pytest.mark.parametrize("sizes", [[10], [200_000], [30_000, 30_000, 30_000, 200_000, 5]])
def test_an_answer_waits_for_its_reader_and_comes_whole(sizes: list[int]) -> None:
    budget = Budget(1_000_000)
    ours, theirs = socket.socketpair()
    with ours, theirs, tempfile.TemporaryFile() as file:
        file.write(b"<" + b"f" * 100_000 + b">")
        file.flush()
        ours.setblocking(False)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        outgoing = Outgoing(ours, budget)
        expected = b""
        for number, size in enumerate(sizes):
            outgoing.sendall(bytes([number]) * size)
            outgoing.sendfile(file, offset=1, count=100_000)
            expected += bytes([number]) * size + b"f" * 100_000
        got = b""
        while not outgoing.flush():
            got += theirs.recv(65536)
        while len(got) < len(expected):
            got += theirs.recv(65536)
    assert got == expected
    budget.take(1_000_000)


@dataclass(eq=False)
class Guest:
    holder: str
    is_waiting: bool = True
    is_idle: bool = False


def seated(seats: ConnectionSeats[Guest], *guests: Guest) -> None:
    for guest in guests:
        assert seats.make_room(guest.holder) is None
        seats.take(guest)


def test_one_address_has_so_many_connections_and_loses_an_idle_one_for_a_new_one() -> None:
    seats: ConnectionSeats[Guest] = ConnectionSeats(HttpLimits(connections=100, connections_per_address=3))
    idle = Guest("a", is_idle=True)
    seated(seats, Guest("a"), idle, Guest("a"))
    assert seats.make_room("a") is idle
    idle.is_idle = False
    with pytest.raises(NoSeat):
        seats.make_room("a")
    assert seats.make_room("b") is None


def test_when_all_is_taken_the_address_with_most_gives_up_its_oldest() -> None:
    seats: ConnectionSeats[Guest] = ConnectionSeats(HttpLimits(connections=6, connections_per_address=5))
    working, oldest = Guest("greedy", is_waiting=False), Guest("greedy")
    seated(seats, Guest("modest"), working, oldest, Guest("greedy"), Guest("greedy"), Guest("modest"))
    assert seats.make_room("new") is oldest
    # whose connections are all at work gives up none: the next one does
    oldest.is_waiting = False
    seats.leave(working)
    seated(seats, others := Guest("other"))
    for guest in seats:
        guest.is_waiting = guest is others
    assert seats.make_room("new") is others
    # who has most asks in vain for more
    with pytest.raises(NoSeat):
        seats.make_room("greedy")


def test_who_an_address_counts_as() -> None:
    proxies = (ipaddress.ip_network("172.20.0.0/24"), ipaddress.ip_network("fd00::/64"))
    seats: ConnectionSeats[Guest] = ConnectionSeats(HttpLimits(trusted=proxies))
    assert seats.holder("192.0.2.1") == seats.holder("::ffff:192.0.2.1") == "192.0.2.1"
    assert seats.holder("2001:db8::1") == seats.holder("2001:db8::ffff:2") != seats.holder("2001:db8:0:1::1")
    assert seats.holder("172.20.0.9") == seats.holder("::ffff:172.20.0.9") == seats.holder("fd00::9") == ""
    assert seats.holder("127.0.0.1") == "127.0.0.1"


def test_addresses_take_turns() -> None:
    started: list[str] = []
    turns = WorkQueue(1)
    for name in ("a1", "a2", "a3", "b1", "c1", "b2"):
        turns.add(name[0], lambda name=name: started.append(name))  # type: ignore[misc]
    for _ in range(5):
        turns.done()
    assert started == ["a1", "a2", "b1", "c1", "a3", "b2"]

"""A storage provider that throws everything away and says Success: what is left is the client's own time.

No server can be faster with this client on this machine, so that its row tells how much of a figure is the servers'.
"""

from __future__ import annotations

import socket
import sys

from dicom_listener import dimse
from dicom_listener.access import Caller
from dicom_listener.answers import encode_response
from dicom_listener.negotiation import agree
from dicom_listener.pdu import COMMAND, HEADER, LAST, PDV_HEADER, RELEASE_RESPONSE, PduType, p_data
from dicom_listener.proposal import read_request
from dicom_listener.service import Response, Service

_MAX_PDU = 256 * 1024
_SUCCESS = Response(0x0000)


def _accept_all(_caller: Caller) -> None:
    return


SERVICE = Service(transfer_syntaxes=lambda _abstract, proposed: proposed, operations={}, access=_accept_all)


class Peer:
    """One connection, read without any check: the clients of a benchmark send what is right."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._view = memoryview(bytearray(2 * _MAX_PDU))

    def take(self, count: int) -> bytes:
        """Return the next ``count`` bytes.

        :raises EOFError: at the end of the connection.
        """
        received = 0
        while received < count:
            size = self._sock.recv_into(self._view[received:count])
            if not size:
                raise EOFError
            received += size
        return bytes(self._view[:count])

    def serve(self) -> None:
        """Answer every C-STORE until the release."""
        proposal_length = HEADER.unpack(self.take(6))[1]
        body = self.take(proposal_length)
        self._sock.sendall(agree(read_request(body), body, SERVICE, _MAX_PDU).pdu)
        command = None
        while True:
            kind, length = HEADER.unpack(self.take(6))
            if kind != PduType.P_DATA:
                self._sock.sendall(RELEASE_RESPONSE)
                return
            _, context_id, control = PDV_HEADER.unpack(self.take(6))
            fragment = self.take(length - 6)
            if control & COMMAND:
                command = dimse.decode(fragment)
            elif control & LAST and command is not None:
                self._sock.sendall(p_data(context_id, COMMAND, encode_response(command, _SUCCESS), 16384))


def main(port: int) -> None:
    """Serve one connection after the other, until ended."""
    with socket.create_server(("127.0.0.1", port)) as listener:
        while True:
            sock, _ = listener.accept()
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with sock:
                try:
                    Peer(sock).serve()
                except EOFError:
                    continue


if __name__ == "__main__":
    main(int(sys.argv[1]))

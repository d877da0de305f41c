"""Whether an address can be listened on: asked before a server starts, which would otherwise try again and again."""

from __future__ import annotations

import socket

from gateway_settings.addresses import Address
from gateway_settings.environment import BadSetting


def check_free(variable: str, address: Address) -> None:
    """Listen on the address for a moment; port 0, which the system chooses, is always free.

    :raises BadSetting: naming the variable and the cause: the address is in use, not this machine's, not allowed.
    """
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            address.host or None, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server will
            probe.bind(place)
            probe.listen()
    except OSError as error:
        raise BadSetting(f"{variable}: cannot listen on {address}: {error.strerror}") from None

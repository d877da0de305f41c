"""Where the other side is: as the options say, else this installation's own worklist provider and receiver."""

from __future__ import annotations

import math
import socket

from environs import FileAwareEnv

from gateway_settings import shared
from simulator.network import ServiceAddress


def worklist_provider(env: FileAwareEnv) -> ServiceAddress:
    """Return the worklist provider by ``MWL_BIND`` and ``MWL_AE_TITLE``.

    :raises BadSetting: when one of them can't be used.
    """
    return ServiceAddress(*shared.MWL_BIND.read(env).reachable, shared.MWL_AE_TITLE.read(env))


def receiver(env: FileAwareEnv) -> ServiceAddress:
    """Return the image receiver by ``PACS_BIND`` and ``PACS_AE_TITLE``.

    :raises BadSetting: when one of them can't be used.
    """
    return ServiceAddress(*shared.PACS_BIND.read(env).reachable, shared.PACS_AE_TITLE.read(env))


def parse(text: str, ae_title: str) -> ServiceAddress:
    """Parse HOST:PORT.

    :raises ValueError: when it is none, when nobody knows the host, or when the AE title is none (PS3.5 §6.2).
    """
    host, _, port = text.rpartition(":")
    if not host or not (port.isascii() and port.isdecimal()) or not 0 < int(port) < 65536:
        raise ValueError(f"{text} is not HOST:PORT")
    if not 1 <= len(ae_title) <= 16:
        raise ValueError(f"{ae_title} is not an AE title, which has 1 to 16 characters")
    host = host.strip("[]")
    try:
        socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise ValueError(f"{text}: nobody knows the host {host}") from None
    return ServiceAddress(host, int(port), ae_title)


def amount(text: str) -> float:
    """Parse a number from 0, such as of seconds, or of images a second.

    :raises ValueError: when it is none.
    """
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise ValueError(f"{text} is not a number from 0")
    return number

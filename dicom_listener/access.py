"""Who may open an association: one decision, by the peer's request, its address and its certificate.

In doubt a peer is rejected; so is every peer when the rule raises an exception.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dicom_listener.config import ListenerConfig


@dataclass(frozen=True, slots=True)
class Certificate:
    """A client certificate, signed by an authority that the settings name.

    ``sha256`` is its fingerprint in lower-case hexadecimal digits, ``common_name`` the one of its subject, empty when
    that has none or several. ``any_title``: the settings let it stand for every AE title.
    """

    sha256: str
    common_name: str
    any_title: bool = False

    def stands_for(self, ae_title: str) -> bool:
        """Tell whether its holder may call by this AE title, where none is bound to the device."""
        return self.any_title or self.common_name == ae_title


@dataclass(frozen=True, slots=True)
class Caller:
    """A peer that requests an association.

    ``address`` is the IP address as text. ``certificate`` is the one that it proved to hold, None without TLS or where
    none is asked for. ``identify`` verifies the User Identity that it sent (PS3.7 §D.3.3.7) and returns its
    rejection, or None: to be called last, since that takes a while. The listener calls it in any case.
    ``is_own_health_check``: the caller is the health check of this very service, which is not recorded as a caller.
    """

    calling_ae: str
    called_ae: str
    address: str
    certificate: Certificate | None = None
    identify: Callable[[], Rejected | None] = field(default=lambda: None, compare=False, repr=False)
    is_own_health_check: bool = False


class Reason(Enum):
    """Why a caller is rejected: result, source and reason of the A-ASSOCIATE-RJ (PS3.8 §9.3.4)."""

    NO_REASON = (1, 1, 1)
    APPLICATION_CONTEXT = (1, 1, 2)
    CALLING_AE = (1, 1, 3)
    CALLED_AE = (1, 1, 7)
    PROTOCOL_VERSION = (1, 2, 2)
    CONGESTION = (2, 3, 1)
    LOCAL_LIMIT = (2, 3, 2)


@dataclass(frozen=True, slots=True)
class Rejected:
    """A rejection: the reason that the peer is sent, and ``because``, a few words for the log."""

    reason: Reason
    because: str


AccessRule = Callable[[Caller], Rejected | None]
"""Returns None to accept the caller. A service may pass a rule of its own, as one that knows its devices."""


def rule_from(config: ListenerConfig) -> AccessRule:
    """Return the rule that the settings state: called AE, calling AE, address, user identity."""
    titles = config.calling_ae_titles
    networks = config.networks

    def rule(caller: Caller) -> Rejected | None:
        if config.require_called_ae and caller.called_ae != config.ae_title:
            return Rejected(Reason.CALLED_AE, "called AE title is not this one's")
        if titles and caller.calling_ae not in titles:
            return Rejected(Reason.CALLING_AE, "calling AE title is not on the list")
        if networks and not any(_address(caller.address) in network for network in networks):
            return Rejected(Reason.CALLING_AE, "address is in no allowed network")
        return caller.identify()

    return rule


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    address = ipaddress.ip_address(text.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address

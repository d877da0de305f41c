"""The one rule of who is served: a device is its AE title, its address, and with TLS its certificate (docs/devices.md).

Each service knows its devices by itself; what is asked of them, and how a stranger is told, stands here.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from dicom_listener.access import Caller, Reason, Rejected
from gateway_settings.addresses import Network


@dataclass(frozen=True, slots=True)
class Device:
    """What is known of an application entity. No network: any address. No certificate: one that names its AE title.

    ``certificates`` are SHA-256 fingerprints of client certificates, in lower-case hexadecimal digits without colons.
    """

    ae_title: str
    enabled: bool = True
    networks: tuple[Network, ...] = ()
    certificates: frozenset[str] = frozenset()

    def expects(self, address: str) -> bool:
        """Tell whether the device may call from this IP address."""
        return not self.networks or any(ip_address(address) in network for network in self.networks)


def judge(device: Device | None, caller: Caller, *, unknown: bool) -> Rejected | None:
    """Return None to serve the caller, or why it is turned away; ``unknown``: strangers are served.

    ``device`` is the one with the caller's AE title, None when there is none. Whoever is turned away is told the same
    (PS3.8 Table 9-21, calling AE title not recognized), whatever the cause: only the log and staff learn more.
    """
    if device is None and not unknown:
        return _turned_away("calling AE title belongs to no known device")
    if device is not None and not device.enabled:
        return _turned_away("device is switched off")
    if device is not None and not device.expects(caller.address):
        return _turned_away("device calls from an address where it is not expected")
    if device is not None and device.certificates:
        if caller.certificate is None or caller.certificate.sha256 not in device.certificates:
            return _turned_away("certificate is not the one that is bound to the device")
    elif caller.certificate is not None and not caller.certificate.stands_for(caller.calling_ae):
        return _turned_away("certificate names another than the calling AE title")
    return None


def _turned_away(because: str) -> Rejected:
    return Rejected(Reason.CALLING_AE, because)


def ip_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Parse the address of a peer; an IPv4 address that came in through an IPv6 socket is an IPv4 address."""
    address = ipaddress.ip_address(text.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address

"""The one rule on which devices are served: by AE title, address, and with TLS certificate (docs/devices.md).

Each service has a list of devices of its own; the conditions, and the rejection that a peer sees, stand here.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from dicom_listener.access import Caller, Reason, Rejected
from gateway_settings.addresses import Network


@dataclass(frozen=True, slots=True)
class Device:
    """A known application entity. Without networks it may call from any address.

    Without certificates it may call by any that names its AE title.

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
    """Return None to serve the caller, or its rejection; ``unknown``: callers that are no known device are served.

    ``device`` has the caller's AE title, None when no known device has it. The caller sees the same rejection whatever
    the cause (PS3.8 Table 9-21, calling AE title not recognized): only the log and staff learn the cause.
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

"""Who is let in: the one rule of devices (docs/devices.md), asked with the stations of the worklist database."""

from __future__ import annotations

import ipaddress
import logging
from typing import TYPE_CHECKING

from django.db import DatabaseError, InterfaceError, close_old_connections, connection

from dicom_listener.access import Reason, Rejected
from dicom_listener.devices import Device, judge
from gateway_settings.log import log_failure
from mwl_admin.models import Station
from mwl_admin.worklist import strangers

if TYPE_CHECKING:
    from dicom_listener.access import AccessRule, Caller
    from mwl_admin.worklist.policy import Policy

logger = logging.getLogger(__name__)


def both(first: AccessRule, second: AccessRule) -> AccessRule:
    """Return the rule that lets in whom both let in; the second is asked about nobody else."""
    return lambda caller: first(caller) or second(caller)


def known_devices(policy: Policy) -> AccessRule:
    """Return the rule that lets in known devices, and strangers where the policy says so, or an update has left some.

    Each association is judged by what the database holds at that moment: what staff change counts at once. A database
    that does not answer lets nobody in, for now (PS3.8 Table 9-21: temporary congestion), so that devices try again.
    """

    def rule(caller: Caller) -> Rejected | None:
        try:
            close_old_connections()
            device = _device(caller.calling_ae)
            unknown = device is None and strangers.is_served(caller.calling_ae, policy)
            return judge(device, caller, unknown=unknown)
        except (DatabaseError, InterfaceError) as error:
            log_failure(logger, "stations cannot be read; nobody is let in", error, {"address": caller.address})
            return Rejected(Reason.CONGESTION, "stations cannot be read")
        finally:
            # Whoever is turned away has no association at whose end it would be closed.
            connection.close()

    return rule


def _device(calling_ae: str) -> Device | None:
    title = calling_ae.strip(" ")
    columns = ("enabled", "expected_addresses", "certificates")
    found = Station.objects.filter(ae_title=title).values_list(*columns).first()
    if found is None:
        return None
    enabled, addresses, certificates = found
    networks = tuple(ipaddress.ip_network(line, strict=False) for line in addresses.split())
    return Device(title, enabled, networks, frozenset(certificates.split()))

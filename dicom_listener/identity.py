"""The identity of this implementation, on the network (PS3.7 §D.3.3.2) and in files (PS3.10 §7.1)."""

UID_ROOT = "2.25.118860113279656195069267942235599299489"
"""A root made from a random UUID (PS3.5 §B.2), this product's own."""

IMPLEMENTATION_CLASS_UID = f"{UID_ROOT}.1"
IMPLEMENTATION_VERSION_NAME = "GATEWAY_0_1"

HEALTH_AE_TITLE = "GATEWAY_HEALTH"
"""Calling AE title of a service's own health check: a name that any peer may use. A token identifies the check."""

"""C-ECHO to a station: is it there, and does it speak DICOM?"""

import socket
import time
from dataclasses import dataclass

from django.utils.translation import gettext as _
from pynetdicom import AE
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from gateway_settings import shared
from gateway_settings.environment import environment as read_environment
from mwl_admin.models import Station

_SECONDS = 3


@dataclass(frozen=True, slots=True)
class Echoed:
    """Whether the station answered; ``text`` says so in words."""

    ok: bool
    text: str


def echo(station: Station) -> Echoed:
    """Send C-ECHO to where the station answers (PS3.4 Annex A); takes a few seconds at most."""
    address, port = station.answers_at
    if not address:
        return Echoed(ok=False, text=_("The station has no address of its own to send to: give one on its page."))
    try:
        # First without DICOM: a machine that is switched off is told apart from one that refuses us.
        socket.create_connection((address, port), timeout=_SECONDS).close()
    except OSError:
        return Echoed(ok=False, text=_("%(address)s does not answer.") % {"address": f"{address}:{port}"})
    ae = AE(ae_title=shared.MWL_AE_TITLE.read(read_environment()))
    ae.connection_timeout = ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = _SECONDS
    ae.add_requested_context(Verification)
    started = time.perf_counter()
    association = ae.associate(address, port, ae_title=station.ae_title)
    if not association.is_established:
        text = _("%(address)s can be reached, but accepts no association from us.")
        return Echoed(ok=False, text=text % {"address": f"{address}:{port}"})
    try:
        status = association.send_c_echo()
    finally:
        association.release()
    milliseconds = (time.perf_counter() - started) * 1000
    if getattr(status, "Status", None) != 0:
        return Echoed(ok=False, text=_("%(address)s answers, but not with success.") % {"address": f"{address}:{port}"})
    return Echoed(
        ok=True,
        text=_("%(address)s answers in %(time).0f ms.") % {"address": f"{address}:{port}", "time": milliseconds},
    )

"""Whether a peer is let in: the checks of the association request itself, the access rule and the user identity."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from dicom_listener.access import Reason, Rejected
from dicom_listener.proposal import APPLICATION_CONTEXT
from gateway_settings.log import log_failure

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dicom_listener.access import AccessRule, Caller
    from dicom_listener.proposal import Proposal

logger = logging.getLogger(__name__)


def judge(proposal: Proposal, caller: Caller, access: AccessRule, log_fields: Mapping[str, object]) -> Rejected | None:
    """Return None to let the caller in, or why it is rejected. An access rule that raises lets nobody in."""
    if not proposal.protocol_version & 1:
        return Rejected(Reason.PROTOCOL_VERSION, "protocol version")
    if proposal.application_context != APPLICATION_CONTEXT:
        return Rejected(Reason.APPLICATION_CONTEXT, "application context name")
    if not caller.calling_ae:
        return Rejected(Reason.CALLING_AE, "calling AE title is empty")
    if not caller.called_ae:
        return Rejected(Reason.CALLED_AE, "called AE title is empty")
    try:
        return access(caller) or caller.identify()
    except Exception as error:  # noqa: BLE001 - in doubt the caller is rejected
        log_failure(logger, "access rule failed; nobody is let in", error, log_fields)
        return Rejected(Reason.NO_REASON, "access rule failed")

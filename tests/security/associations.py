"""Asks for an association as a stranger would, and tells what comes back."""

from __future__ import annotations

from tests.clients.raw import VERIFICATION, WORKLIST_FIND, RawPeer, association_request, context_item

MPPS = "1.2.840.10008.3.1.2.3.3"
MPPS_RETRIEVE = "1.2.840.10008.3.1.2.3.4"
SERVICES = {"C-ECHO": [VERIFICATION], "C-FIND": [WORKLIST_FIND], "MPPS": [MPPS, MPPS_RETRIEVE]}

CALLING_AE_NOT_RECOGNIZED = (1, 1, 3)
TEMPORARY_CONGESTION = (2, 3, 1)
_ALL = [uid for uids in SERVICES.values() for uid in uids]


def asked(
    port: int, calling: str, called: str = "MWL_SCP", *, contexts: list[str] | None = None
) -> tuple[int, int, int] | None:
    """Return result, source and reason of the A-ASSOCIATE-RJ (PS3.8 Table 9-21); None when the caller was let in."""
    items = [context_item(2 * number + 1, uid) for number, uid in enumerate(contexts or _ALL)]
    request = association_request(called=called.encode(), calling=calling.encode(), contexts=items)
    with RawPeer.connect(port, timeout=60) as peer:
        peer.send(request)
        answer = peer.read_pdu()
        if answer.kind != 2:
            return answer.rejection
        peer.release()
        return None

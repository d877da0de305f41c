"""pynetdicom's requestor, kept from taking the answer to its own request for a message of the peer's.

Its reactor says that it rests a moment before it does, and so takes an answer that comes quickly (3.0.4: "Received
unexpected … service message"). The request then waits for it until its time is over.
"""

from __future__ import annotations

from collections.abc import Callable

from pynetdicom.association import Association


def keep_answers(association: Association) -> Callable[[], None]:
    """Leave every message to the request that waits for one, until the returned function is called.

    For as long as the peer asks for nothing itself.
    """
    take = association.dimse.get_msg

    def take_only_when_waited_for(block: bool = False) -> object:
        return take(block=True) if block else (None, None)

    association.dimse.get_msg = take_only_when_waited_for  # type: ignore[method-assign,assignment]
    return lambda: vars(association.dimse).pop("get_msg", None)

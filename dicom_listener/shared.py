"""The objects that all associations of one worker process share."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dicom_listener.config import Limits
    from dicom_listener.lobby import Lobby
    from dicom_listener.seats import Seats
    from dicom_listener.service import Service
    from dicom_listener.user_identity import Verifier


@dataclass(frozen=True, slots=True)
class Shared:
    """Made by the server when its process starts; what it holds may be used by any thread."""

    service: Service
    limits: Limits
    seats: Seats
    lobby: Lobby
    verifier: Verifier
    health_token: str
    """The implementation version name of the service's own health check; empty without one."""

    def is_health_token(self, text: str) -> bool:
        return bool(self.health_token) and hmac.compare_digest(text.encode(), self.health_token.encode())

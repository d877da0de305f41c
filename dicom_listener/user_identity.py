"""User Identity Negotiation (PS3.7 §D.3.3.7): an identity counts only if credentials verify it.

Only types 1 (user name) and 2 (user name and passcode) can be verified. Kerberos tickets, SAML assertions, JSON web
tokens and types that the standard does not define never are: a peer that must identify itself is rejected with them.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import logging
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from dicom_listener import credentials
from dicom_listener.access import Reason, Rejected
from dicom_listener.credentials import BadCredentials, PasscodeHash, User

logger = logging.getLogger(__name__)

USER_NAME, USER_NAME_AND_PASSCODE = 1, 2

_HASHED_AT_ONCE = 2
_TURN_SECONDS = 5.0
_REMEMBERED_SECONDS = 300.0
_REMEMBERED = 1000


@dataclass(frozen=True, slots=True)
class UserIdentity:
    """A User Identity sub-item (PS3.7 Table D.3-14) as the requestor sent it, not verified."""

    kind: int
    primary: bytes = field(repr=False)
    secondary: bytes = field(repr=False)
    response_requested: bool = False


class Verifier:
    """Verifies identities against a credentials file, which is read again when it changes.

    Without a file nothing can be verified. ``required``: an association without a verified identity is rejected.
    """

    def __init__(self, path: Path | None, *, required: bool) -> None:
        self.required = required
        self._path = path
        self._lock = threading.Lock()
        self._stamp: tuple[int, int, int] | None = None
        self._users: dict[str, User] = {}
        self._turns = _Turns()
        self._key = os.urandom(32)
        self._verified: dict[bytes, float] = {}
        # an unknown name takes as long as a wrong passcode, so that the time betrays no names
        self._nobody = PasscodeHash.of(os.urandom(16)) if path else None
        self.reload()

    # -- the file

    def reload(self) -> None:
        """Read the file again; when it is wrong, log that and keep the users that were in force."""
        if self._path is None:
            return
        with self._lock:
            self._stamp = self._look()
            try:
                self._users = credentials.read(self._path)
            except BadCredentials as error:
                fields = {"because": str(error)}
                logger.error("the file of user identities is wrong, what was in force stays", extra={"fields": fields})
                return
            self._verified = {}
        logger.debug("user identities read", extra={"fields": {"users": len(self._users)}})

    def _look(self) -> tuple[int, int, int] | None:
        try:
            status = self._path.stat() if self._path else None
        except OSError:
            return None
        return (status.st_mtime_ns, status.st_size, status.st_ino) if status else None

    # -- verifying

    def verify(self, identity: UserIdentity | None, calling_ae: str, address: str) -> User | Rejected | None:
        """Return the verified user, the rejection, or None: no user is verified, and none is required.

        A wrong passcode is rejected also where no identity is required.
        """
        if identity is None:
            return self._unless_required("no user identity")
        if self._path is None or identity.kind not in (USER_NAME, USER_NAME_AND_PASSCODE):
            return self._unless_required("user identity of a type that is not verified")
        if self._look() != self._stamp:
            self.reload()
        name = identity.primary.decode("utf-8", "replace")
        user = self._users.get(name)
        if identity.kind == USER_NAME and (user is None or user.passcode is not None):
            return self._unless_required("user identity is not verified by its name alone")
        matches = self._matches(name, user, identity.secondary, address)
        if matches is None:
            return Rejected(Reason.CONGESTION, "too many user identities to verify at once")
        if user is None or not matches:
            return _rejected("user identity is wrong")
        return user if user.may_call_as(calling_ae) else _rejected("user identity is not one of the calling AE title")

    def _unless_required(self, because: str) -> Rejected | None:
        return _rejected(because) if self.required else None

    def _matches(self, name: str, user: User | None, passcode: bytes, address: str) -> bool | None:
        """Tell whether the passcode is the user's; None when too many are verified at once."""
        kept = user.passcode if user else self._nobody
        if kept is None:
            return True  # the name is enough for this user
        secret = hmac.digest(self._key, hashlib.sha256(name.encode("utf-8", "replace")).digest() + passcode, "sha256")
        known = self._verified
        if known.get(secret, 0.0) > time.monotonic():
            return True
        with self._turns.turn(address) as is_mine:
            if not is_mine:
                return None
            if known.get(secret, 0.0) > time.monotonic():  # while this one waited
                return True
            if not kept.matches(passcode) or user is None:
                return False
        self._remember(known, secret)
        return True

    def _remember(self, known: dict[bytes, float], secret: bytes) -> None:
        """Keep for a while that this passcode is right: that of a modality that calls often is hashed once.

        ``known`` belongs to the file as it was read: once the file is read again, another dictionary is in use.
        """
        with self._lock:
            while len(known) >= _REMEMBERED:
                known.pop(next(iter(known)))
            known[secret] = time.monotonic() + _REMEMBERED_SECONDS


def _rejected(because: str) -> Rejected:
    # rejected-permanent by the service user, no reason given: the standard has no reason for it (PS3.8 Table 9-21),
    # and another attempt with the same identity would not help
    return Rejected(Reason.NO_REASON, because)


class _Turns:
    """Turns at hashing: few at once, one for each address, so that wrong passcodes fill neither memory nor cores."""

    def __init__(self) -> None:
        self._free = threading.Condition()
        self._at_work: set[str] = set()

    @contextlib.contextmanager
    def turn(self, address: str) -> Iterator[bool]:
        """Wait for a turn; yield whether it came in time."""

        def is_free() -> bool:
            return len(self._at_work) < _HASHED_AT_ONCE and address not in self._at_work

        with self._free:
            is_mine = self._free.wait_for(is_free, _TURN_SECONDS)
            if is_mine:
                self._at_work.add(address)
        try:
            yield is_mine
        finally:
            if is_mine:
                with self._free:
                    self._at_work.discard(address)
                    self._free.notify_all()


class Identification:
    """The identity of one caller, verified when it is first asked for: last, since it costs most."""

    def __init__(self, verifier: Verifier, identity: UserIdentity | None, calling_ae: str, address: str) -> None:
        self.user: User | None = None
        self._verifier = verifier
        self._identity = identity
        self._calling_ae = calling_ae
        self._address = address
        self._rejected: Rejected | None = None
        self._asked = False

    def __call__(self) -> Rejected | None:
        """Return why the caller is rejected, None when not."""
        if not self._asked:
            verdict = self._verifier.verify(self._identity, self._calling_ae, self._address)
            self._rejected = verdict if isinstance(verdict, Rejected) else None
            self.user = verdict if isinstance(verdict, User) else None
            self._asked = True
        return self._rejected

    @property
    def is_answered(self) -> bool:
        """Whether a positive response is due: it was asked for, and the identity was verified."""
        return self.user is not None and self._identity is not None and self._identity.response_requested

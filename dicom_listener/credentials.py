"""Users that may identify themselves when they ask for an association: a TOML file with a hash of each passcode.

One table for each user::

    [[user]]
    name = "ct1"
    passcode = "scrypt:32768:8:1:…:…"  # made by `python -m dicom_listener identity ct1`
    ae_titles = ["CT1"]                # by which it may call; any when left out

    [[user]]
    name = "old-console"
    passcode_required = false          # the name alone is accepted as an identity
    ae_titles = ["US1"]
"""

from __future__ import annotations

import hashlib
import hmac
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from gateway_settings.values import ae_title

_COST, _BLOCK, _PARALLEL = 32768, 8, 1
"""Of a new hash: about 0.1 s and 32 MiB."""
_MAX_MEMORY = 160 * 1024 * 1024
_SALT_BYTES, _HASH_BYTES = 16, 32
_KEYS: dict[str, type] = {"name": str, "passcode": str, "passcode_required": bool, "ae_titles": list}


class BadCredentials(ValueError):
    """The file can't be used; the text is one line, and repeats no hash."""


@dataclass(frozen=True, slots=True)
class PasscodeHash:
    """The hash of a passcode: scrypt (RFC 7914) with its cost. The passcode itself is not kept."""

    cost: int
    block: int
    parallel: int
    salt: bytes = field(repr=False)
    value: bytes = field(repr=False)

    @classmethod
    def of(cls, passcode: bytes) -> Self:
        """Hash a passcode with a new salt."""
        salt = os.urandom(_SALT_BYTES)
        return cls(_COST, _BLOCK, _PARALLEL, salt, _scrypt(passcode, salt, _COST, _BLOCK, _PARALLEL))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what :meth:`__str__` writes.

        :raises ValueError: when it is none, or for a cost that is too low or too high to be used.
        """
        kind, *parts = text.split(":")
        if kind != "scrypt" or len(parts) != 5:
            raise ValueError("passcode is no hash of `python -m dicom_listener identity`")
        try:
            cost, block, parallel = map(int, parts[:3])
            salt, value = map(bytes.fromhex, parts[3:])
        except ValueError:
            raise ValueError("passcode is no hash of `python -m dicom_listener identity`") from None
        if not (16384 <= cost <= 131072 and cost & (cost - 1) == 0 and 8 <= block <= 16 and 1 <= parallel <= 4):
            raise ValueError("passcode is hashed at a cost that is not allowed")
        if 128 * cost * block > _MAX_MEMORY or len(salt) < _SALT_BYTES or len(value) != _HASH_BYTES:
            raise ValueError("passcode is hashed at a cost that is not allowed")
        return cls(cost, block, parallel, salt, value)

    def __str__(self) -> str:
        return f"scrypt:{self.cost}:{self.block}:{self.parallel}:{self.salt.hex()}:{self.value.hex()}"

    def matches(self, passcode: bytes) -> bool:
        """Tell whether this is the passcode's hash. Takes about 0.1 s, and lets other threads run."""
        return hmac.compare_digest(_scrypt(passcode, self.salt, self.cost, self.block, self.parallel), self.value)


def _scrypt(passcode: bytes, salt: bytes, cost: int, block: int, parallel: int) -> bytes:
    return hashlib.scrypt(
        passcode, salt=salt, n=cost, r=block, p=parallel, maxmem=_MAX_MEMORY + 1024 * 1024, dklen=_HASH_BYTES
    )


@dataclass(frozen=True, slots=True)
class User:
    """Who may identify: no ``passcode`` means that the name is enough, no ``ae_titles`` that it may call by any."""

    name: str
    passcode: PasscodeHash | None
    ae_titles: frozenset[str] = frozenset()

    def may_call_as(self, title: str) -> bool:
        return not self.ae_titles or title in self.ae_titles


def parse(text: str) -> dict[str, User]:
    """Read the content of a credentials file, users by name.

    :raises BadCredentials: when it can't be used.
    """
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadCredentials(f"is not TOML: {error}".replace("\n", " ")) from None
    entries = content.pop("user", [])
    if content or not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise BadCredentials("holds something else than [[user]] tables")
    users: dict[str, User] = {}
    for number, entry in enumerate(entries, 1):
        try:
            user = _user(entry)
            if user.name in users:
                raise ValueError("name occurs twice")
        except ValueError as error:
            raise BadCredentials(f"[[user]] number {number}: {error}") from None
        users[user.name] = user
    return users


def _user(entry: Mapping[str, Any]) -> User:
    for key, value in entry.items():
        if key not in _KEYS:
            raise ValueError(f"{key!r} is not known")
        if type(value) is not _KEYS[key]:
            raise ValueError(f"{key} is not of the right type")
    if not entry.get("name"):
        raise ValueError("name is missing")
    if entry.get("passcode_required", True) is not ("passcode" in entry):
        raise ValueError("needs a passcode, or passcode_required = false and none")
    passcode = PasscodeHash.parse(entry["passcode"]) if "passcode" in entry else None
    return User(entry["name"], passcode, frozenset(ae_title(str(title)) for title in entry.get("ae_titles", [])))


def read(path: Path) -> dict[str, User]:
    """Read a credentials file.

    :raises BadCredentials: when it can't be used.
    """
    try:
        return parse(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadCredentials(f"cannot read {str(path)!r}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BadCredentials("is not UTF-8") from None

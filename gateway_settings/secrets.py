"""Secrets that nobody has to think of: made at the first start, kept in a file that only its owner reads."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from gateway_settings.private import make_folder

_RANDOM_BYTES = 48


def kept_secret(path: Path) -> str:
    """Return the secret in the file ``path``; make one, and the file, where there is none.

    Processes that start at once agree on one secret, and none reads half of it.

    :raises OSError: when the file can't be read, or none can be made.
    :raises ValueError: when the file is empty, which nobody may take for a secret.
    """
    if not path.exists():
        _make(path)
    secret = path.read_text(encoding="utf-8").strip()
    if not secret:
        raise ValueError(f"{path} is empty; remove it, and a new secret is made at the next start")
    return secret


def _make(path: Path) -> None:
    make_folder(path.parent)
    # Made aside, made durable, and linked into place: the name stands for the whole secret or is not there.
    aside = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(_RANDOM_BYTES))
            file.flush()
            os.fsync(file.fileno())
        os.link(aside, path)
    except FileExistsError:
        pass  # another process was first: its secret is everybody's
    finally:
        aside.unlink()

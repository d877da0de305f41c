"""The environment, with the settings file `.env` of the working directory behind it: read here, for every process.

The file is read whole or not at all: a line that can't be understood would leave a default in force that nobody chose.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import TypeVar

from dotenv.parser import parse_stream
from environs import EnvError, FileAwareEnv

from gateway_settings.log import shaped

T = TypeVar("T")

EXIT_BAD_SETTING = 2
SETTINGS_FILE = Path(".env")

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class BadSetting(Exception):
    """A setting can't be used; the text is one line that names the variable, or the line of the settings file."""


def environment() -> FileAwareEnv:
    """Return a reader of the environment, with `.env` behind it; ``NAME_FILE`` names a file that holds ``NAME``.

    :raises BadSetting: when there is a file `.env` of which a line can't be understood, or that can't be read.
    """
    env = FileAwareEnv(strip_whitespace=True)
    if SETTINGS_FILE.is_file():
        check(SETTINGS_FILE)
        env.read_env(SETTINGS_FILE, recurse=False)
    return env


def read(env: FileAwareEnv, name: str, parse: Callable[[str], T], default: str) -> T:
    """Return the setting as ``parse`` understands it; ``parse`` says what is wrong in a ValueError.

    The default goes through ``parse`` too: docs/settings.md states it as it would be written in the environment.

    :raises BadSetting: when it can't be used.
    """
    try:
        return parse(env.str(name, default))
    except (EnvError, ValueError, OSError) as error:
        raise BadSetting(f"{name}: {' '.join(str(error).split())}") from error


@contextmanager
def exit_on_bad_setting() -> Iterator[None]:
    """Turn a :class:`BadSetting` into one line on standard error and exit status 2.

    :raises SystemExit: in its place.
    """
    try:
        yield
    except BadSetting as error:
        print(shaped(str(error)), file=sys.stderr)  # noqa: T201 - what the person who starts the service reads
        raise SystemExit(EXIT_BAD_SETTING) from None


def check(path: Path) -> None:
    """Refuse a settings file that is not wholly empty lines, comments and lines of the form ``NAME=value``.

    :raises BadSetting: naming file and line, and no value: a secret may stand there.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise BadSetting(f"{path}: can't be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise BadSetting(f"{path}, line {line}: is not UTF-8 text") from None
    for binding in parse_stream(StringIO(text)):
        blank = len(binding.original.string) - len(binding.original.string.lstrip())
        line = binding.original.line + binding.original.string[:blank].count("\n")
        if binding.error:
            raise BadSetting(f"{path}, line {line}: is not NAME=value, or a quote has no end")
        if binding.key is None:
            continue  # empty, or a comment
        if not _NAME.fullmatch(binding.key):
            raise BadSetting(f"{path}, line {line}: a name has letters, digits and underscores only")
        if binding.value is None:
            raise BadSetting(f"{path}, line {line}: {binding.key} has no value; write {binding.key}=value")

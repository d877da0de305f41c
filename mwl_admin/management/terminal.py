"""Commands whose output can't steer the terminal (:mod:`mwl_admin.management.plaintext`)."""

from __future__ import annotations

from typing import Any, TextIO, cast

from django.core.management.base import BaseCommand, OutputWrapper

from mwl_admin.management.plaintext import plain


class PlainOutput(OutputWrapper):
    """A command's output, each line of it plain; colours are put around it afterwards."""

    def write(self, msg: str = "", style_func: Any = None, ending: str | None = None) -> None:  # type: ignore[override]
        super().write("\n".join(map(plain, msg.split("\n"))), style_func, ending)


class PlainCommand(BaseCommand):
    """A command whose output and errors are plain, whatever stood in files and database."""

    _stdout: OutputWrapper
    _stderr: OutputWrapper

    @property
    def stdout(self) -> OutputWrapper:
        """Where the command writes."""
        return self._stdout

    @stdout.setter
    def stdout(self, given: OutputWrapper) -> None:
        self._stdout = _plain_output(given)

    @property
    def stderr(self) -> OutputWrapper:
        """Where the command writes its errors."""
        return self._stderr

    @stderr.setter
    def stderr(self, given: OutputWrapper) -> None:
        self._stderr = _plain_output(given)


def _plain_output(given: OutputWrapper) -> OutputWrapper:
    made = PlainOutput(cast(TextIO, given._out))
    made.style_func = given.style_func
    return made

"""The receiver's command line, killed before the n-th lasting change that settling a conflict makes.

``python -m tests.pacs_receiver.cut_off N conflicts accept NAME --yes``: SIGKILL before the N-th link, rename, removal,
new folder or commit, counted from where settling begins.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from sqlalchemy import Engine, event

from pacs_receiver import cli, settle

_LASTING = {"os.link", "os.rename", "os.remove", "os.mkdir"}


class Cut:
    """Counts down from where settling begins."""

    def __init__(self, left: int) -> None:
        self.left = left
        self.has_begun = False

    def step(self) -> None:
        if self.has_begun:
            self.left -= 1
            if not self.left:
                os.kill(os.getpid(), signal.SIGKILL)

    def hook(self, name: str, _: tuple[Any, ...]) -> None:
        if name in _LASTING:
            self.step()


def main() -> None:
    """Run the command line until it is cut off."""
    cut = Cut(int(sys.argv.pop(1)))
    original = settle.settle

    def begin(*args: Any, **kwargs: Any) -> dict[str, Any]:
        cut.has_begun = True
        done = original(*args, **kwargs)
        cut.has_begun = False
        return done

    settle.settle = begin
    event.listen(Engine, "commit", lambda _: cut.step())
    sys.addaudithook(cut.hook)
    sys.exit(cli.main())


if __name__ == "__main__":
    main()

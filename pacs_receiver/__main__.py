"""The command line of the receiver: `python -m pacs_receiver --help`."""

from __future__ import annotations

import sys

from pacs_receiver.cli import main

if __name__ == "__main__":
    sys.exit(main())

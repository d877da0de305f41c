"""The command line of the certificates: ``python -m gateway_certificates --help``."""

from __future__ import annotations

import sys

from gateway_certificates.cli import main

if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python
"""Administration of the worklist site from the command line."""

import os
import sys

from gateway_settings.environment import exit_on_bad_setting
from gateway_settings.private import keep_private


def main() -> None:
    keep_private()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mwl_admin.settings")
    from django.core.management import execute_from_command_line

    from mwl_admin.management.logged import logged_output

    with exit_on_bad_setting(), logged_output("".join(sys.argv[1:2])):
        execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()

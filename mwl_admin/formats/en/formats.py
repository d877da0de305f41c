"""English, as the department writes it."""

from mwl_admin.formats.department import *  # noqa: F403

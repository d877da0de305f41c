"""Where Django looks for the admin's classes; they are in :mod:`mwl_admin.site.admin`."""

from mwl_admin.site import admin  # noqa: F401

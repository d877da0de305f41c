"""The site as a WSGI application, for gunicorn."""

import os

from django.core.wsgi import get_wsgi_application

from gateway_settings.private import keep_private

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mwl_admin.settings")
keep_private()

application = get_wsgi_application()

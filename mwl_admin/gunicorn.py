"""How gunicorn serves the site: ``gunicorn --config python:mwl_admin.gunicorn mwl_admin.wsgi``."""

import sys

from mwl_admin import environment

try:
    from mwl_admin import settings

    _env = environment.environment()
    workers = environment.read(_env, "WEB_WORKERS", environment.whole_number(1, 64), "1")
    threads = environment.read(_env, "WEB_THREADS", environment.whole_number(1, 64), "8")
except environment.BadSetting as error:
    # Told here, in one line, before gunicorn starts a worker that would tell it in a traceback, again and again.
    print(error, file=sys.stderr)  # noqa: T201
    raise SystemExit(2) from None

wsgi_app = "mwl_admin.wsgi"
bind = settings.WEB_BIND
worker_class = "gthread"
timeout = 30
graceful_timeout = 20
accesslog = None
errorlog = "-"
capture_output = False
control_socket_disable = True
loglevel = settings.LOG_LEVEL.lower()
logconfig_dict = settings.LOGGING | {
    "loggers": settings.LOGGING["loggers"]
    | {
        "gunicorn.error": {"level": settings.LOG_LEVEL, "handlers": [], "propagate": True},
        "gunicorn.access": {"level": settings.LOG_LEVEL, "handlers": [], "propagate": True},
    }
}

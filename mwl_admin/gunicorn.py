"""How gunicorn serves the site: ``gunicorn --config python:mwl_admin.gunicorn mwl_admin.wsgi``."""

from gateway_settings import log, private
from gateway_settings.environment import exit_on_bad_setting
from mwl_admin import environment
from mwl_admin.web.address import check_free

private.keep_private()

# Told here, in one line, before gunicorn starts a worker that would tell it in a traceback, again and again.
with exit_on_bad_setting():
    from mwl_admin import settings

wsgi_app = "mwl_admin.wsgi"
umask = private.UMASK
bind = str(settings.WEB_BIND)
workers = settings.WEB_WORKERS
threads = settings.WEB_THREADS
worker_class = "mwl_admin.web.worker.Worker"
keepalive = int(settings.WEB_LIMITS.keepalive_seconds)
timeout = 30
graceful_timeout = 20
logger_class = "mwl_admin.web.access_log.AccessLogger"
errorlog = "-"
capture_output = False
control_socket_disable = True
# The site decides whom it believes (WEB_TRUSTED_PROXIES); gunicorn would believe whatever runs on this machine.
forwarded_allow_ips = ""
loglevel = settings.LOG_LEVEL.lower()
logconfig_dict = settings.LOGGING | {
    "loggers": settings.LOGGING["loggers"]
    | {
        "gunicorn.error": {"level": settings.LOG_LEVEL, "handlers": [], "propagate": True},
        "gunicorn.access": {"level": settings.LOG_LEVEL, "handlers": [], "propagate": True},
    }
}


def on_starting(server: object) -> None:
    """Refuse a used address in one line; close what an earlier version left open to others on this machine."""
    with exit_on_bad_setting():
        check_free("WEB_BIND", settings.WEB_BIND)
    private.tighten_start(settings.DATA_DIR, databases=environment.database_files(settings.DATABASES))


def post_worker_init(worker: object) -> None:
    """Begin what each worker does besides serving.

    It tells the receiver of changes, writes the downtime list, and deletes what the site has no use for any more.
    """
    from mwl_admin.images.change_delivery import deliverer  # models are loaded with the application
    from mwl_admin.site.cleanup import cleaner
    from mwl_admin.site.downtime.listing import lister

    deliverer.start()
    lister.start()
    cleaner.start()


# Here and not in the settings, which commands read too: what a command has to say is for the person who gave it.
log.capture()

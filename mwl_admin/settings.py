"""Django's settings, taken from the environment (docs/settings.md lists the variables).

:raises gateway_settings.environment.BadSetting: on import, for the first variable that can't be used.
"""

from datetime import timedelta
from typing import Any

from django.utils.translation import gettext_lazy as _

from gateway_settings import log, shared, values
from gateway_settings.addresses import bind_address, networks
from gateway_settings.databases import sqlite_url
from gateway_settings.environment import environment as read_environment
from gateway_settings.environment import read
from mwl_admin import environment
from mwl_admin.entries.tables.table_limits import TableLimits
from mwl_admin.site import languages
from mwl_admin.web import headers
from mwl_admin.web.http_limits import API_BODY_BYTES, HttpLimits
from mwl_admin.worklist import policy

_env = read_environment()

DATA_DIR = shared.DATA_DIR.read(_env)
DEBUG = read(_env, "DJANGO_DEBUG", values.boolean, "0")
SECRET_KEY = environment.secret_key(_env, DATA_DIR)
ALLOWED_HOSTS = read(_env, "DJANGO_ALLOWED_HOSTS", values.host_names, "localhost,127.0.0.1,[::1]")
# By this name the receiver and the health checks reach the site, whatever names staff type.
ALLOWED_HOSTS += read(_env, "WEB_INTERNAL_HOSTS", values.host_names, "")
CSRF_TRUSTED_ORIGINS = read(_env, "DJANGO_CSRF_TRUSTED_ORIGINS", values.origins, "")
WEB_BIND = read(_env, "WEB_BIND", bind_address, "127.0.0.1:8000")
WEB_WORKERS = read(_env, "WEB_WORKERS", values.whole_number(1, 64), "1")
WEB_THREADS = read(_env, "WEB_THREADS", values.whole_number(1, 64), "8")

DATABASES: dict[str, dict[str, Any]] = {
    "default": read(_env, "DATABASE_URL", environment.database, sqlite_url(DATA_DIR / "worklist.sqlite3"))
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "mwl_admin.apps.WorklistConfig",
    # Before the admin, whose look and history they replace.
    "unfold",
    "unfold.contrib.simple_history",
    "unfold.contrib.import_export",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "simple_history",
    "axes",
    "import_export",
    # For the page of the API, whose script and style it brings.
    "ninja",
    "csp",
    # Only for its commands: `demo_day` and `simulate_modality`.
    "simulator",
]

STATIC_URL = "static/"
STATIC_ROOT = DATA_DIR / "static"
# Django would open them to everybody, whatever the umask says.
FILE_UPLOAD_PERMISSIONS = 0o600
FILE_UPLOAD_DIRECTORY_PERMISSIONS = 0o700

MIDDLEWARE = [
    # Before whatever asks for the client's address or the scheme.
    "mwl_admin.web.proxies.TrustedProxies",
    # Before the others, so that it sees every answer.
    "mwl_admin.api.access.AccessLog",
    # Before the one that sets the length of an answer.
    "mwl_admin.api.protocol.Protocol",
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "mwl_admin.web.headers.Headers",
    # Without `collectstatic` there is nothing to serve (check mwl_admin.W006).
    *(["whitenoise.middleware.WhiteNoiseMiddleware"] if DEBUG or STATIC_ROOT.is_dir() else []),
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "mwl_admin.web.bodies.BodyLimit",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "mwl_admin.site.sessions.SessionMiddleware",
    "mwl_admin.site.first_password.FirstPasswordMiddleware",
    "simple_history.middleware.HistoryRequestMiddleware",
    # The last: it turns a login that was refused into the page that says so.
    "axes.middleware.AxesMiddleware",
]

AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AXES_FAILURE_LIMIT = read(_env, "WEB_LOGIN_FAILURES", values.whole_number(1, 1000), "10")
AXES_COOLOFF_TIME = timedelta(minutes=read(_env, "WEB_LOGIN_LOCKOUT_MINUTES", values.whole_number(1, 1440), "15"))
# Both together: nobody locks out a colleague at another desk, and a whole department may sit behind one address.
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_HANDLER = "mwl_admin.site.logins.LoginHandler"
WEB_LOGIN_FAILURES_PER_ADDRESS = read(_env, "WEB_LOGIN_FAILURES_PER_ADDRESS", values.whole_number(1, 100_000), "50")
AXES_RESET_ON_SUCCESS = True
# Trying on while locked neither prolongs the lock nor writes anything: the next attempt is one lock later.
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_LOCKOUT_TEMPLATE = "mwl_admin/locked_out.html"
AXES_VERBOSE = False
# Its pages let a superuser delete what they show: ours are in mwl_admin.site.admin.logins.
AXES_ENABLE_ADMIN = False
AXES_SENSITIVE_PARAMETERS = ["username", "ip_address"]

ROOT_URLCONF = "mwl_admin.urls"
WSGI_APPLICATION = "mwl_admin.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# One for all who work in the department: what is noted in the history stands there in its language too.
LANGUAGE_CODE = read(_env, "LANGUAGE_CODE", languages.language, "en-gb")
USE_I18N = True
FORMAT_MODULE_PATH = ["mwl_admin.formats"]
USE_TZ = True
TIME_ZONE = read(_env, "TIME_ZONE", values.time_zone, "Europe/London")

UNFOLD = {
    "SITE_TITLE": _("Worklist"),
    "SITE_HEADER": _("Worklist"),
    "SITE_SYMBOL": "calendar_month",
    "SITE_URL": "/",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": "mwl_admin.site.navigation.icon"}],
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
    "STYLES": [
        "mwl_admin.site.navigation.colours",
        "mwl_admin.site.navigation.style",
        "mwl_admin.site.navigation.list_style",
        "mwl_admin.site.navigation.print_style",
    ],
    "SCRIPTS": [
        "mwl_admin.site.navigation.expressions",
        "mwl_admin.site.navigation.texts",
        "mwl_admin.site.navigation.script",
    ],
    # None here: the theme would write them into each page, which the policy forbids. They are in a file, as all style.
    "COLORS": "mwl_admin.site.navigation.no_colours",
    "THEME": "light",
    "SIDEBAR": {"show_search": False, "navigation": "mwl_admin.site.navigation.sidebar"},
}

# When examinations are booked: free times are offered within.
DEPARTMENT_HOURS = read(_env, "DEPARTMENT_HOURS", values.hours, "08:00-18:00")
# Whose patient IDs are those without an issuer.
PATIENT_ID_ISSUER = read(_env, "PATIENT_ID_ISSUER", values.long_string, "")
DATE_STYLE = read(_env, "DATE_STYLE", values.choice("d/m/Y", "d.m.Y", "m/d/Y", "Y-m-d"), "d/m/Y")

STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "mwl_admin.site.static_files.StaticStorage"},
}
WHITENOISE_USE_FINDERS = DEBUG

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "mwl_admin.site.first_password.OwnPasswordValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]

LOGIN_REDIRECT_URL = "today"
# Staff share rooms and screens: a session ends with the browser, and when nobody has touched it for this long.
SESSION_COOKIE_AGE = 60 * read(_env, "WEB_SESSION_MINUTES", values.whole_number(1, 1440), "120")
SESSION_EXPIRE_AT_BROWSER_CLOSE = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_HTTPONLY = True
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
SECURE_CONTENT_TYPE_NOSNIFF = True
CONTENT_SECURITY_POLICY = {"DIRECTIVES": headers.POLICY}

# Cookies travel over HTTPS only, once the site is known to be reached that way and no other.
_served_by_https = bool(CSRF_TRUSTED_ORIGINS) and all(origin.startswith("https://") for origin in CSRF_TRUSTED_ORIGINS)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = read(
    _env, "DJANGO_SECURE_COOKIES", values.boolean, "1" if _served_by_https else "0"
)
# Off by default: a browser that has once seen it refuses plain HTTP for that long, which can't be taken back.
SECURE_HSTS_SECONDS = read(_env, "DJANGO_HSTS_SECONDS", values.whole_number(0, 63_072_000), "0")
# Whose X-Forwarded-For and X-Forwarded-Proto count. The middleware takes them away from all others.
WEB_TRUSTED_PROXIES = read(_env, "WEB_TRUSTED_PROXIES", networks, "")
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

# What clients may take of the server before, and after, they are known.
_seconds, _bytes = values.whole_number(1, 3600), values.whole_number(65_536, 2**40)
WEB_LIMITS = HttpLimits(
    connections=read(_env, "WEB_MAX_CONNECTIONS", values.whole_number(8, 10_000), "512"),
    connections_per_address=read(_env, "WEB_MAX_CONNECTIONS_PER_ADDRESS", values.whole_number(1, 10_000), "100"),
    head_seconds=read(_env, "WEB_HEAD_SECONDS", _seconds, "10"),
    transfer_seconds=read(_env, "WEB_TRANSFER_SECONDS", _seconds, "20"),
    keepalive_seconds=read(_env, "WEB_KEEPALIVE_SECONDS", _seconds, "5"),
    upload_bytes=read(_env, "WEB_MAX_UPLOAD_BYTES", _bytes, "20971520"),
    buffered_bytes=read(_env, "WEB_MAX_BUFFERED_BYTES", _bytes, "268435456"),
    trusted=WEB_TRUSTED_PROXIES,
)
# Forms and the API's bodies; files to be imported count apart. Nothing that staff send has more fields or files.
DATA_UPLOAD_MAX_MEMORY_SIZE = API_BODY_BYTES
DATA_UPLOAD_MAX_NUMBER_FIELDS = 1000
DATA_UPLOAD_MAX_NUMBER_FILES = 4
FILE_UPLOAD_MAX_MEMORY_SIZE = API_BODY_BYTES

# What a query may see: by this the worklist provider answers, and the site shows what it answers.
WORKLIST_POLICY = policy.load(_env)
MWL_BIND = shared.MWL_BIND.read(_env)

# What one report of a modality may take, and those of one modality in a day: they are kept for ever.
MPPS_MAX_BYTES = read(_env, "MWL_MPPS_MAX_BYTES", values.whole_number(65_536, 1024**3), "8388608")
MPPS_DAY_BYTES = read(_env, "MWL_MPPS_DAY_BYTES", values.whole_number(65_536, 1024**4), "268435456")

# Whether it is known which steps modalities were told of: by this the worklist provider records.
RECORD_QUERIES = read(_env, "MWL_RECORD_QUERIES", values.boolean, "1")

# Who opened which patient's record, and when.
RECORD_PATIENT_READS = read(_env, "WEB_RECORD_PATIENT_READS", values.boolean, "0")

API_REQUESTS_PER_MINUTE = read(_env, "API_REQUESTS_PER_MINUTE", values.whole_number(1, 1_000_000), "12000")
API_WRONG_TOKENS_PER_MINUTE = read(_env, "API_WRONG_TOKENS_PER_MINUTE", values.whole_number(1, 100_000), "20")
# Site and receiver sign with it what they send to each other: the same secret on both sides.
PACS_NOTIFY_SECRET = shared.link_secret(_env)
# Where the receiver takes commands; without, it looks for changes by itself now and then.
DOWNTIME_LIST_DIR = read(_env, "DOWNTIME_LIST_DIR", str, "")
DOWNTIME_LIST_MINUTES = read(_env, "DOWNTIME_LIST_MINUTES", values.whole_number(1, 1440), "15")
DOWNTIME_LIST_KEEP_DAYS = read(_env, "DOWNTIME_LIST_KEEP_DAYS", values.whole_number(0, 365), "7")
PACS_COMMAND_URL = read(_env, "PACS_COMMAND_URL", values.http_url, "")
IMAGES_OVERDUE_MINUTES = read(_env, "IMAGES_OVERDUE_MINUTES", values.whole_number(1, 10_080), "180")

# Old versions are there to be read.
SIMPLE_HISTORY_REVERT_DISABLED = True

# What a file of entries may hold, looked at before it is read.
IMPORT_LIMITS = TableLimits(
    size=read(_env, "IMPORT_MAX_BYTES", values.whole_number(1024, 1024**3), "20971520"),
    unpacked=read(_env, "IMPORT_MAX_UNPACKED_BYTES", values.whole_number(1024, 1024**3), "104857600"),
    rows=read(_env, "IMPORT_MAX_ROWS", values.whole_number(1, 1_000_000), "20000"),
    columns=read(_env, "IMPORT_MAX_COLUMNS", values.whole_number(1, 16_384), "200"),
    cells=read(_env, "IMPORT_MAX_CELLS", values.whole_number(1, 100_000_000), "1000000"),
    sheets=read(_env, "IMPORT_MAX_SHEETS", values.whole_number(1, 1000), "50"),
)
IMPORT_EXPORT_EXPORT_PERMISSION_CODE = "view"

LOG_LEVEL = shared.LOG_LEVEL.read(_env)
LOG_FORMAT = shared.LOG_FORMAT.read(_env)
LOGGING: dict[str, Any] = log.configuration(
    LOG_LEVEL,
    LOG_FORMAT,
    filters={"routes": {"()": "mwl_admin.web.log_routes.Routes"}},
    loggers={
        "django": {"handlers": [], "level": "INFO", "propagate": True},
        # Each statement, with the patients in its parameters, goes to this logger when DJANGO_DEBUG is on.
        "django.db.backends": {"level": "INFO"},
        # What matters of it are refused logins.
        "axes": {"level": "WARNING"},
    },
)

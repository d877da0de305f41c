"""Django's settings, taken from the environment (docs/settings.md lists the variables).

:raises mwl_admin.environment.BadSetting: on import, for the first variable that can't be used.
"""

from datetime import timedelta
from typing import Any

from mwl_admin import environment

_env = environment.environment()

DATA_DIR = environment.read(_env, "DATA_DIR", environment.folder, "var")
DEBUG = environment.read(_env, "DJANGO_DEBUG", environment.boolean, "0")
SECRET_KEY = environment.secret_key(_env, DATA_DIR)
ALLOWED_HOSTS = environment.read(_env, "DJANGO_ALLOWED_HOSTS", environment.host_names, "localhost,127.0.0.1,[::1]")
CSRF_TRUSTED_ORIGINS = environment.read(_env, "DJANGO_CSRF_TRUSTED_ORIGINS", environment.origins, "")
WEB_BIND = environment.read(_env, "WEB_BIND", environment.bind, "127.0.0.1:8000")
WEB_WORKERS = environment.read(_env, "WEB_WORKERS", environment.whole_number(1, 64), "1")
WEB_THREADS = environment.read(_env, "WEB_THREADS", environment.whole_number(1, 64), "8")

DATABASES: dict[str, dict[str, Any]] = {
    "default": environment.read(
        _env, "DATABASE_URL", environment.database, f"sqlite:///{DATA_DIR / 'worklist.sqlite3'}"
    )
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "mwl_admin.apps.WorklistConfig",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
]

STATIC_URL = "static/"
STATIC_ROOT = DATA_DIR / "static"

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    # Without `collectstatic` there is nothing to serve (check mwl_admin.W006).
    *(["whitenoise.middleware.WhiteNoiseMiddleware"] if DEBUG or STATIC_ROOT.is_dir() else []),
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

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

LANGUAGE_CODE = "en-gb"
USE_I18N = True
FORMAT_MODULE_PATH = ["mwl_admin.formats"]
USE_TZ = True
TIME_ZONE = environment.read(_env, "TIME_ZONE", environment.time_zone, "Europe/London")

STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "mwl_admin.static.StaticStorage"},
}
WHITENOISE_USE_FINDERS = DEBUG

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]

# Staff share rooms and screens: a session ends with the browser and after a working day.
SESSION_COOKIE_AGE = int(timedelta(hours=12).total_seconds())
SESSION_EXPIRE_AT_BROWSER_CLOSE = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_HTTPONLY = True
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"

# Cookies travel over HTTPS only, once the site is known to be reached that way and no other.
_served_by_https = bool(CSRF_TRUSTED_ORIGINS) and all(origin.startswith("https://") for origin in CSRF_TRUSTED_ORIGINS)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = environment.read(
    _env, "DJANGO_SECURE_COOKIES", environment.boolean, "1" if _served_by_https else "0"
)
# Off by default: a browser that has once seen it refuses plain HTTP for that long, which can't be taken back.
SECURE_HSTS_SECONDS = environment.read(_env, "DJANGO_HSTS_SECONDS", environment.whole_number(0, 63_072_000), "0")
# Only set behind a proxy that itself sets, or removes, X-Forwarded-Proto.
if environment.read(_env, "DJANGO_BEHIND_HTTPS_PROXY", environment.boolean, "0"):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

LOG_LEVEL = environment.read(
    _env, "LOG_LEVEL", environment.choice("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"), "INFO"
)
LOG_FORMAT = environment.read(_env, "LOG_FORMAT", environment.choice("text", "json"), "text")
LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "text": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"},
        "json": {"()": "mwl_admin.log.JSONFormatter"},
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": LOG_FORMAT}},
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
    # Each statement, with the patients in its parameters, goes to this logger when DJANGO_DEBUG is on.
    "loggers": {
        "django": {"handlers": [], "level": "INFO", "propagate": True},
        "django.db.backends": {"level": "INFO"},
    },
}

"""Settings from the environment: what is refused, in which words, and what is made."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CONFIGURATION = ("-m", "gunicorn", "--check-config", "--config", "python:mwl_admin.gunicorn", "mwl_admin.wsgi")


def run(tmp_path: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=tmp_path,
        env={**inherited, "PYTHONPATH": str(ROOT), "DATA_DIR": str(tmp_path / "var"), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def manage(tmp_path: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return run(tmp_path, str(ROOT / "manage.py"), *arguments, **environment)


BAD = [
    ("DJANGO_DEBUG", "perhaps"),
    ("DATABASE_URL", "mysql://user:hunter22@host/name"),
    ("DATABASE_URL", "nonsense"),
    ("DATABASE_URL", "postgres://user:hunter22@host:port/name"),
    ("DATABASE_URL", "postgres://host"),
    ("DJANGO_ALLOWED_HOSTS", "https://worklist.example"),
    ("DJANGO_CSRF_TRUSTED_ORIGINS", "worklist.example"),
    ("DJANGO_SECRET_KEY", "short"),
    ("DJANGO_SECRET_KEY_FILE", "/nonexistent/key"),
    ("DJANGO_HSTS_SECONDS", "-1"),
    ("TIME_ZONE", "Europe/Atlantis"),
    ("TIME_ZONE", "../../etc/passwd"),
    ("WEB_BIND", "8000"),
    ("WEB_BIND", "127.0.0.1:99999"),
    ("WEB_BIND", "::1:8000"),
    ("WEB_TRUSTED_PROXIES", "proxy"),
    ("WEB_TRUSTED_PROXIES", "172.20.0.1/16"),
    ("WEB_WORKERS", "0"),
    ("WEB_THREADS", "many"),
    ("LOG_LEVEL", "LOUD"),
    ("LOG_FORMAT", "xml"),
    ("DATA_DIR", "/dev/null/var"),
]


@pytest.mark.parametrize(("name", "value"), BAD)
def test_a_bad_value_is_one_line_that_names_the_variable(tmp_path: Path, name: str, value: str) -> None:
    ended = manage(tmp_path, "check", **{name: value})
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr.count("\n") == 1
    assert ended.stderr.startswith(f"{name.removesuffix('_FILE')}")
    assert "hunter22" not in ended.stderr


@pytest.mark.parametrize(("name", "value"), [("TIME_ZONE", "Europe/Atlantis"), ("WEB_WORKERS", "0")])
def test_gunicorn_refuses_to_start_in_the_same_words(tmp_path: Path, name: str, value: str) -> None:
    ended = run(tmp_path, *CONFIGURATION, **{name: value})
    assert ended.returncode == 2
    assert ended.stderr == manage(tmp_path, "check", **{name: value}).stderr


def test_gunicorn_takes_the_defaults(tmp_path: Path) -> None:
    ended = run(tmp_path, *CONFIGURATION)
    assert ended.returncode == 0, ended.stderr


def test_the_secret_key_is_made_once_and_kept_from_others(tmp_path: Path) -> None:
    show = ("-c", "from mwl_admin import settings; print(settings.SECRET_KEY)")
    first, second = run(tmp_path, *show), run(tmp_path, *show)
    path = tmp_path / "var" / "secret_key"
    assert first.stdout == second.stdout == f"{path.read_text()}\n"
    assert len(first.stdout) > 50
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["link_secret", "secret_key"]


def test_a_secret_can_come_from_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "key"
    secret.write_text("k" * 40 + "\n")
    ended = run(
        tmp_path,
        "-c",
        "from mwl_admin import settings; print(settings.SECRET_KEY)",
        DJANGO_SECRET_KEY_FILE=str(secret),
    )
    assert ended.stdout == "k" * 40 + "\n"
    assert not (tmp_path / "var" / "secret_key").exists()


def test_a_dotenv_file_is_honoured_and_the_environment_wins(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("TIME_ZONE=Asia/Tokyo\nWEB_WORKERS=3\n")
    show = ("-c", "from mwl_admin import settings; print(settings.TIME_ZONE, settings.WEB_WORKERS)")
    assert run(tmp_path, *show).stdout == "Asia/Tokyo 3\n"
    assert run(tmp_path, *show, TIME_ZONE="Europe/Rome").stdout == "Europe/Rome 3\n"


@pytest.mark.parametrize(
    ("given", "secure"),
    [
        ({}, False),
        ({"DJANGO_CSRF_TRUSTED_ORIGINS": "https://worklist.example"}, True),
        ({"DJANGO_CSRF_TRUSTED_ORIGINS": "https://a.example,http://b.example"}, False),
        ({"DJANGO_SECURE_COOKIES": "1"}, True),
    ],
)
def test_cookies_are_secure_where_the_site_is_served_by_https(
    tmp_path: Path, given: dict[str, str], secure: bool
) -> None:
    show = "from mwl_admin import settings as s; print(s.SESSION_COOKIE_SECURE, s.CSRF_COOKIE_SECURE)"
    assert run(tmp_path, "-c", show, **given).stdout == f"{secure} {secure}\n"


def test_sqlite_is_opened_for_several_processes(tmp_path: Path) -> None:
    show = (
        "import django; django.setup()\n"
        "from django.db import connection as c, transaction\n"
        "for pragma in 'journal_mode', 'synchronous', 'busy_timeout', 'foreign_keys':\n"
        "    print(c.cursor().execute(f'PRAGMA {pragma}').fetchone()[0])\n"
        "c.close()"
    )
    ended = run(tmp_path, "-c", show, DJANGO_SETTINGS_MODULE="mwl_admin.settings")
    assert ended.stdout.split() == ["wal", "2", "20000", "1"], ended.stderr


def test_static_files_are_collected_under_names_that_change_with_their_content(tmp_path: Path) -> None:
    ended = manage(tmp_path, "collectstatic", "--noinput")
    assert ended.returncode == 0, ended.stderr
    show = (
        "import django; django.setup()\n"
        "from django.templatetags.static import static\n"
        "print(static('admin/css/base.css'))"
    )
    url = run(tmp_path, "-c", show, DJANGO_SETTINGS_MODULE="mwl_admin.settings").stdout.strip()
    assert url != "/static/admin/css/base.css"
    assert (tmp_path / "var" / url.lstrip("/")).exists()

"""The embedded set-up: what `make run` does before the supervisor takes over.

Checks the settings of all three processes, brings the worklist database and the static files up to date, makes the
first account, says where each process listens, and then becomes the supervisor. With arguments it is the supervisor's
control program: ``python embedded.py status``.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import stat
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gateway_settings.addresses import Address, bracketed
from gateway_settings.environment import BadSetting, environment, exit_on_bad_setting
from gateway_settings.log import shaped
from gateway_settings.private import keep_private, tighten_start

if TYPE_CHECKING:
    from dicom_listener.config import ListenerConfig

logger = logging.getLogger(__name__)

ROOT = Path(__file__).resolve().parent
SUPERVISORD_CONF = ROOT / "supervisord.conf"
EXIT_RUNS_ALREADY = 3
_DATABASE_PAUSE = 2
SOCKET_PATH_LIMIT = 90
"""Bytes in the path of a Unix socket: the kernel takes 107, and the supervisor adds its process number for a moment."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the three processes would read, as far as the set-up needs it."""

    data_dir: Path
    web_bind: Address
    mwl: ListenerConfig
    pacs: ListenerConfig
    command_bind: Address
    """Where the receiver takes the site's commands."""
    log_format: str
    open_to_strangers: tuple[str, ...]
    """Which of the two listeners serve devices that nobody entered."""


def main(arguments: list[str]) -> None:
    """Start everything in the foreground, or pass ``arguments`` to the supervisor's control program."""
    keep_private()
    settings = read_settings()
    tighten_start(settings.data_dir)
    environment = supervisor_environment(settings)
    if arguments:
        _become("supervisor.supervisorctl", ["-c", str(SUPERVISORD_CONF), *arguments], environment)
    _take_folder(settings)
    _check_addresses(settings)
    prepare_site()
    announce(settings)
    _open_by_name(sys.stdout.fileno())
    # root without this option gets a warning; anyone else stays who they are
    _become("supervised", ["-c", str(SUPERVISORD_CONF), "-u", str(os.getuid())], environment)


def _take_folder(settings: Settings) -> None:
    """Hold the folder for the supervisor that this process becomes; end here when another one holds it.

    The lock ends with the process that holds it, however that ends. Its file says where the site is.
    """
    path = settings.data_dir / "run" / "running"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        site = os.read(descriptor, 1024).decode(errors="replace").strip()
        _complain(f"Gateway runs already in {settings.data_dir}: {site}   (make status, make restart)")
        raise SystemExit(EXIT_RUNS_ALREADY) from None
    os.truncate(descriptor, 0)
    os.write(descriptor, f"{_site(settings)}\n".encode())
    os.set_inheritable(descriptor, True)


def _check_addresses(settings: Settings) -> None:
    """End in one line when one of the addresses is in use: a service would be started again without end."""
    from mwl_admin.web.address import check_free

    addresses = {
        "WEB_BIND": settings.web_bind,
        "MWL_BIND": settings.mwl.bind,
        "MWL_HEALTH_BIND": settings.mwl.health_bind,
        "PACS_BIND": settings.pacs.bind,
        "PACS_HEALTH_BIND": settings.pacs.health_bind,
        "PACS_COMMAND_BIND": settings.command_bind,
    }
    first: dict[Address, str] = {}
    with exit_on_bad_setting():
        for variable, address in addresses.items():
            if address.port and first.setdefault(address, variable) != variable:
                raise BadSetting(f"{variable}: {address} is {first[address]} already")
            check_free(variable, address)


def _site(settings: Settings) -> str:
    """Return where staff reach the site on this machine."""
    return f"http://{settings.web_bind.reachable}/"


def read_settings() -> Settings:
    """Read the settings of all three; a bad one is one line on standard error and exit status 2."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mwl_admin.settings")
    with exit_on_bad_setting():
        from mwl_admin import settings as site
        from mwl_scp import config as mwl_config
        from pacs_receiver import config as pacs_config

        env = environment()
        mwl = mwl_config.load(env)
        pacs = pacs_config.load(env)
    strangers = {"worklist": mwl.policy.unknown_see, "images": pacs.accept_unknown_peers}
    return Settings(
        data_dir=site.DATA_DIR,
        web_bind=site.WEB_BIND,
        mwl=mwl.listener,
        pacs=pacs.listener,
        command_bind=pacs.command_bind,
        log_format=site.LOG_FORMAT,
        open_to_strangers=tuple(name for name, served in strangers.items() if served),
    )


def prepare_site() -> None:
    """Migrate the worklist database, collect the static files, make the first account when there is none."""
    import django
    from django.core.management import call_command

    from mwl_admin.management.logged import logged_output

    django.setup()
    _migrate()
    call_command("collectstatic", interactive=False, verbosity=0)
    with logged_output("first_account"):
        call_command("first_account")


def _migrate() -> None:
    """Migrate the worklist database, again and again while its server is away, which is said once."""
    from django.core.management import call_command
    from django.db import OperationalError

    is_said = False
    while True:
        try:
            call_command("migrate", interactive=False, verbosity=0)
        except OperationalError as error:
            if getattr(error.__cause__, "sqlstate", "") is not None:
                raise  # the server answered, or there is none
        else:
            return
        if not is_said:
            line = f"the database server can't be reached, it is tried again every {_DATABASE_PAUSE} seconds"
            _complain(f"DATABASE_URL: {line}")
        is_said = True
        time.sleep(_DATABASE_PAUSE)


def supervisor_environment(settings: Settings) -> dict[str, str]:
    """Return the environment for the supervisor: ours, in which `.env` is since it was read, and its own variables."""
    run_dir = settings.data_dir / "run"
    run_dir.mkdir(parents=True, exist_ok=True)
    search_path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    return {
        **link(settings),
        **os.environ,
        "PYTHONPATH": search_path,
        "GATEWAY_PYTHON": sys.executable,
        "GATEWAY_RUN_DIR": str(run_dir),
        "GATEWAY_CONTROL_SOCKET": str(control_socket(run_dir)),
        "GATEWAY_MWL_STOP_WAIT": str(int(settings.mwl.limits.stop) + 10),
        "GATEWAY_PACS_STOP_WAIT": str(int(settings.pacs.limits.stop) + 10),
    }


def link(settings: Settings) -> dict[str, str]:
    """Return the settings by which site and receiver find each other on this machine; the owner's own ones win."""
    site = settings.web_bind.reachable
    return {
        "WEB_INTERNAL_HOSTS": bracketed(site.host),
        "PACS_NOTIFY_URL": f"http://{site}/api/notices/study-complete",
        "PACS_PEERS_URL": f"http://{site}/api/receiver/devices",
        "PACS_COMMAND_URL": f"http://{settings.command_bind.reachable}",
    }


def control_socket(run_dir: Path) -> Path:
    """Return where the supervisor takes orders: in ``run_dir``; in the temporary folder when that path is too long."""
    path = run_dir / "supervisor.sock"
    if len(os.fsencode(path)) <= SOCKET_PATH_LIMIT:
        return path
    return Path(tempfile.gettempdir()) / f"gateway-{hashlib.sha256(os.fsencode(run_dir)).hexdigest()[:16]}.sock"


def announce(settings: Settings) -> None:
    """Say where each process listens: to the person who started it, or in a line of the log for machines."""
    if settings.log_format == "json":
        mwl, pacs = settings.mwl, settings.pacs
        fields = {"staff": _site(settings), "worklist": str(mwl.bind), "images": str(pacs.bind),
                  "data": str(settings.data_dir), "open": settings.open_to_strangers}  # fmt: skip
        logger.info("Gateway starts", extra={"fields": fields})
    else:
        print(announcement(settings), flush=True)  # noqa: T201


def announcement(settings: Settings) -> str:
    """Return what the person who started it reads first: where each process listens, and how to try it."""
    mwl, pacs = settings.mwl, settings.pacs
    mwl_peer, pacs_peer = (" ".join(map(str, bind.reachable)) for bind in (mwl.bind, pacs.bind))
    return f"""
  staff      {_site(settings)}
  worklist   {mwl.ae_title} at {mwl.bind}   http://{mwl.health_bind}/health
  images     {pacs.ae_title} at {pacs.bind}   http://{pacs.health_bind}/health
  data       {settings.data_dir}
{_first_password(settings)}{_strangers(settings)}
  echoscu -aec {mwl.ae_title} {mwl_peer}
  findscu -W -aec {mwl.ae_title} -k 0010,0010 -k "0040,0100[0].0040,0002=$(date +%Y%m%d)" {mwl_peer}
  storescu -aec {pacs.ae_title} {pacs_peer} FILE.dcm

  Ctrl-C stops all three. In another terminal: make status, make restart SERVICE=mwl_scp
"""


def _first_password(settings: Settings) -> str:
    """Return a line that says where the first account's password is, as long as nobody has changed it."""
    path = settings.data_dir / "first_password"
    return f"  password   of admin, until the first login: in {path}\n" if path.exists() else ""


def _strangers(settings: Settings) -> str:
    """Return a line that says where devices are served that nobody entered; empty where they are not."""
    if not settings.open_to_strangers:
        return ""
    return f"  open       {' and '.join(settings.open_to_strangers)}: devices that are no stations are served too\n"


def _complain(line: str) -> None:
    print(shaped(line), file=sys.stderr, flush=True)  # noqa: T201


def _open_by_name(output: int) -> None:
    """Let the supervisor and its services open standard output each for itself, by name, as they do.

    What goes to a file is appended then. A socket, as the journal's, has no name to open: a pipe stands before it.
    """
    kind = os.fstat(output).st_mode
    if stat.S_ISREG(kind):
        fcntl.fcntl(output, fcntl.F_SETFL, fcntl.fcntl(output, fcntl.F_GETFL) | os.O_APPEND)
    elif stat.S_ISSOCK(kind):
        reading, writing = os.pipe()
        # in a session of its own, so that Ctrl-C leaves it to pass on what is said at the end
        subprocess.Popen(["/bin/cat"], stdin=reading, stdout=output, start_new_session=True)
        os.close(reading)
        os.dup2(writing, output)
        os.close(writing)


def _become(module: str, arguments: list[str], environment: dict[str, str]) -> None:
    os.execve(sys.executable, [sys.executable, "-m", module, *arguments], environment)  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1:])

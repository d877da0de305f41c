"""The supervisor of the embedded set-up, whose log lines have the form of all others: ``python -m supervised``."""

from __future__ import annotations

from typing import Any

from supervisor import loggers, supervisord

from gateway_settings import log, shared
from gateway_settings.environment import environment, exit_on_bad_setting


class Relay(loggers.Handler):  # type: ignore[misc]
    """Gives the supervisor's lines to our log; its levels have the same numbers."""

    def emit(self, record: Any) -> None:
        """Log one of its lines."""
        log.relay("supervisor", record.level, record.asdict()["message"])

    def flush(self) -> None:
        """Do nothing: our log has no buffer."""

    def close(self) -> None:
        """Do nothing: the supervisor closes its log at its end, and standard output stays open."""

    def reopen(self) -> None:
        """Do nothing: there is no file to be opened again."""


def _relay(logger: Any, _format: str) -> None:
    logger.addHandler(Relay())


def main() -> None:
    """Supervise until told to stop; the lines are on standard output, among those of the services."""
    with exit_on_bad_setting():
        env = environment()
        log.configure(shared.LOG_LEVEL.read(env), shared.LOG_FORMAT.read(env), stream="stdout")
    # what it would print them by: there is no setting for their form
    loggers.handle_stdout = _relay
    supervisord.main()


if __name__ == "__main__":
    main()

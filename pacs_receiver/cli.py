"""The receiver's subcommands: arguments in, exit status out."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import Engine

from dicom_listener.config import environment, exit_on_bad_setting
from pacs_receiver import output, queries
from pacs_receiver.config import PacsConfig, load
from pacs_receiver.database import connect, migrate

EXIT_OK = 0
EXIT_FOUND_PROBLEMS = 1
EXIT_USAGE = 2
EXIT_NOT_FOUND = 3

Run = Callable[[PacsConfig, argparse.Namespace], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line, run the subcommand, return its exit status."""
    options = parser().parse_args(arguments)
    with exit_on_bad_setting():
        config = load(environment())
        run: Run = options.run
        return run(config, options)


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(
        prog="python -m pacs_receiver",
        description="Receives DICOM images (C-STORE), keeps them as they came, and knows what it has.",
        epilog="Settings come from the environment and from .env; docs/settings.md lists them. Exit status: 0 done, "
        "1 something is wrong with what is stored, 2 wrong arguments or settings, 3 no such study.",
    )
    top.set_defaults(run=_serve)
    commands = top.add_subparsers(metavar="COMMAND")
    _command(commands, "serve", _serve, "answer the network until told to stop (what runs without a command)")
    listing = _command(commands, "list", _list, "print the studies, the latest arrival first")
    listing.add_argument("--patient-id", default="", help="only studies of this patient ID")
    listing.add_argument("--accession-number", default="", help="only studies with this accession number")
    listing.add_argument("--date", default="", metavar="YYYYMMDD", help="only studies of this study date")
    listing.add_argument("--limit", type=int, metavar="N", help="print at most N studies")
    listing.add_argument("--json", action="store_true", help="one JSON object a line")
    return top


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, run: Run, summary: str
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
    command.set_defaults(run=run)
    return command


@contextmanager
def _index(config: PacsConfig) -> Iterator[Engine]:
    migrate(config.database_url)
    engine = connect(config.database_url)
    try:
        yield engine
    finally:
        engine.dispose()


def _serve(config: PacsConfig, _options: argparse.Namespace) -> int:
    # what serving needs is not loaded for a command that only looks
    from pacs_receiver.serve import serve

    return serve(config)


def _list(config: PacsConfig, options: argparse.Namespace) -> int:
    with _index(config) as engine:
        studies = queries.list_studies(
            engine,
            patient_id=options.patient_id,
            accession_number=options.accession_number,
            study_date=options.date,
            limit=options.limit,
        )
        output.studies(studies, as_json=options.json)
    return EXIT_OK

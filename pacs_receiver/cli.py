"""The receiver's subcommands: arguments in, exit status out."""

from __future__ import annotations

import argparse
import getpass
import logging
import logging.config
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from gateway_settings import log
from gateway_settings.environment import environment, exit_on_bad_setting
from gateway_settings.private import keep_private
from pacs_receiver import (
    aside,
    cli_conflicts,
    deletion,
    export,
    output,
    patient_changes,
    queries,
    retention,
    served_before,
    turned_away,
    verify,
)
from pacs_receiver.config import PacsConfig, load
from pacs_receiver.database import migrate
from pacs_receiver.exceptions import IndexUnavailable
from pacs_receiver.index import IndexWriter
from pacs_receiver.index_access import open_engine, open_writer
from pacs_receiver.index_trouble import trouble
from pacs_receiver.peer_book import PeerBook
from pacs_receiver.storage import Storage

EXIT_OK = 0
EXIT_FOUND_PROBLEMS = 1
EXIT_USAGE = 2
EXIT_NOT_FOUND = 3

Run = Callable[[PacsConfig, argparse.Namespace], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line, run the subcommand, return its exit status."""
    options = parser().parse_args(arguments)
    keep_private()
    with exit_on_bad_setting():
        config = load(environment())
        _log_troubles(config)
        run: Run = options.run
        try:
            return run(config, options)
        except (SQLAlchemyError, IndexUnavailable) as error:
            if not (why := trouble(error)):
                raise
            output.complain(f"the index can't be used: {why}")
            return EXIT_FOUND_PROBLEMS


def _log_troubles(config: PacsConfig) -> None:
    """Log from WARNING on what a command runs into; `serve` logs more."""
    level = config.listener.log_level
    logging.config.dictConfig(log.configuration("WARNING" if level == "INFO" else level, config.listener.log_format))


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(
        prog="python -m pacs_receiver",
        description="Receives DICOM images (C-STORE), keeps them as they came, and knows what it has.",
        epilog="Settings come from the environment and from .env; docs/settings.md lists them. Exit status: 0 done, "
        "1 something is wrong with what is stored or was not done, 2 wrong arguments or settings, 3 no such study.",
    )
    top.set_defaults(run=_serve)
    commands = top.add_subparsers(metavar="COMMAND")
    _command(commands, "serve", _serve, "answer the network until told to stop (what runs without a command)")
    listing = _command(commands, "list", _list, "print the studies, the latest arrival first")
    listing.add_argument("--patient-id", default="", help="only studies of this patient ID")
    listing.add_argument("--accession-number", default="", help="only studies with this accession number")
    listing.add_argument("--date", default="", metavar="YYYYMMDD", help="only studies of this study date")
    listing.add_argument("--odd", action="store_true", help="only studies with images whose encoding is odd")
    listing.add_argument("--limit", type=int, metavar="N", help="print at most N studies")
    show = _command(commands, "show", _show, "print one study with its series and instances")
    show.add_argument("study", metavar="STUDY", help="Study Instance UID")
    status = _command(
        commands, "status", _status, "print how much there is, what is waiting, and how long the disk lasts"
    )
    checking = _command(commands, "verify", _verify, "read every file and compare it with its SHA-256 of arrival")
    checking.add_argument("study", metavar="STUDY", nargs="?", default="", help="only this Study Instance UID")
    again = _command(commands, "reindex", _reindex, "rebuild the index from the files alone")
    again.add_argument("--trust-files", action="store_true",
                       help="take the files as they are, even where they differ from what arrived")  # fmt: skip
    copying = _command(commands, "export", _export, "copy a study, with a DICOMDIR, into an empty folder")
    copying.add_argument("study", metavar="STUDY", help="Study Instance UID")
    copying.add_argument("folder", metavar="DIR", type=Path, help="made when it is absent")
    copying.add_argument(
        "--patient-id", help="only the images that name this patient ID, for a study of several patients"
    )
    removal = _command(commands, "delete", _delete, "move a study to the trash folder and forget it")
    removal.add_argument("study", metavar="STUDY", help="Study Instance UID")
    removal.add_argument("--yes", action="store_true", help="do not ask")
    aging = _command(commands, "retention", _retention, "remove the studies that retention says may go")
    aging.add_argument("--dry-run", action="store_true", help="only print them")
    cli_conflicts.add_to(commands, _everything)
    for command in (listing, show, status, checking, again, aging):
        command.add_argument("--json", action="store_true", help="JSON, one object a line")
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
    engine = open_engine(config)
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def _everything(config: PacsConfig) -> Iterator[tuple[Engine, Storage, IndexWriter]]:
    storage = Storage(config.storage_dir, fsync=config.fsync)
    storage.open()
    try:
        with _index(config) as engine:
            writer = open_writer(config, engine)
            try:
                yield engine, storage, writer
            finally:
                writer.close()
    finally:
        storage.close()


def _no_such_study(study_uid: str) -> int:
    output.complain(f"no such study: {study_uid}")
    return EXIT_NOT_FOUND


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
            only_odd=options.odd,
            limit=options.limit,
        )
        output.studies(studies, as_json=options.json)
    return EXIT_OK


def _show(config: PacsConfig, options: argparse.Namespace) -> int:
    with _index(config) as engine:
        found = queries.find_study(engine, options.study)
        if found is None:
            return _no_such_study(options.study)
        output.study(
            found,
            queries.series_of(engine, options.study),
            queries.instances_of(engine, options.study),
            as_json=options.json,
        )
    return EXIT_OK


def _status(config: PacsConfig, options: argparse.Namespace) -> int:
    with _everything(config) as (engine, _storage, _writer):
        peers = PeerBook(config.peers_file, config.registry_file)
        waiting = served_before.unanswered(engine, peers) if config.needs_answers else []
        output.status(
            queries.totals(engine)
            | patient_changes.totals(engine)
            | {"set_aside": len(aside.newer(config.storage_dir))},
            retention.runway(engine, config),
            {
                "devices_from_file": peers.known().from_file,
                "devices_from_site": peers.known().from_site,
                "strangers": "accepted" if config.accept_unknown_peers else "rejected",
                "served_as_before": waiting,
                "turned_away": [
                    row for row in turned_away.listed(engine) if not row["served"] or row["ae_title"] in waiting
                ],
            },
            as_json=options.json,
        )
    return EXIT_OK


def _verify(config: PacsConfig, options: argparse.Namespace) -> int:
    with _everything(config) as (engine, storage, _writer):
        if options.study and queries.find_study(engine, options.study) is None:
            return _no_such_study(options.study)
        total = queries.totals(engine)["instances"] if not options.study else None
        with output.progress("verifying", total) as advance:
            findings = verify.verify(engine, storage, study_uid=options.study, progress=advance)
    output.findings(findings, as_json=options.json)
    return EXIT_FOUND_PROBLEMS if findings.wrong else EXIT_OK


def _reindex(config: PacsConfig, options: argparse.Namespace) -> int:
    with _everything(config) as (engine, storage, writer), output.progress("reading files", None) as advance:
        report, wrong = verify.reindex(engine, storage, writer, trust_files=options.trust_files, progress=advance)
    output.reindexed(report, wrong, as_json=options.json)
    return EXIT_FOUND_PROBLEMS if report.damaged or report.elsewhere or (wrong and not options.trust_files) else EXIT_OK


def _export(config: PacsConfig, options: argparse.Namespace) -> int:
    folder: Path = options.folder
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        output.complain(f"{folder} is not an empty folder")
        return EXIT_USAGE
    with _everything(config) as (engine, storage, _writer):
        found = queries.find_study(engine, options.study)
        if found is None:
            return _no_such_study(options.study)
        if found["mixed_up"] and options.patient_id is None:
            output.complain("this study has images of different patients; --patient-id copies those of one alone")
        kept = {row["sop_instance_uid"] for row in queries.instances_of(engine, options.study)}
        waiting = sum(of.sop_instance_uid in kept for of in aside.newer(storage.root))
        if waiting:
            output.complain(
                f"newer bytes of images lie aside and are not copied ({waiting} files): see 'conflicts list'"
            )
        with output.progress("copying", found["instance_count"]) as advance:
            exported = export.export_study(
                engine, storage, options.study, folder, patient_id=options.patient_id, progress=advance
            )
    if options.patient_id is not None and not exported.instances and not exported.left_out:
        output.complain("no image of the study names this patient ID")
        return EXIT_NOT_FOUND
    for uid, problem in exported.left_out:
        output.complain(f"left out: {uid}: {problem}")
    output.say(f"{exported.instances} instances copied to {folder}")
    return EXIT_FOUND_PROBLEMS if exported.left_out else EXIT_OK


def _delete(config: PacsConfig, options: argparse.Namespace) -> int:
    with _everything(config) as (engine, storage, writer):
        found = queries.find_study(engine, options.study)
        if found is None:
            return _no_such_study(options.study)
        if not options.yes and not output.confirm(
            f"Move study {options.study} of {found['patient_name']} to the trash, {found['instance_count']} instances?"
        ):
            output.complain("nothing was deleted")
            return EXIT_FOUND_PROBLEMS
        logging.getLogger("pacs_receiver.deletion").setLevel(logging.ERROR)
        count = deletion.delete_study(
            engine, storage, writer, options.study, who=getpass.getuser(), action="delete", to_trash=True
        )
    output.say(f"{count} instances moved to the trash")
    return EXIT_OK


def _retention(config: PacsConfig, options: argparse.Namespace) -> int:
    with _everything(config) as (engine, storage, writer):
        if not retention.is_on(config):
            output.complain("retention is off: PACS_RETENTION_DAYS and PACS_RETENTION_HIGH_WATER_PERCENT are 0")
            return EXIT_USAGE
        found = (
            retention.candidates(engine, config)
            if options.dry_run
            else retention.apply(engine, storage, writer, config, who=getpass.getuser())
        )
    output.candidates(found, dry_run=options.dry_run, as_json=options.json)
    return EXIT_OK

"""The subcommand ``conflicts``: what lies aside is listed, compared, accepted or dropped."""

from __future__ import annotations

import argparse
import getpass
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager

from sqlalchemy import Engine

from pacs_receiver import compare, output, settle
from pacs_receiver.changes import place_of
from pacs_receiver.config import PacsConfig
from pacs_receiver.exceptions import ReceiverError
from pacs_receiver.index import IndexWriter
from pacs_receiver.storage import Storage, relative_path

Run = Callable[[PacsConfig, argparse.Namespace], int]
Everything = Callable[[PacsConfig], AbstractContextManager[tuple[Engine, Storage, IndexWriter]]]

_EXIT_OK, _EXIT_NOT_DONE, _EXIT_NOT_FOUND = 0, 1, 3
_TEACHES = (
    "An image that comes again under its SOP Instance UID with other bytes never takes the place of the first unseen: "
    "it lies in conflicts/ until somebody settles it. 'list' shows what waits, 'compare NAME' in which elements both "
    "differ. 'accept NAME' puts the newer bytes in place and keeps the old ones as NAME with 'replaced-' before its "
    "digits (accepting that takes it back); 'drop NAME' moves the newer ones to the trash. --dry-run only says what "
    "would be done. 'history' tells who settled what and when. Until it is settled, Storage Commitment is answered "
    "with reason 0110 to the AE that sent the newer bytes, and retention leaves the study. Exit status: 0 done, 1 not "
    "done, 3 no such conflict."
)


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser], everything: Everything) -> None:
    """Add the subcommand with its own."""
    summary = "list, compare, accept or drop images that came again with other bytes"
    top = commands.add_parser("conflicts", help=summary, description=_TEACHES)
    what = top.add_subparsers(metavar="WHAT", required=True)

    def add(name: str, run: Callable[..., int], summary: str) -> argparse.ArgumentParser:
        one = what.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
        one.set_defaults(run=lambda config, options: _run(everything, run, config, options))
        one.add_argument("--json", action="store_true", help="JSON, one object a line")
        return one

    listing = add("list", _list, "print what waits to be settled")
    listing.add_argument("--study", default="", metavar="STUDY", help="only of this Study Instance UID")
    listing.add_argument("--all", action="store_true", help="replaced and damaged bytes too")
    comparing = add("compare", _compare, "print the elements in which the newer bytes differ from the kept ones")
    comparing.add_argument("--values", action="store_true", help="with their values, which may name a patient")
    settling = [
        add("accept", _settle, "put the newer bytes in the place of the kept ones, which stay beside them"),
        add("drop", _settle, "move the newer bytes to the trash"),
    ]
    for action, one in zip((settle.ACCEPT, settle.DROP), settling, strict=True):
        one.set_defaults(action=action)
        one.add_argument("--dry-run", action="store_true", help="only say what would be done")
        one.add_argument("--yes", action="store_true", help="do not ask")
    for one in (comparing, *settling):
        one.add_argument("name", metavar="NAME", help="as 'list' prints it, or a SOP Instance UID")
    add("history", _history, "print who settled what and when")


def _run(everything: Everything, run: Callable[..., int], config: PacsConfig, options: argparse.Namespace) -> int:
    with everything(config) as (engine, storage, writer):
        try:
            return run(settle.SettlingResources(engine, storage, writer, getpass.getuser()), options)
        except settle.NoSuchConflict as error:
            output.complain(str(error))
            return _EXIT_NOT_FOUND
        except ReceiverError as error:
            output.complain(f"not done: {error}" if str(error) else f"not done: {type(error).__name__}")
            return _EXIT_NOT_DONE


def _list(means: settle.SettlingResources, options: argparse.Namespace) -> int:
    found = settle.listed(means.engine, means.storage, study_uid=options.study, everything=options.all)
    output.conflicts(found, as_json=options.json)
    return _EXIT_OK


def _compare(means: settle.SettlingResources, options: argparse.Namespace) -> int:
    found = settle.find(means.storage, options.name)
    place = place_of(means.engine, found.sop_instance_uid)
    if place is None:
        raise settle.Unsettled("no bytes are kept of this instance: there is nothing to compare with")
    kept = means.storage.root / relative_path(*place.uids)
    try:
        differing = compare.differences(kept, found.path, with_values=options.values)
    except compare.UnreadableDataSet as error:
        raise settle.Unsettled(f"one of the files can't be read: {error}") from error
    output.differences(differing, as_json=options.json)
    return _EXIT_OK


def _settle(means: settle.SettlingResources, options: argparse.Namespace) -> int:
    logging.getLogger("pacs_receiver.settle").setLevel(logging.ERROR)
    name = settle.find(means.storage, options.name).name
    done = "put in the place of what is kept" if options.action == settle.ACCEPT else "moved to the trash"
    if not options.dry_run and not options.yes and not output.confirm(f"{name} is to be {done}. Do that?"):
        output.complain("nothing was done")
        return _EXIT_NOT_DONE
    result = settle.settle(means, options.action, name, dry_run=options.dry_run)
    if options.json:
        output.json_line(result)
    else:
        output.say(f"{name} {'would be' if options.dry_run else 'was'} {done}")
    return _EXIT_OK


def _history(means: settle.SettlingResources, options: argparse.Namespace) -> int:
    output.settled(settle.history(means.engine), as_json=options.json)
    return _EXIT_OK

"""Plays a scanner against a worklist provider and an image receiver."""

from __future__ import annotations

import argparse
import contextlib
import datetime
import logging
import re
import sys
import warnings
from collections.abc import Iterator
from typing import IO, Any, cast

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from mwl_admin.simulator.account import Account
from mwl_admin.simulator.images import MODALITIES
from mwl_admin.simulator.network import Peer
from mwl_admin.simulator.profiles import PROFILES
from mwl_admin.simulator.stations import Department, Plan, Station
from mwl_admin.terminal import PlainCommand


class Command(PlainCommand):
    help = (
        "Plays a scanner: asks for the worklist, takes an entry, reports the start (MPPS), makes images with a test "
        "pattern and the word SYNTHETIC burnt in, stores them, reports the end, asks for storage commitment. Works "
        "against any provider and receiver. The exit status is 1 when any answer was not what a scanner needs."
    )
    # It talks to the network only: neither database nor site need be in order.
    requires_system_checks: list[str] = []
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        peers = parser.add_argument_group("the other side (HOST:PORT, or none to leave that part out)")
        peers.add_argument("--mwl", default="127.0.0.1:4243", help="worklist provider [%(default)s]")
        peers.add_argument("--mwl-ae", default="MWL_SCP", help="its AE title [%(default)s]")
        peers.add_argument("--mpps", help="where MPPS goes [as --mwl]")
        peers.add_argument("--mpps-ae", help="its AE title [as --mwl-ae]")
        peers.add_argument("--pacs", default="127.0.0.1:4244", help="image receiver [%(default)s]")
        peers.add_argument("--pacs-ae", default="PACS", help="its AE title [%(default)s]")
        peers.add_argument("--listen", type=int, metavar="PORT", help="take commitment results here too")
        scanner = parser.add_argument_group("the scanner")
        scanner.add_argument(
            "--station", action="append", metavar="AE[:PROFILE]", help="may be given several times [CT1:ct]"
        )
        scanner.add_argument("--profile", choices=sorted(PROFILES), default="ct", help=_profiles())
        scanner.add_argument("--modality", choices=MODALITIES, help="what it is [the profile's]")
        scanner.add_argument("--stations", type=_positive, default=1, metavar="N", help="so many, AE titles counted up")
        work = parser.add_argument_group("the work")
        work.add_argument("--date", type=datetime.date.fromisoformat, help="day of the worklist [today]")
        work.add_argument("--images", type=_positive, default=0, metavar="N", help="per examination [the profile's]")
        work.add_argument("--size", type=_positive, metavar="ROWS", help="rows of an image [as usual for the modality]")
        work.add_argument("--rate", type=float, default=0, metavar="N", help="images a second [as fast as it goes]")
        work.add_argument("--pause", type=float, default=0, metavar="SECONDS", help="between examinations")
        work.add_argument("--discontinue", action="store_true", help="stop each examination half-way")
        work.add_argument("--unscheduled", action="store_true", help="examine a patient whom no entry is for")
        work.add_argument("--loop", action="store_true", help="go on until the list is done")
        work.add_argument(
            "--commit-wait", type=float, default=15, metavar="SECONDS", help="for the result; 0: don't ask [15]"
        )
        parser.add_argument("--json", action="store_true", help="an object a line instead of text")

    def handle(self, *args: Any, **options: Any) -> None:
        plan = Plan(
            worklist=_peer("--mwl", options["mwl"], options["mwl_ae"]),
            performed_steps=_peer("--mpps", options["mpps"] or options["mwl"], options["mpps_ae"] or options["mwl_ae"]),
            receiver=_peer("--pacs", options["pacs"], options["pacs_ae"]),
            day=options["date"] or timezone.localdate(),
            images=options["images"],
            size=options["size"],
            rate=options["rate"],
            pause=options["pause"],
            discontinue=options["discontinue"],
            unscheduled=options["unscheduled"],
            loop=options["loop"],
            commit_seconds=options["commit_wait"],
            listen=options["listen"],
        )
        stations = _stations(options)
        account = Account(cast(IO[str], self.stdout._out), as_json=options["json"])
        with _undisturbed():
            try:
                Department(plan, account).work(stations)
            except KeyboardInterrupt:
                sys.exit(130)
        if account.failures:
            raise CommandError(
                f"{account.examinations} examinations; {account.failures} answers were not what a scanner needs"
            )


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Without the libraries' own words: what others send is judged by the account."""
    network = logging.getLogger("pynetdicom")
    level = network.level
    network.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        network.setLevel(level)


def _profiles() -> str:
    return "how it asks, one of: " + "; ".join(f"{name}: {profile.about}" for name, profile in PROFILES.items())


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 1")
    return number


def _peer(option: str, text: str, ae_title: str) -> Peer | None:
    if text == "none":
        return None
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise CommandError(f"{option} {text}: not HOST:PORT")
    if not 1 <= len(ae_title) <= 16:
        raise CommandError(f"{option}-ae {ae_title}: an AE title has 1 to 16 characters")
    return Peer(host.strip("[]"), int(port), ae_title)


def _stations(options: dict[str, Any]) -> list[Station]:
    found: list[Station] = []
    for text in options["station"] or ["CT1"]:
        ae_title, _, name = text.partition(":")
        profile = PROFILES.get(name or options["profile"])
        if profile is None or not 1 <= len(ae_title) <= 16:
            raise CommandError(f"--station {text}: not AE or AE:PROFILE with one of {', '.join(PROFILES)}")
        modality = options["modality"] or profile.modality
        found += [Station(_counted(ae_title, number), profile, modality) for number in range(options["stations"])]
    return found


def _counted(ae_title: str, number: int) -> str:
    """CT1, CT2, … of CT1; of a title without a number CT, CT2, …."""
    if number == 0:
        return ae_title
    match = re.fullmatch(r"(.*?)(\d*)", ae_title)
    stem, first = (match[1], match[2]) if match else (ae_title, "")
    count = str(int(first or "1") + number).zfill(len(first))
    return f"{stem[: 16 - len(count)]}{count}"

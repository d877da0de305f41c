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

from gateway_settings.environment import environment
from mwl_admin.management.terminal import PlainCommand
from simulator import addresses
from simulator.account import Account
from simulator.examination import SYNTHETIC_PREFIX
from simulator.images import MODALITIES
from simulator.network import ServiceAddress
from simulator.profiles import PROFILES
from simulator.stations import Department, ScannerIdentity, SimulationPlan


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
        peers.add_argument("--mwl", help="worklist provider [as MWL_BIND says]")
        peers.add_argument("--mwl-ae", help="its AE title [MWL_AE_TITLE]")
        peers.add_argument("--mpps", help="where MPPS goes [as --mwl]")
        peers.add_argument("--mpps-ae", help="its AE title [as --mwl-ae]")
        peers.add_argument("--pacs", help="image receiver [as PACS_BIND says]")
        peers.add_argument("--pacs-ae", help="its AE title [PACS_AE_TITLE]")
        peers.add_argument("--listen", type=_port, metavar="PORT", help="take commitment results here too")
        scanner = parser.add_argument_group("the scanner")
        scanner.add_argument(
            "--station", action="append", metavar="AE[:PROFILE]", help="may be given several times [CT1:ct]"
        )
        scanner.add_argument("--profile", choices=sorted(PROFILES), default="ct", help=_profiles())
        scanner.add_argument("--modality", choices=MODALITIES, help="what it is [the profile's]")
        scanner.add_argument("--stations", type=_positive, default=1, metavar="N", help="so many, AE titles counted up")
        work = parser.add_argument_group("the work")
        work.add_argument("--date", type=datetime.date.fromisoformat, help="day of the worklist [today]")
        work.add_argument("--accession", default="", metavar="NUMBER", help="only the entry with this accession number")
        work.add_argument("--query-only", action="store_true", help="show what the worklist offers, and touch nothing")
        work.add_argument(
            "--any-patient", action="store_true", help=f"also patients whose ID doesn't begin with {SYNTHETIC_PREFIX}"
        )
        work.add_argument("--images", type=_positive, default=0, metavar="N", help="per examination [the profile's]")
        work.add_argument("--size", type=_positive, metavar="ROWS", help="rows of an image [as usual for the modality]")
        work.add_argument("--rate", default="0", metavar="N", help="images a second [as fast as it goes]")
        work.add_argument("--pause", default="0", metavar="SECONDS", help="between examinations")
        work.add_argument("--discontinue", action="store_true", help="stop each examination half-way")
        work.add_argument("--unscheduled", action="store_true", help="examine a patient whom no entry is for")
        work.add_argument("--loop", action="store_true", help="go on until the list is done")
        work.add_argument("--commit-wait", default="15", metavar="SECONDS", help="for the result; 0: don't ask [15]")
        parser.add_argument("--json", action="store_true", help="an object a line instead of text")

    def handle(self, *args: Any, **options: Any) -> None:
        env = environment()
        mwl, pacs = addresses.worklist_provider(env), addresses.receiver(env)
        mpps, mpps_ae = options["mpps"] or options["mwl"], options["mpps_ae"] or options["mwl_ae"]
        plan = SimulationPlan(
            worklist=_peer("--mwl", options["mwl"], options["mwl_ae"], mwl),
            performed_steps=_peer("--mpps", mpps, mpps_ae, mwl),
            receiver=_peer("--pacs", options["pacs"], options["pacs_ae"], pacs),
            day=options["date"] or timezone.localdate(),
            images=options["images"],
            size=options["size"],
            rate=_amount("--rate", options["rate"]),
            pause=_amount("--pause", options["pause"]),
            discontinue=options["discontinue"],
            unscheduled=options["unscheduled"],
            loop=options["loop"],
            commit_seconds=_amount("--commit-wait", options["commit_wait"]),
            listen=options["listen"],
            accession_number=options["accession"],
            query_only=options["query_only"],
            any_patient=options["any_patient"],
        )
        stations = _stations(options)
        account = Account(cast(IO[str], self.stdout._out), as_json=options["json"])
        with _undisturbed():
            try:
                Department(plan, account).work(stations)
            except KeyboardInterrupt:
                sys.exit(130)
        verdict = account.verdict()
        if account.failures:
            raise CommandError(verdict)


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


def _amount(option: str, text: str | float) -> float:
    try:
        return addresses.amount(str(text))
    except ValueError as error:
        raise _wrong(option, error) from None


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(f"{text} is not a port from 1 to 65535")
    return int(text)


def _peer(option: str, text: str | None, ae_title: str | None, ours: ServiceAddress) -> ServiceAddress | None:
    """Return whom an option names; where it names nobody, this installation's own."""
    if text == "none":
        return None
    host = f"[{ours.host}]" if ":" in ours.host else ours.host
    try:
        return addresses.parse(text or f"{host}:{ours.port}", ae_title or ours.ae_title)
    except ValueError as error:
        raise _wrong(option, error) from None


def _wrong(option: str, error: ValueError) -> CommandError:
    return CommandError(f"{option}: {error}", returncode=2)


def _stations(options: dict[str, Any]) -> list[ScannerIdentity]:
    found: list[ScannerIdentity] = []
    for text in options["station"] or ["CT1"]:
        ae_title, _, name = text.partition(":")
        profile = PROFILES.get(name or options["profile"])
        if profile is None or not 1 <= len(ae_title) <= 16:
            raise _wrong("--station", ValueError(f"{text} is not AE or AE:PROFILE with one of {', '.join(PROFILES)}"))
        modality = options["modality"] or profile.modality
        found += [
            ScannerIdentity(_counted(ae_title, number), profile, modality) for number in range(options["stations"])
        ]
    return found


def _counted(ae_title: str, number: int) -> str:
    """CT1, CT2, … of CT1; of a title without a number CT, CT2, …."""
    if number == 0:
        return ae_title
    match = re.fullmatch(r"(.*?)(\d*)", ae_title)
    stem, first = (match[1], match[2]) if match else (ae_title, "")
    count = str(int(first or "1") + number).zfill(len(first))
    return f"{stem[: 16 - len(count)]}{count}"

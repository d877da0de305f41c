"""A service that is just large enough to exercise the listener; run as a program, a real process of several workers.

C-STORE keeps the bytes of each instance in a file. C-FIND obeys the word in the identifier's Patient ID. N-ACTION
answers, then sends an N-EVENT-REPORT on the same association and notes what came of it.
"""

from __future__ import annotations

import itertools
import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from dicom_listener.config import load_listener
from dicom_listener.devices import Device, judge
from dicom_listener.dimse import CommandField
from dicom_listener.health import prepare_metrics
from dicom_listener.service import Collected, Refused, Request, Response, Service, Streamed
from gateway_settings import log
from gateway_settings.addresses import bind_address
from gateway_settings.environment import environment, exit_on_bad_setting
from gateway_settings.shared import Setting
from gateway_settings.values import ae_title
from tests.clients.raw import CT_IMAGE_STORAGE, STORAGE_COMMITMENT, VERIFICATION, WORKLIST_FIND
from tests.waiting import wait_until

if TYPE_CHECKING:
    from dicom_listener.access import AccessRule, Caller, Rejected
    from dicom_listener.service import AcceptedAssociation

ACTION_LIMIT = 80_000
SECRET = "DOE^JANE"
"""Stands for a patient in the texts of exceptions: no stranger may ever read it."""

_ABSTRACT = frozenset({VERIFICATION, CT_IMAGE_STORAGE, WORKLIST_FIND, STORAGE_COMMITMENT, "1.2.840.10008.5.1.4.1.1.7"})
_TRANSFER = (
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.2",
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.70",
    "1.2.840.10008.1.2.4.90",
)
_NUMBERS = itertools.count(1)


class Kept:
    """A sink that keeps a data set in a file: `incoming` while it grows, `stored` when it is complete."""

    def __init__(self, folder: Path, request: Request) -> None:
        uid = request.command.affected_sop_instance_uid
        if uid.endswith(".666"):
            raise RuntimeError(f"cannot open for {SECRET}")
        if uid.endswith(".667"):
            raise Refused(0xA700, "no room at all")
        self._fail_write = uid.endswith(".668")
        self._fail_finish = uid.endswith(".669")
        self._final = folder / "stored" / (uid if re.fullmatch(r"[0-9][0-9.]*", uid) else "unnamed")
        self._path = folder / "incoming" / f"{os.getpid()}-{next(_NUMBERS)}"
        self._file = self._path.open("wb")
        self._ends = 0

    def write(self, fragment: memoryview) -> None:
        if self._fail_write:
            raise OSError(28, f"no space for {SECRET}")
        self._file.write(fragment)

    def finish(self) -> Response:
        if self._fail_finish:
            raise RuntimeError(f"cannot finish {SECRET}")
        self._end()
        self._path.rename(self._final)
        return Response(0)

    def abandon(self) -> None:
        self._end()
        self._path.unlink()

    def _end(self) -> None:
        self._ends += 1
        if self._ends > 1:
            # found by the tests in the log and in the folder
            (self._final.parent / "ended-twice").touch()
        self._file.close()


@dataclass
class Toy:
    """``folder`` holds what was kept; ``events`` what the toy saw, in order."""

    folder: Path
    events: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in ("incoming", "stored", "flags"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)

    def service(self, access: AccessRule) -> Service:
        return Service(
            transfer_syntaxes=self.transfer_syntaxes,
            operations={
                CommandField.C_STORE_RQ: Streamed(self._store),
                CommandField.C_FIND_RQ: Collected(self._find),
                CommandField.N_ACTION_RQ: Collected(self._act, max_bytes=ACTION_LIMIT),
            },
            access=access,
            extended_negotiation=self._extended,
            reload=self._reload,
            association_ended=lambda _: self.events.append("ended"),
            scu_roles=frozenset({STORAGE_COMMITMENT}),
        )

    def transfer_syntaxes(self, abstract_syntax: str, proposed: tuple[str, ...]) -> tuple[str, ...] | None:
        if abstract_syntax not in _ABSTRACT:
            return None
        return tuple(uid for uid in _TRANSFER if uid in proposed)

    @property
    def stored(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (self.folder / "stored").iterdir()}

    @property
    def incoming(self) -> list[Path]:
        """Files of sinks that are open."""
        return list((self.folder / "incoming").iterdir())

    def flag(self, name: str) -> Path:
        return self.folder / "flags" / name

    def _extended(self, sop_class: str, information: bytes) -> bytes | None:
        return bytes(len(information)) if sop_class == CT_IMAGE_STORAGE else None

    def _reload(self) -> None:
        if self.flag("bad-reload").exists():
            raise ValueError("cannot be read")
        self.flag(f"reloaded-{os.getpid()}").touch()

    def _store(self, association: AcceptedAssociation, request: Request) -> Kept:
        return Kept(self.folder, request)

    def _find(self, association: AcceptedAssociation, request: Request) -> Iterator[Response]:
        length = int.from_bytes(request.data[4:8], "little")
        word = request.data[8 : 8 + length].decode("ascii", "replace").strip()
        try:
            if word == "READ UNTIL CANCELLED":
                while not request.cancelled:
                    association.poll(0.05)
                return
            yield from self._obey(word, request)
        finally:
            self.events.append(f"find {word} closed")

    def _obey(self, word: str, request: Request) -> Iterator[Response]:
        if word == "RAISE":
            raise RuntimeError(f"cannot look for {SECRET}")
        if word == "REFUSE":
            raise Refused(0xA900, "Patient ID is not to be had", error_id=7, offending=(0x00100020,))
        if word == "PENDING THEN RAISE":
            yield Response(0xFF00, request.data)
            raise RuntimeError(f"cannot look on for {SECRET}")
        if word == "NOTHING":
            return
        if word == "TWO FINALS":
            yield Response(0)
            yield Response(0)
        if word == "UNENCODABLE":
            yield Response(0, elements={"NoSuchKeyword": 1})
        if word == "ENDLESS":
            while True:
                yield Response(0xFF00, request.data)
        if word == "WAIT":
            yield Response(0xFF00, request.data)
            self.flag("waiting").touch()
            wait_until(self.flag("go").exists, timeout=60)
            yield Response(0)
            return
        if not re.fullmatch(r"[0-9]{0,4}", word):
            raise Refused(0xA900, "This toy does not know the word")
        for _ in range(int(word or 0)):
            yield Response(0xFF00, request.data)
        yield Response(0)

    def _act(self, association: AcceptedAssociation, request: Request) -> Iterator[Response]:
        yield Response(0)
        elements: dict[str, str | int] = {
            "AffectedSOPClassUID": STORAGE_COMMITMENT,
            "AffectedSOPInstanceUID": request.command.requested_sop_instance_uid,
            "EventTypeID": 1,
        }
        answer, _ = association.request(CommandField.N_EVENT_REPORT_RQ, request.context, elements, request.data)
        self.events.append(f"event answered {answer.status:04X}")


def _rule(otherwise: AccessRule) -> AccessRule:
    """The rule of a service that knows devices: `TOY_DEVICES` binds fingerprints to AE titles, as `CT1=<SHA-256>,…`."""
    bound = dict(entry.split("=") for entry in os.environ.get("TOY_DEVICES", "").split(",") if entry)
    devices = {title: Device(title, certificates=frozenset({sha256})) for title, sha256 in bound.items()}

    def rule(caller: Caller) -> Rejected | None:
        return judge(devices.get(caller.calling_ae), caller, unknown=True) or otherwise(caller)

    return rule


def be_companion(lifeline: int) -> None:
    """Show who it is, and end with the master."""
    Path("toy/flags").mkdir(parents=True, exist_ok=True)  # it may be there before the workers
    Path("toy/flags/companion").write_text(str(os.getpid()))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    os.read(lifeline, 1)


def main() -> int:
    with exit_on_bad_setting():
        env = environment()
        config = load_listener(
            env,
            "TOY",
            name="toy",
            ae_title=Setting("TOY_AE_TITLE", ae_title, "TOY"),
            bind=Setting("TOY_BIND", bind_address, "127.0.0.1:0"),
            health_bind=Setting("TOY_HEALTH_BIND", bind_address, "127.0.0.1:0"),
            workers=2,
        )
        prepare_metrics(config.metrics_dir)
        # they read the folder of prepare_metrics when they are imported
        from dicom_listener import workers
        from dicom_listener.access import rule_from

        log.configure(config.log_level, config.log_format)

        @contextmanager
        def build() -> Iterator[Service]:
            yield Toy(Path("toy")).service(_rule(rule_from(config)))
            Path("toy/flags", f"closed-{os.getpid()}").touch()

        return workers.run(config, build, companions=[workers.Companion("mate", be_companion)])


if __name__ == "__main__":
    sys.exit(main())

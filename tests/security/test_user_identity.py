"""A user identity is verified or it is none: wrong passcodes, tickets of any kind and made-up types open nothing."""

from __future__ import annotations

import subprocess
import sys
import threading
import tomllib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import CTImageStorage
from pynetdicom import AE
from pynetdicom.pdu_primitives import UserIdentityNegotiation

from dicom_listener import credentials, user_identity
from dicom_listener.access import Reason, Rejected
from dicom_listener.credentials import BadCredentials, PasscodeHash, User
from dicom_listener.user_identity import UserIdentity, Verifier
from tests.clients.raw import Pdu, association_request, item, maximum_length
from tests.clients.raw import user_identity as identity_item
from tests.dicom_listener.listening import Listening, listening
from tests.dicom_listener.toy_process import ToyProcess
from tests.processes import ROOT, clean_environment
from tests.waiting import wait_until

PASSCODE = b"correct-horse-7"
POSITIVE = item(0x59, b"\0\0")
"""The confirmation of types 1 and 2: a server response of no bytes (PS3.7 Table D.3-15)."""

Listen = Callable[..., Listening]


@pytest.fixture(scope="module")
def entry() -> str:
    """An entry as the command makes it: user ct1, bound to CT1."""
    return made("ct1", "--ae-title", "CT1", passcode=PASSCODE.decode())


def made(*arguments: str, passcode: str = "") -> str:
    done = subprocess.run(
        [sys.executable, "-m", "dicom_listener", "identity", *arguments],
        input=passcode + "\n",
        capture_output=True,
        text=True,
        env=clean_environment({}),
        cwd=ROOT,
        timeout=60,
        check=True,
    )
    return done.stdout


@pytest.fixture
def file(tmp_path: Path, entry: str) -> Path:
    """A file with ct1, and with console, whose name is enough."""
    path = tmp_path / "identities.toml"
    path.write_text(entry + made("console", "--no-passcode"))
    return path


@pytest.fixture
def listen(tmp_path: Path, file: Path) -> Iterator[Listen]:
    """Start listeners that know the users of ``file``."""
    with ExitStack() as stack:
        numbers = iter(range(100))

        def start(**changes: Any) -> Listening:
            changes = {"user_identities_file": file, "require_user_identity": True, **changes}
            return stack.enter_context(listening(tmp_path / f"listening-{next(numbers)}", **changes))

        yield start


def ask(listener: Listening, *identities: bytes, calling: bytes = b"CT1") -> Pdu:
    """Ask for an association with these user identities; what is answered."""
    items = (maximum_length(16384), item(0x52, b"1.2.3.4"), *identities)
    with listener.peer() as peer:
        peer.send(association_request(calling=calling, user_items=items))
        return peer.read_pdu()


def right(*, response: bool = True) -> bytes:
    return identity_item(2, b"ct1", PASSCODE, response=response)


@pytest.mark.parametrize(
    "identity",
    [
        identity_item(2, b"ct1", b"wrong", response=True),
        identity_item(2, b"ct1", b"", response=True),
        identity_item(2, b"ct1", PASSCODE + b" ", response=True),
        identity_item(2, b"ct1 ", PASSCODE, response=True),
        identity_item(2, b"CT1", PASSCODE, response=True),
        identity_item(2, b"ct9", PASSCODE, response=True),
        identity_item(2, b"", b"", response=True),
        identity_item(2, b"\xff\xfe", b"\xff", response=True),
        identity_item(1, b"ct1", response=True),
        identity_item(1, b"ct1", PASSCODE, response=True),
        identity_item(1, b"nobody", response=True),
        *(identity_item(kind, b"junk", PASSCODE, response=True) for kind in (0, 3, 4, 5, 6, 128, 255)),
        *(identity_item(kind, b"ct1", PASSCODE, response=True) for kind in (0, 3, 4, 5, 6, 128, 255)),
        b"",
    ],
)
def test_what_is_not_verified_is_rejected_where_an_identity_is_required(listen: Listen, identity: bytes) -> None:
    assert ask(listen(), identity).rejection == (1, 1, 1)


def test_a_verified_identity_is_served_and_confirmed_if_that_was_asked_for(
    listen: Listen, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", logger="dicom_listener")
    listener = listen()
    accepted = ask(listener, right())
    assert accepted.kind == 2
    assert POSITIVE in accepted.body
    unasked = ask(listener, right(response=False))
    assert unasked.kind == 2
    assert b"\x59\x00\x00\x02" not in unasked.body
    listener.wait_until_at_rest()
    fields = [getattr(record, "fields", {}) for record in caplog.records]
    assert any(logged.get("user") == "ct1" for logged in fields)
    assert not any(PASSCODE.decode() in str(logged) for logged in fields)
    assert PASSCODE.decode() not in caplog.text


def test_a_name_alone_identifies_only_who_needs_no_passcode(listen: Listen) -> None:
    listener = listen()
    for identity in (identity_item(1, b"console", response=True), identity_item(2, b"console", b"x", response=True)):
        answer = ask(listener, identity, calling=b"US1")
        assert answer.kind == 2
        assert POSITIVE in answer.body


def test_an_identity_is_bound_to_its_ae_titles(listen: Listen) -> None:
    for required in (True, False):
        assert ask(listen(require_user_identity=required), right(), calling=b"CT2").rejection == (1, 1, 1)


@pytest.mark.parametrize("kind", [0, 1, 3, 4, 5, 6, 255])
def test_nothing_unverified_is_confirmed_where_none_is_required(listen: Listen, kind: int) -> None:
    for file in ({}, {"user_identities_file": None}):
        answer = ask(listen(require_user_identity=False, **file), identity_item(kind, b"ct1", b"junk", response=True))
        assert answer.kind == 2
        assert b"\x59\x00\x00" not in answer.body


def test_a_wrong_passcode_is_rejected_also_where_none_is_required(listen: Listen) -> None:
    listener = listen(require_user_identity=False)
    assert ask(listener, identity_item(2, b"ct1", b"wrong")).rejection == (1, 1, 1)
    assert ask(listener, b"").kind == 2
    assert POSITIVE in ask(listener, right()).body


def test_an_access_rule_that_forgets_about_identities_lets_nobody_in(listen: Listen) -> None:
    listener = listen(access=lambda _: None)
    assert ask(listener, identity_item(2, b"ct1", b"wrong")).rejection == (1, 1, 1)
    assert ask(listener, right()).kind == 2


def test_whoever_is_turned_away_anyhow_costs_no_hashing(listen: Listen, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[bytes] = []
    monkeypatch.setattr(PasscodeHash, "matches", lambda _, passcode: hashed.append(passcode))
    listener = listen(calling_ae_titles=frozenset({"CT1"}))
    assert ask(listener, right(), calling=b"STRANGER").rejection == (1, 1, 3)
    assert hashed == []


# -- clients that others wrote


def pynetdicom_associates(port: int, kind: int, primary: bytes, secondary: bytes = b"") -> bool:
    ae = AE(ae_title="CT1")
    identity = UserIdentityNegotiation()
    identity.user_identity_type = kind
    identity.primary_field = primary
    if kind == 2:
        identity.secondary_field = secondary
    identity.positive_response_requested = True
    ae.add_requested_context(CTImageStorage)
    made = ae.associate("127.0.0.1", port, ae_title="TOY", ext_neg=[identity])
    accepted = bool(made.is_established)
    assert not accepted or made.acceptor.user_identity is not None
    made.release()
    return accepted


def test_pynetdicom_is_served_with_the_right_passcode_only(listen: Listen) -> None:
    port = listen().port
    assert pynetdicom_associates(port, 2, b"ct1", PASSCODE)
    assert not pynetdicom_associates(port, 2, b"ct1", b"wrong")
    for kind in (3, 4, 5):
        assert not pynetdicom_associates(port, kind, b"junk")


# -- the file


def test_a_changed_file_counts_at_once_and_a_wrong_one_not_at_all(
    listen: Listen, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    listener = listen()
    assert ask(listener, right()).kind == 2
    before = file.read_text()
    file.write_text(before + "[[user]]\nname = 'half'\n")
    assert ask(listener, right()).kind == 2, "what was in force stays"
    wait_until(lambda: "what was in force stays" in caplog.text)
    file.unlink()
    assert ask(listener, right()).kind == 2, "what was in force stays"
    file.write_text(before.replace('name = "ct1"', 'name = "ct2"'))
    assert ask(listener, right()).rejection == (1, 1, 1), "a right passcode is not remembered beyond its file"
    file.write_text(before)
    assert ask(listener, right()).kind == 2


@pytest.mark.parametrize(
    "text",
    [
        "[[user]]\nname = 'a'\n",
        "[[user]]\nname = ''\npasscode_required = false\n",
        "[[user]]\npasscode_required = false\n",
        "[[user]]\nname = 'a'\npasscode_required = true\n",
        "[[user]]\nname = 'a'\npasscode_required = 0\n",
        "[[user]]\nname = 'a'\npasscode = 'plain-text-7'\n",
        "[[user]]\nname = 'a'\npasscode = 'scrypt:2:8:1:" + "00" * 16 + ":" + "00" * 32 + "'\n",
        "[[user]]\nname = 'a'\npasscode = 'scrypt:1073741824:8:1:" + "00" * 16 + ":" + "00" * 32 + "'\n",
        "[[user]]\nname = 'a'\npasscode = 'scrypt:32768:8:1:" + "00" * 16 + ":" + "00" * 4 + "'\n",
        "[[user]]\nname = 'a'\npasscode_required = false\nrole = 'all'\n",
        "[[user]]\nname = 'a'\npasscode_required = false\nae_titles = ['far too long a title']\n",
        "[[user]]\nname = 'a'\npasscode_required = false\n[[user]]\nname = 'a'\npasscode_required = false\n",
        "user = 1\n",
        "user = [1]\n",
        "[[users]]\n",
        "[[user]\n",
    ],
)
def test_a_file_that_is_not_understood_to_its_end_is_no_file(text: str) -> None:
    with pytest.raises(BadCredentials) as caught:
        credentials.parse(text)
    assert "\n" not in str(caught.value)
    assert "plain-text-7" not in str(caught.value), "the passcode is repeated"


def test_what_the_command_makes_is_understood(entry: str) -> None:
    assert PASSCODE.decode() not in entry
    user = credentials.parse(entry)["ct1"]
    assert user.ae_titles == {"CT1"}
    assert user.passcode is not None
    assert user.passcode.matches(PASSCODE)
    assert not user.passcode.matches(PASSCODE + b" ")
    assert tomllib.loads(made('odd "name"\\', "--no-passcode"))["user"][0]["name"] == 'odd "name"\\'


@pytest.mark.parametrize(
    ("arguments", "passcode"), [(("ct1",), "short"), ((" ",), "long-enough-1"), (("ct1", "--ae-title", "A\\B"), "")]
)
def test_the_command_refuses_what_could_not_be_used(arguments: tuple[str, ...], passcode: str) -> None:
    with pytest.raises(subprocess.CalledProcessError) as caught:
        made(*arguments, passcode=passcode)
    assert caught.value.returncode == 2
    assert caught.value.stdout == ""


@pytest.mark.parametrize("text", [None, "[[user]]\nname = 'a'\n"])
def test_requiring_identities_without_a_usable_file_is_one_line_and_status_2(tmp_path: Path, text: str | None) -> None:
    settings = {"TOY_REQUIRE_USER_IDENTITY": "1"}
    if text is not None:
        (tmp_path / "identities.toml").write_text(text)
        settings["TOY_USER_IDENTITIES_FILE"] = str(tmp_path / "identities.toml")
    toy = ToyProcess(tmp_path / "toy", settings)
    toy.spawn()
    assert toy.wait(30) == 2
    [line] = toy.log_text().splitlines()
    assert line.startswith("TOY_USER_IDENTITIES_FILE: ")


# -- what it costs


def test_a_right_passcode_is_hashed_once_and_a_wrong_one_each_time(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    verifier = Verifier(file, required=True)
    hashed: list[bytes] = []
    original = PasscodeHash.matches

    def matches(self: PasscodeHash, passcode: bytes) -> bool:
        hashed.append(passcode)
        return original(self, passcode)

    monkeypatch.setattr(PasscodeHash, "matches", matches)
    good, bad = UserIdentity(2, b"ct1", PASSCODE), UserIdentity(2, b"ct1", b"wrong")
    for _ in range(3):
        assert isinstance(verifier.verify(good, "CT1", "192.0.2.7"), User)
        assert isinstance(verifier.verify(bad, "CT1", "192.0.2.7"), Rejected)
    assert isinstance(verifier.verify(good, "CT2", "192.0.2.7"), Rejected), "what is remembered is bound as well"
    verifier.verify(replace(good, primary=b"nobody"), "CT1", "192.0.2.7")
    assert hashed == [PASSCODE, b"wrong", b"wrong", b"wrong", PASSCODE], "an unknown name takes as long as a wrong one"


def test_a_flood_of_wrong_passcodes_keeps_nobody_else_waiting(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    verifier = Verifier(file, required=True)
    go, at_work, most = threading.Event(), threading.Semaphore(0), []

    def matches(self: PasscodeHash, passcode: bytes) -> bool:
        most.append(len(verifier._turns._at_work))
        at_work.release()
        if passcode == b"wrong":
            assert go.wait(60)
        return passcode == PASSCODE

    monkeypatch.setattr(PasscodeHash, "matches", matches)
    monkeypatch.setattr(user_identity, "_TURN_SECONDS", 3)
    answers: list[object] = []

    def flood() -> None:
        answers.append(verifier.verify(UserIdentity(2, b"ct1", b"wrong"), "CT1", "192.0.2.66"))

    threads = [threading.Thread(target=flood) for _ in range(20)]
    for thread in threads:
        thread.start()
    assert at_work.acquire(timeout=60)
    assert isinstance(verifier.verify(UserIdentity(2, b"ct1", PASSCODE), "CT1", "192.0.2.7"), User)
    assert not answers, "it waited for the flood"
    wait_until(lambda: len(answers) == 19, what="the others of the flood are told to come back later")
    go.set()
    for thread in threads:
        thread.join()
    reasons = [answer.reason for answer in answers if isinstance(answer, Rejected)]
    assert reasons.count(Reason.CONGESTION) == 19
    assert max(most) <= 2


def test_what_is_remembered_has_a_bound(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_identity, "_REMEMBERED", 2)
    monkeypatch.setattr(PasscodeHash, "matches", lambda *_: True)
    verifier = Verifier(file, required=True)
    for number in range(5):
        assert isinstance(verifier.verify(UserIdentity(2, b"ct1", b"%d" % number), "CT1", "192.0.2.7"), User)
    assert len(verifier._verified) == 2

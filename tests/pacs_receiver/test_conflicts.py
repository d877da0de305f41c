"""What came again with other bytes: seen, compared, accepted or dropped, and nothing of it ever lost."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from http.client import HTTPConnection
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from environs import FileAwareEnv
from pydicom import Dataset
from sqlalchemy import select

from gateway_link.signature import sign
from pacs_receiver import aside, conflict_commands, deletion, queries, retention, settle
from pacs_receiver.changes import place_of
from pacs_receiver.commands import Declined
from pacs_receiver.config import load as load_config
from pacs_receiver.index_tables import audit, instance, study
from pacs_receiver.reconcile import reconcile
from pacs_receiver.storage import read_stored
from pacs_receiver.verify import verify
from tests.pacs_receiver import load
from tests.pacs_receiver.conftest import House, OpenHouse, StartReceiver
from tests.pacs_receiver.images import CT, encode, image, store
from tests.pacs_receiver.process import ROOT, ReceiverProcess
from tests.pacs_receiver.test_commitment import Reports, ask, references, wish
from tests.pacs_receiver.test_notify import Site
from tests.waiting import wait_until

SECRET = "a secret that both sides know"


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()
    yield made
    made.close()


def pair(*, elsewhere: bool = False) -> tuple[Dataset, Dataset]:
    """Two images under one SOP Instance UID: in one series, or in two studies."""
    first = image()
    where = {} if elsewhere else {"study": first.StudyInstanceUID, "series": first.SeriesInstanceUID}
    second = image(instance=first.SOPInstanceUID, **where)
    second.PatientName = "Prüfer^Anna^Maria"
    return first, second


def digest(ds: Dataset) -> str:
    return hashlib.sha256(encode(ds)).hexdigest()


def name_of(ds: Dataset) -> str:
    return f"{ds.SOPInstanceUID}.{digest(ds)[:16]}"


def clash(house: House, *, elsewhere: bool = False) -> tuple[Dataset, Dataset]:
    """Store both of a pair: the first is kept, the second lies aside."""
    both = pair(elsewhere=elsewhere)
    for ds in both:
        assert store(house.receiver, encode(ds), instance=ds.SOPInstanceUID).status == 0
    return both


def send(receiver: ReceiverProcess, *images: Dataset, calling: str = "CT1") -> None:
    with load.connect(receiver.port, calling) as peer:
        for ds in images:
            assert load.store(peer, str(ds.SOPInstanceUID), encode(ds)) == 0
        peer.release()


def means(house: House) -> settle.SettlingResources:
    return settle.SettlingResources(house.engine, house.storage, house.index, "somebody")


def kept(house: House, ds: Dataset) -> str:
    """The digest of the file that is kept, which is the index's too."""
    [path] = [path for path in house.files if path.stem == ds.SOPInstanceUID]
    place = place_of(house.engine, ds.SOPInstanceUID)
    assert place is not None
    assert place.uids == (path.parent.parent.name, path.parent.name, path.stem)
    stored = read_stored(path).sha256
    assert place.sha256 == stored
    return stored.hex()


def everywhere(house: House) -> set[str]:
    """The digests of all data sets below the storage, wherever they lie."""
    return {read_stored(path).sha256.hex() for path in house.storage.root.rglob("*.dcm")}


def rows(receiver: ReceiverProcess, *arguments: str) -> list[dict[str, Any]]:
    finished = receiver.run("conflicts", *arguments, "--json")
    assert finished.returncode == 0, finished.stderr
    return [json.loads(line) for line in finished.stdout.splitlines()]


def told(site: Site) -> list[int]:
    return [json.loads(body)["study"]["set_aside"] for _, body in site.received]


def set_aside(receiver: ReceiverProcess) -> int:
    return int(json.loads(receiver.run("status", "--json").stdout)["set_aside"])


def test_a_conflict_is_counted_told_listed_compared_and_accepted(
    start_receiver: StartReceiver, site: Site, tmp_path: Path
) -> None:
    receiver = start_receiver(PACS_NOTIFY_URL=site.url, PACS_NOTIFY_SECRET=SECRET, PACS_STUDY_STABLE_SECONDS="0.5")
    first, second = pair()
    send(receiver, first)
    wait_until(lambda: told(site) == [0], what="the study is announced")
    send(receiver, second, calling="CT2")
    wait_until(lambda: told(site)[-1] == 1, what="the study is announced again, with what lies aside")
    wait_until(lambda: receiver.metrics()["pacs_set_aside"] == 1, what="the gauge counts it")
    assert "1 images came again with other bytes" in receiver.run("status").stdout
    [row] = rows(receiver, "list")
    assert (row["name"], row["calling_ae"], row["kept_study"]) == (name_of(second), "CT2", first.StudyInstanceUID)
    copied = receiver.run("export", first.StudyInstanceUID, str(tmp_path / "copied"))
    assert (copied.returncode, "lie aside and are not copied (1 files)" in copied.stderr) == (0, True)
    compared = receiver.run("conflicts", "compare", row["name"]).stdout
    assert ("PatientName" in compared, "Prüfer" in compared) == (True, False)
    [shown] = rows(receiver, "compare", row["name"], "--values")
    assert (shown["kept"], shown["came"]) == ("Prüfer^Anna", "Prüfer^Anna^Maria")

    assert receiver.run("conflicts", "accept", row["name"], "--dry-run").returncode == 0
    assert receiver.run("conflicts", "accept", row["name"], stdin="n\n").returncode == 1
    done = receiver.run("conflicts", "accept", row["name"], "--yes")
    assert (done.returncode, done.stderr) == (0, "")
    assert receiver.run("conflicts", "accept", row["name"], "--yes").returncode == 3
    [path] = receiver.storage.glob("??/*/*/*.dcm")
    assert read_stored(path).sha256.hex() == digest(second)
    assert [found["patient_name"] for found in receiver.listed()] == ["Prüfer^Anna^Maria"]
    [old] = rows(receiver, "list", "--all")
    assert (old["kind"], old["name"]) == ("replaced", f"{first.SOPInstanceUID}.replaced-{digest(first)[:16]}")
    assert [done["action"] for done in rows(receiver, "history")] == ["conflict accepted", "conflict: accepting begins"]
    assert set_aside(receiver) == 0
    wait_until(lambda: told(site)[-1] == 0, what="the study is announced again, with nothing aside")
    wait_until(lambda: receiver.metrics()["pacs_set_aside"] == 0, what="the gauge counts nothing")
    assert "Prüfer" not in receiver.log.read_text()


def test_the_site_lists_and_settles_by_signed_commands_and_may_repeat_them(start_receiver: StartReceiver) -> None:
    receiver = start_receiver(PACS_NOTIFY_SECRET=SECRET)
    first, second = pair()
    send(receiver, first, second)

    def order(command: str, **more: str) -> tuple[int, dict[str, Any]]:
        target, body = f"/commands/{command}", json.dumps({"id": str(uuid.uuid4()), **more}).encode()
        connection = HTTPConnection("127.0.0.1", receiver.command_port, timeout=30)
        connection.request("POST", target, body, sign(SECRET, "POST", target, body))
        answer = connection.getresponse()
        parsed: dict[str, Any] = json.load(answer)
        connection.close()
        return answer.status, parsed

    status, listed = order("conflicts", study=first.StudyInstanceUID)
    assert (status, [found["name"] for found in listed["conflicts"]]) == (200, [name_of(second)])
    assert order("conflicts", study="1.2.3") == (200, {"conflicts": []})
    dropping = {"action": "drop", "name": name_of(second), "who": "anna"}
    for _ in range(2):
        status, answer = order("settle-conflict", **dropping)
        assert (status, answer["done"]) == (200, True)
    assert order("settle-conflict", **{**dropping, "action": "accept"})[0] == 404
    assert order("settle-conflict", **{**dropping, "action": "burn"})[0] == 400
    [path] = receiver.storage.glob("??/*/*/*.dcm")
    assert read_stored(path).sha256.hex() == digest(first)
    [dropped] = receiver.storage.glob("trash/*/*.dcm")
    assert read_stored(dropped).sha256.hex() == digest(second)
    assert {done["who"] for done in rows(receiver, "history")} == {"site: anna"}


def test_commitment_fails_for_the_sender_of_the_newer_bytes_until_they_are_settled(
    start_receiver: StartReceiver,
) -> None:
    receiver = start_receiver(PACS_COMMIT_WAIT_SECONDS="0.2")
    (ours, newer), (others, _) = pair(), (theirs := pair())
    send(receiver, ours, newer, others)
    send(receiver, theirs[1], calling="CT2")

    def asked() -> tuple[list[str], list[tuple[str, int]]]:
        reports = Reports()
        wanted = wish((CT, ours.SOPInstanceUID), (CT, others.SOPInstanceUID))
        ask(receiver, wanted, reports, until=lambda: reports.received)
        _, information = reports.wait()
        failed = [
            (str(of.ReferencedSOPInstanceUID), of.FailureReason) for of in information.get("FailedSOPSequence", [])
        ]
        return references(information, "ReferencedSOPSequence"), failed

    assert asked() == ([others.SOPInstanceUID], [(ours.SOPInstanceUID, 0x0110)])
    assert receiver.run("conflicts", "drop", name_of(newer), "--yes").returncode == 0
    assert asked() == ([ours.SOPInstanceUID, others.SOPInstanceUID], [])


@pytest.mark.parametrize("elsewhere", [False, True])
def test_accepting_puts_the_newer_bytes_in_place_and_can_be_taken_back(house: House, *, elsewhere: bool) -> None:
    first, second = clash(house, elsewhere=elsewhere)
    settle.settle(means(house), settle.ACCEPT, name_of(second))
    assert kept(house, first) == digest(second)
    assert [of.digest for of in aside.walk(house.storage.root)] == [digest(first)[:16]]
    with house.engine.connect() as connection:
        studies = connection.execute(select(study.c.study_uid, study.c.instance_count)).all()
    assert studies == [(second.StudyInstanceUID, 1)]
    settle.settle(means(house), settle.ACCEPT, f"{first.SOPInstanceUID}.replaced-{digest(first)[:16]}")
    assert kept(house, first) == digest(first)
    assert aside.newer(house.storage.root) == []
    assert everywhere(house) == {digest(first), digest(second)}


@pytest.mark.parametrize("elsewhere", [False, True])
@pytest.mark.parametrize("action", [settle.ACCEPT, settle.DROP])
def test_a_kill_before_any_step_loses_nothing_and_the_same_command_ends_it(
    open_house: OpenHouse, tmp_path: Path, action: str, *, elsewhere: bool
) -> None:
    house = open_house()
    process = ReceiverProcess(
        tmp_path / "var",
        {
            "PACS_STORAGE_DIR": str(house.storage.root),
            "PACS_DATABASE_URL": f"sqlite:///{tmp_path / 'index.sqlite3'}",
        },
    )
    process.data_dir.mkdir()
    command = [sys.executable, "-m", "tests.pacs_receiver.cut_off"]
    # each step in `make nightly`
    for step in count(1, int(os.environ.get("CONFLICT_STRIDE", "4"))):
        first, second = clash(house, elsewhere=elsewhere)
        before = everywhere(house)
        cut = subprocess.run(
            [*command, str(step), "conflicts", action, name_of(second), "--yes"],
            cwd=ROOT, env=process.environment, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert cut.returncode in (0, -9), cut.stderr
        assert everywhere(house) == before
        reconcile(house.engine, house.storage, house.index)
        assert kept(house, first) in (digest(first), digest(second))
        try:
            settle.settle(means(house), action, name_of(second))
        except settle.NoSuchConflict:
            assert settle.is_settled(house.engine, action, name_of(second)) or cut.returncode
        assert kept(house, first) == digest(second if action == settle.ACCEPT else first)
        assert aside.newer(house.storage.root) == []
        assert everywhere(house) == before
        assert verify(house.engine, house.storage).wrong == []
        if cut.returncode == 0:
            break
    assert step > (8 if action == settle.ACCEPT else 4)


def test_of_two_at_once_one_settles_it(open_house: OpenHouse, database_url: str) -> None:
    houses = [open_house(url=database_url), open_house(url=database_url)]
    for one, other in ((settle.ACCEPT, settle.DROP), (settle.DROP, settle.DROP), (settle.ACCEPT, settle.ACCEPT)) * 3:
        first, second = clash(houses[0])
        together, done = threading.Barrier(2), list[str]()

        def work(house: House, action: str, name: str, together: threading.Barrier, done: list[str]) -> None:
            together.wait(60)
            try:
                settle.settle(means(house), action, name)
            except settle.NoSuchConflict:
                return
            done.append(action)

        threads = [
            threading.Thread(target=work, args=(house, action, name_of(second), together, done))
            for house, action in zip(houses, (one, other), strict=True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(done) == 1
        assert kept(houses[0], first) == digest(second if done == [settle.ACCEPT] else first)
        assert {digest(first), digest(second)} <= everywhere(houses[0])
        with houses[0].engine.connect() as connection:
            actions = connection.execute(
                select(audit.c.action).where(audit.c.sop_instance_uid == first.SOPInstanceUID).order_by(audit.c.id)
            ).scalars()
            assert len(list(actions)) == 2


def test_when_all_images_are_corrected_the_study_is_the_other_patients(house: House) -> None:
    study_uid = image().StudyInstanceUID
    corrected = []
    for _ in range(2):
        wrong = image(study=study_uid)
        right = image(study=study_uid, series=wrong.SeriesInstanceUID, instance=wrong.SOPInstanceUID)
        right.PatientID, right.PatientName, right.PatientBirthDate = "P-2", "Roe^Boris", "19810203"
        for ds in (wrong, right):
            assert store(house.receiver, encode(ds), instance=ds.SOPInstanceUID).status == 0
        corrected.append(name_of(right))

    def found() -> list[tuple[str, str, bool]]:
        rows = queries.list_studies(house.engine)
        return [(row["study_uid"], row["patient_id"], row["mixed_up"]) for row in rows]

    assert found() == [(study_uid, "P-1", False)]
    settle.settle(means(house), settle.ACCEPT, corrected[0])
    assert found() == [(study_uid, "P-1", True)]
    settle.settle(means(house), settle.ACCEPT, corrected[1])
    assert found() == [(study_uid, "P-2", False)]
    assert queries.list_studies(house.engine, patient_id="P-1") == []


def test_a_command_is_declined_for_what_never_lay_aside(house: House) -> None:
    _, second = clash(house)
    order = conflict_commands.table(house.engine, house.storage, house.index)["settle-conflict"]
    for name in (f"{second.SOPInstanceUID}.0123456789abcdef", "../../index", "1.2.3"):
        with pytest.raises(Declined):
            order({"action": "drop", "name": name, "who": "anna"})
    assert [of.name for of in aside.newer(house.storage.root)] == [name_of(second)]


def test_bytes_that_decayed_aside_are_not_accepted_and_verify_names_them(house: House) -> None:
    first, second = clash(house)
    [path] = house.conflicts
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert verify(house.engine, house.storage).wrong == [(name_of(second), "changed aside")]
    with pytest.raises(settle.Unsettled):
        settle.settle(means(house), settle.ACCEPT, name_of(second))
    assert kept(house, first) == digest(first)


def test_what_the_policy_replaces_is_nothing_to_settle(open_house: OpenHouse) -> None:
    house = open_house(policy="replace")
    for elsewhere in (False, True):
        clash(house, elsewhere=elsewhere)
    assert {of.kind for of in aside.walk(house.storage.root)} == {"replaced"}


def test_retention_leaves_a_study_of_which_newer_bytes_lie_aside(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PACS_DATABASE_URL", "DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    config = dataclasses.replace(
        load_config(FileAwareEnv()), storage_dir=house.storage.root, retention_days=1, min_free_bytes=0,
        retention_requires=frozenset(),
    )  # fmt: skip
    first, second = clash(house)
    with house.engine.begin() as connection:
        connection.execute(study.update().values(first_arrival=1, last_arrival=1, completed_at=2))
        connection.execute(instance.update().values(arrived_at=1))
    assert retention.candidates(house.engine, config) == []
    settle.settle(means(house), settle.DROP, name_of(second))
    with house.engine.begin() as connection:
        connection.execute(study.update().values(completed_at=2))
    assert [found.study_uid for found in retention.candidates(house.engine, config)] == [first.StudyInstanceUID]


def test_a_deleted_study_takes_what_lies_aside_with_it_to_the_trash(house: House) -> None:
    first, second = clash(house)
    deletion.delete_study(
        house.engine, house.storage, house.index, first.StudyInstanceUID, who="somebody", action="delete", to_trash=True
    )
    assert list(aside.walk(house.storage.root)) == []
    assert everywhere(house) == {digest(first), digest(second)}

"""Two receivers on one index and one folder."""

from __future__ import annotations

import threading
from pathlib import Path

from tests.pacs_receiver import load
from tests.pacs_receiver.conftest import StartReceiver
from tests.pacs_receiver.images import encode, image, uid
from tests.pacs_receiver.load import Acknowledged, Load, stored_digests, temporary_files
from tests.waiting import wait_until


def test_the_same_instance_sent_to_both_at_once_is_one_file_one_row_and_two_successes(
    start_receiver: StartReceiver, postgres_url: str, tmp_path: Path
) -> None:
    shared = {"PACS_DATABASE_URL": postgres_url, "PACS_STORAGE_DIR": str(tmp_path / "shared")}
    receivers = [start_receiver("first", **shared), start_receiver("second", **shared)]
    study, series = uid(), uid()
    instances = [image(study=study, series=series, number=number, size=4096) for number in range(60)]
    together = threading.Barrier(2)
    statuses: dict[int, list[int]] = {0: [], 1: []}

    def send(which: int) -> None:
        with load.connect(receivers[which].port) as peer:
            for ds in instances:
                together.wait(30)
                statuses[which].append(load.store(peer, str(ds.SOPInstanceUID), encode(ds)))
            peer.release()

    acknowledged = Acknowledged()
    with (
        Load(lambda: receivers[0].port, acknowledged, senders=2) as one,
        Load(lambda: receivers[1].port, acknowledged, senders=2) as two,
    ):
        threads = [threading.Thread(target=send, args=(which,)) for which in (0, 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        wait_until(lambda: len(acknowledged) > 50)
    assert not one.failures
    assert not two.failures
    assert statuses == {0: [0] * 60, 1: [0] * 60}
    stored = stored_digests(receivers[0].storage)
    assert {str(ds.SOPInstanceUID) for ds in instances} <= set(stored)
    assert all(stored[instance] == digest for instance, digest in acknowledged.digests.items())
    listed = {row["study_uid"]: row["instance_count"] for row in receivers[1].listed()}
    assert listed[study] == 60
    assert sum(listed.values()) == len(stored)
    assert temporary_files(receivers[0].storage) == []
    assert list((receivers[0].storage / "conflicts").iterdir()) == []


def test_one_that_starts_does_not_disturb_the_other_at_work(
    start_receiver: StartReceiver, postgres_url: str, tmp_path: Path
) -> None:
    shared = {"PACS_DATABASE_URL": postgres_url, "PACS_STORAGE_DIR": str(tmp_path / "shared")}
    first = start_receiver("first", **shared)
    acknowledged = Acknowledged()
    with Load(lambda: first.port, acknowledged) as senders:
        wait_until(lambda: len(acknowledged) > 20)
        second = start_receiver("second", **shared)
        second.kill()
        second.start()
        least = len(acknowledged) + 20
        wait_until(lambda: len(acknowledged) >= least)
    assert not senders.failures
    assert acknowledged.refused == []
    stored = stored_digests(first.storage)
    assert all(stored[instance] == digest for instance, digest in acknowledged.digests.items())

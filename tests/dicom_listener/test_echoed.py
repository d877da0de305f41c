"""A service that wants to know of echoes is told after the answer, once for each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from dicom_listener.association import Association
from dicom_listener.service import AcceptedAssociation
from tests.dicom_listener.listening import config_with, listening
from tests.dicom_listener.toy_service import Toy


def test_each_echo_is_told_after_it_was_answered(tmp_path: Path) -> None:
    from dicom_listener.access import rule_from

    told: list[tuple[str, int]] = []

    def echoed(association: AcceptedAssociation) -> None:
        assert isinstance(association, Association)
        told.append((association.calling_ae, association._exchange.answered))

    toy = Toy(tmp_path / "own")
    service = replace(toy.service(rule_from(config_with(tmp_path))), echoed=echoed)
    with listening(tmp_path, service=service) as running:
        with running.associated() as peer:
            peer.echo()
            peer.echo(2)
            assert peer.store(b"not an echo", instance="1.2.3").status == 0
            peer.release()
        running.wait_until_at_rest()
    assert [answered for _, answered in told] == [1, 2]
    assert told[0][0]

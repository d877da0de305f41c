"""What real devices send reaches the worklist, MPPS and the image receiver alike: real processes, real sockets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import Dataset
from pynetdicom.dsutils import encode

from mwl_admin.models import PerformedProcedureStep, WorklistQuery
from tests.clients import raw
from tests.dicom_encoding import making
from tests.dicom_encoding.making import BIG, EXPLICIT, IMPLICIT, element, nested, private_unknown
from tests.factory import make_station, make_step
from tests.mpps.scu import MPPS, creation
from tests.mwl_scp.conftest import Provider, start_provider
from tests.pacs_receiver import images
from tests.pacs_receiver.process import ReceiverProcess
from tests.waiting import wait_until
from tests.worklist.queries import identifier

LIMIT = 40
"""More than the default and than what was fixed in the code once."""
HIGHEST = 128

LATER_VR = element(0x00291002, "ZZ", b"abcd")
"""A VR of a later edition has 32 bits of length (PS3.5 §7.1.2)."""

FORMS = [(syntax, undefined) for syntax in (EXPLICIT, IMPLICIT) for undefined in (False, True)]


def asked() -> Dataset:
    return identifier(step={"Modality": "CT"}, PatientID="")


def encoded(ds: Dataset, syntax: str) -> bytes:
    return encode(ds, syntax == IMPLICIT, syntax != BIG) or b""


def find(port: int, data: bytes, syntax: str) -> list[raw.Message]:
    with raw.RawPeer.connect(port) as peer:
        peer.associate(raw.association_request(contexts=[raw.context_item(5, raw.WORKLIST_FIND, (syntax,))]))
        peer.send_message(5, raw.find(7), data)
        answers = [peer.read_message()]
        while answers[-1].status in (0xFF00, 0xFF01):
            answers.append(peer.read_message())
        peer.release()
    return answers


def create(port: int, data: bytes, syntax: str) -> raw.Message:
    command: dict[int, raw.Value] = {0x0002: MPPS, 0x0100: 0x0140, 0x0110: 7, 0x0800: 1, 0x1000: "2.25.4712"}
    with raw.RawPeer.connect(port) as peer:
        peer.associate(raw.association_request(calling=b"CT1", contexts=[raw.context_item(5, MPPS, (syntax,))]))
        peer.send_message(5, raw.command_set(command), data)
        answer = peer.read_message()
        peer.release()
    return answer


@pytest.mark.parametrize("syntax", [EXPLICIT, BIG])
@pytest.mark.parametrize("odd", ["a private UN of undefined length", "a VR of a later edition"])
def test_a_query_may_hold(provider: Provider, odd: str, syntax: str) -> None:
    make_step(patient={"patient_id": "P-07"}, stations=[make_station("CT1")])
    added = private_unknown(syntax) if "UN" in odd else element(0x00291002, "ZZ", b"abcd", syntax)
    answers = find(provider.port, encoded(asked(), syntax) + added, syntax)
    assert [(answer.status, answer.comment) for answer in answers] == [(0xFF01, ""), (0x0000, "")]


@pytest.mark.parametrize("added", [private_unknown(), LATER_VR], ids=["private UN", "later VR"])
def test_a_report_may_hold(provider: Provider, added: bytes) -> None:
    make_station("CT1")
    answer = create(provider.port, encoded(creation(), EXPLICIT) + added, EXPLICIT)
    assert (answer.status, answer.comment) == (0x0000, "")
    performed = PerformedProcedureStep.objects.get()
    assert performed.sop_instance_uid == "2.25.4712"


@pytest.fixture(scope="module", params=[LIMIT, HIGHEST])
def deep_provider(
    database: str, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[tuple[Provider, int]]:
    running = start_provider(tmp_path_factory.mktemp("deep"), database, MWL_MAX_NESTING=str(request.param))
    yield running, request.param
    assert running.stop() == 0, running.log_text()


@pytest.mark.parametrize(("syntax", "undefined"), FORMS)
def test_queries_nest_as_deep_as_the_setting_says(
    deep_provider: tuple[Provider, int], syntax: str, undefined: bool
) -> None:
    provider, limit = deep_provider
    make_step(patient={"patient_id": "P-07"}, stations=[make_station("CT1")])
    whole = encoded(asked(), syntax)
    taken = find(provider.port, whole + nested(limit, syntax, undefined=undefined, tag=0x00880200), syntax)
    assert [(answer.status, answer.comment) for answer in taken] == [(0xFF01, ""), (0x0000, "")]
    (refused,) = find(provider.port, whole + nested(limit + 1, syntax, undefined=undefined, tag=0x00880200), syntax)
    assert (refused.status, refused.comment) == (0xC001, f"Sequences are nested more than {limit} deep")
    wait_until(lambda: WorklistQuery.objects.count() == 2, what="both queries are recorded")
    assert "query failed" not in provider.log_text()


@pytest.mark.parametrize(("syntax", "undefined"), FORMS)
def test_reports_nest_as_deep_as_the_setting_says(
    deep_provider: tuple[Provider, int], syntax: str, undefined: bool
) -> None:
    provider, limit = deep_provider
    make_station("CT1")
    whole = encoded(creation(), syntax)
    refused = create(provider.port, whole + nested(limit + 1, syntax, undefined=undefined, tag=0x00880200), syntax)
    assert (refused.status, refused.comment) == (0x0110, f"Sequences are nested more than {limit} deep")
    assert not PerformedProcedureStep.objects.exists()
    taken = create(provider.port, whole + nested(limit, syntax, undefined=undefined, tag=0x00880200), syntax)
    assert (taken.status, taken.comment) == (0x0000, "")
    assert PerformedProcedureStep.objects.count() == 1


@pytest.fixture(scope="module", params=[3, LIMIT, HIGHEST])
def deep_receiver(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[tuple[ReceiverProcess, int]]:
    settings = {"PACS_MAX_NESTING": str(request.param)}
    process = ReceiverProcess(tmp_path_factory.mktemp("deep") / "var", settings)
    process.start()
    yield process, request.param
    process.kill()


def store(receiver: ReceiverProcess, syntax: str, added: bytes) -> raw.Message:
    ds = images.image()
    del ds.PixelData
    contexts = [raw.context_item(1, images.CT, (syntax,))]
    with raw.RawPeer.connect(receiver.port) as peer:
        peer.associate(raw.association_request(called=b"PACS", contexts=contexts))
        peer.send_message(1, raw.store(7, str(ds.SOPInstanceUID), images.CT), encoded(ds, syntax) + added)
        answer = peer.read_message()
        peer.release()
    return answer


@pytest.mark.parametrize(("syntax", "undefined"), FORMS)
def test_images_nest_as_deep_as_the_setting_says(
    deep_receiver: tuple[ReceiverProcess, int], syntax: str, undefined: bool
) -> None:
    receiver, limit = deep_receiver
    taken = store(receiver, syntax, nested(limit, syntax, undefined=undefined))
    assert (taken.status, taken.comment) == (0x0000, "")
    refused = store(receiver, syntax, nested(limit + 1, syntax, undefined=undefined))
    assert (refused.status, refused.comment) == (0xC000, f"Sequences are nested more than {limit} deep")


def test_an_image_may_hold_what_a_query_may(deep_receiver: tuple[ReceiverProcess, int]) -> None:
    receiver, _ = deep_receiver
    assert store(receiver, EXPLICIT, private_unknown() + LATER_VR).status == 0x0000


def paths(receiver: ReceiverProcess) -> list[Path]:
    return sorted(receiver.storage.glob("??/*/*/*.dcm"))


def test_an_image_that_nests_too_deep_leaves_no_file(deep_receiver: tuple[ReceiverProcess, int]) -> None:
    receiver, limit = deep_receiver
    before = paths(receiver)
    assert store(receiver, EXPLICIT, making.nested(limit + 1)).status == 0xC000
    assert paths(receiver) == before

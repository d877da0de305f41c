"""Site and receiver in their containers find each other from the first minute, without a hand's turn."""

from __future__ import annotations

from pathlib import Path

import pydicom
import pytest

from tests.cast import CT1, MUELLER_CT
from tests.clients import dcmtk
from tests.clients.compose import Project
from tests.components import requires
from tests.containers.images import IMAGE
from tests.waiting import wait_until

pytestmark = [pytest.mark.containers, pytest.mark.timeout(900), requires("docker", "dcmtk")]

RECEIVED = "/admin/mwl_admin/receivedstudy/"


def image_of(folder: Path, patient_id: str, family_name: str) -> Path:
    """Return an image of the entry's study, of a patient."""
    ds = pydicom.dcmread(IMAGE)
    ds.StudyInstanceUID = MUELLER_CT.study_instance_uid
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    ds.AccessionNumber = MUELLER_CT.accession_number
    ds.PatientID, ds.PatientName = patient_id, f"{family_name}^Somebody"
    path = folder / f"{patient_id}.dcm"
    ds.save_as(path)
    return path


def test_the_receivers_notice_is_taken_by_the_site(project: Project) -> None:
    site = project.site()
    wait_until(lambda: "CompressedSamples" in site.get(RECEIVED).text, timeout=60, what="the notice is taken")


def test_an_image_of_another_patient_raises_the_alarm(project: Project, tmp_path: Path) -> None:
    image = image_of(tmp_path, "P-9999", "Mixedup")
    assert dcmtk.store(project.pacs_port, image, calling=CT1.ae_title).succeeded
    site = project.site()
    wait_until(lambda: "Mixedup" in site.get(f"{RECEIVED}?fit=mixed_up").text, timeout=60, what="the alarm is raised")
    assert "Mixedup" in site.get("/today/").text


def test_a_station_that_is_added_on_the_site_may_store_within_seconds(project: Project) -> None:
    assert not dcmtk.store(project.pacs_port, IMAGE, calling="CT77").succeeded
    project.site().add_station(ae_title="CT77", station_name="CT room 77", modality="CT")
    wait_until(lambda: dcmtk.store(project.pacs_port, IMAGE, calling="CT77").succeeded, timeout=15,
               what="the receiver knows the new station")  # fmt: skip


def test_the_site_tells_the_receiver_of_a_change_by_a_signed_command(project: Project) -> None:
    code = "from mwl_admin.images.receiver_commands import send; print(send('refresh-devices'))"
    answer = project.execute("mwl_admin", "python", "manage.py", "shell", "--no-imports", "-c", code)
    assert "'devices'" in answer


def test_both_hold_the_secret_that_the_first_start_made_and_nobody_else_does(project: Project) -> None:
    read = ("cat", "/var/lib/gateway-link/secret")
    secret = project.execute("mwl_admin", *read)
    assert len(secret) >= 48
    assert project.execute("pacs_receiver", *read) == secret
    for other in ("mwl_scp", "proxy", "postgres"):
        with pytest.raises(RuntimeError, match="No such file"):
            project.execute(other, *read)


def test_what_each_keeps_is_for_its_own_user(project: Project) -> None:
    for service, folders in {
        "mwl_admin": ["/var/lib/gateway", "/var/lib/gateway-link"],
        "mwl_scp": ["/var/lib/gateway", "/var/lib/gateway-tls"],
        "pacs_receiver": ["/var/lib/gateway", "/var/lib/gateway-link", "/var/lib/gateway-tls"],
        "proxy": ["/certificates"],
    }.items():
        found = project.execute(service, "find", *folders, "-perm", "/077", "-printf", "%m %p\\n")
        assert found == "", service
    owners = {service: project.execute(service, "id", "-u").strip() for service in ("mwl_admin", "proxy", "postgres")}
    assert len(set(owners.values())) == 3, owners

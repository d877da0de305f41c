"""`python -m gateway_certificates`: what it makes, what it refuses, what it says."""

from __future__ import annotations

import datetime
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID

from tests.processes import clean_environment


def run(folder: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gateway_certificates", *arguments], cwd=folder, capture_output=True, text=True,
        env=clean_environment(settings), check=False, timeout=60,
    )  # fmt: skip


def done(folder: Path, *arguments: str, **settings: str) -> str:
    ended = run(folder, *arguments, **settings)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


@pytest.fixture(scope="module")
def department(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an authority, a server's and two devices' certificates."""
    folder = tmp_path_factory.mktemp("certificates")
    done(folder, "ca", "--name", "St Elsewhere")
    done(folder, "server", "worklist.example", "192.0.2.10")
    done(folder, "device", "CT1")
    done(folder, "device", "ROOM 2/B", "ct2.example", "--days", "30")
    return folder / "var"


def test_a_devices_common_name_is_its_ae_title_whatever_characters_that_has(department: Path) -> None:
    for name, title in (("CT1", "CT1"), ("ROOM%202%2FB", "ROOM 2/B")):
        made = certificate(department / "authority" / "devices" / f"{name}.pem")
        (attribute,) = made.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        assert attribute.value == title
        made.verify_directly_issued_by(certificate(department / "tls" / "ca.pem"))


def test_the_servers_names_are_in_its_certificate(department: Path) -> None:
    made = certificate(department / "tls" / "server.pem")
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(name.value) for name in names] == ["worklist.example", "192.0.2.10"]


def test_lifetimes_end_in_time(department: Path) -> None:
    now = datetime.datetime.now(datetime.UTC)
    for name, days in (("tls/ca.pem", 3650), ("tls/server.pem", 1825), ("authority/devices/ROOM%202%2FB.pem", 30)):
        made = certificate(department / name)
        assert abs(made.not_valid_after_utc - now - datetime.timedelta(days=days)) < datetime.timedelta(hours=1)
        assert made.not_valid_before_utc < now


def test_only_the_authority_may_sign_and_only_directly(department: Path) -> None:
    authority = certificate(department / "tls" / "ca.pem").extensions
    assert authority.get_extension_for_class(x509.BasicConstraints).value == x509.BasicConstraints(True, 0)
    for name in ("tls/server.pem", "authority/devices/CT1.pem"):
        leaf = certificate(department / name).extensions
        assert not leaf.get_extension_for_class(x509.BasicConstraints).value.ca
        assert not leaf.get_extension_for_class(x509.KeyUsage).value.key_cert_sign


def test_openssl_accepts_both_for_what_they_are_for(department: Path) -> None:
    for purpose, name in (("sslserver", "tls/server.pem"), ("sslclient", "authority/devices/CT1.pem")):
        subprocess.run(
            ["openssl", "verify", "-x509_strict", "-purpose", purpose, "-CAfile", str(department / "tls" / "ca.pem"),
             str(department / name)], check=True, capture_output=True,
        )  # fmt: skip


def test_everything_is_for_its_owner_alone_and_the_authoritys_key_is_not_where_services_read(department: Path) -> None:
    for path in department.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    assert sorted(path.name for path in (department / "tls").iterdir()) == ["ca.pem", "server.key", "server.pem"]


@pytest.mark.parametrize("again", [("ca",), ("server", "other.example"), ("device", "CT1")])
def test_nothing_is_overwritten(department: Path, again: tuple[str, ...]) -> None:
    before = {path: path.read_bytes() for path in department.rglob("*") if path.is_file()}
    ended = run(department.parent, *again)
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert "is there already" in line
    assert {path: path.read_bytes() for path in department.rglob("*") if path.is_file()} == before


def test_a_renewed_one_is_new_and_the_old_one_is_kept_aside(tmp_path: Path) -> None:
    done(tmp_path, "ca")
    for arguments, folder, name in (
        (("server", "worklist.example"), "tls", "server"), (("device", "CT1"), "authority/devices", "CT1"),
    ):  # fmt: skip
        done(tmp_path, *arguments)
        path = tmp_path / "var" / folder / f"{name}.pem"
        before = path.read_bytes()
        done(tmp_path, *arguments, "--renew")
        assert path.read_bytes() != before
        (aside,) = path.parent.glob(f"{name}.pem.until-*")
        assert aside.read_bytes() == before
        assert len(list(path.parent.glob(f"{name}.key*"))) == 2
    assert done(tmp_path, "show").count("SHA-256") == 3, "what was set aside is not listed"


@pytest.mark.parametrize("arguments", [("server", "worklist.example"), ("device", "CT1"), ("show",)])
def test_without_an_authority_it_says_what_comes_first(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    ended = run(tmp_path, *arguments)
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert "there " in line


@pytest.mark.parametrize(
    "arguments",
    [(), ("device",), ("device", "SEVENTEEN_LETTERS"), ("device", "A\\B"), ("device", " "), ("server",),
     ("server", "not a name"), ("server", "../etc"), ("ca", "--days", "0"), ("nonsense",)],
)  # fmt: skip
def test_wrong_arguments_are_exit_status_2_and_make_nothing(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    assert run(tmp_path, *arguments).returncode == 2
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cant_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "authority").write_text("in the way")
    ended = run(tmp_path, "ca")
    assert ended.returncode == 1
    assert len(ended.stderr.splitlines()) == 1


def test_a_first_start_makes_all_and_a_second_leaves_it(tmp_path: Path) -> None:
    done(tmp_path, "server", "--if-missing", "worklist.example")
    made = {path: path.read_bytes() for path in tmp_path.rglob("*.pem")}
    assert len(made) == 2
    assert done(tmp_path, "server", "--if-missing", "worklist.example") == ""
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.pem")} == made


def test_a_device_can_be_printed_whole_for_a_file_elsewhere(tmp_path: Path) -> None:
    done(tmp_path, "ca")
    printed = done(tmp_path, "device", "CT1", "--stdout")
    first, authority = x509.load_pem_x509_certificates(printed.encode())
    first.verify_directly_issued_by(authority)
    assert printed.count("PRIVATE KEY-----\n") == 2


def test_show_says_for_whom_and_until_when(department: Path) -> None:
    said = done(department.parent, "show")
    assert "for      ROOM 2/B, ct2.example" in said
    assert "(29 days)" in said
    assert certificate(department / "tls" / "server.pem").fingerprint(hashes.SHA256()).hex() in said


def test_help_teaches_the_whole_way(tmp_path: Path) -> None:
    said = done(tmp_path, "--help")
    for word in ("1. ca", "2. server", "3. device", "DICOM_TLS=1", "echoscu +tls", "Exit status"):
        assert word in said
    assert max(len(line) for line in said.splitlines()) <= 120

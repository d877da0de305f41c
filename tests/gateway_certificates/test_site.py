"""The certificate by which the proxy serves the site: made at the first start, kept, or the department's own."""

from __future__ import annotations

from pathlib import Path

import pytest
import trustme
from cryptography import x509

from gateway_certificates.files import CertificateRefused
from gateway_certificates.site import prepare

HOSTS = ["worklist.example", "localhost", "127.0.0.1", "[::1]"]


def served(folder: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificates((folder / "site.pem").read_bytes())[0]


def strict(folder: Path) -> list[str]:
    return (folder / "hsts").read_text().split()


@pytest.fixture
def given(tmp_path: Path) -> tuple[Path, Path]:
    """A department's certificate with its chain, and its key."""
    issued = trustme.CA().issue_cert("worklist.example", "*.hospital.example", "localhost")
    certificate, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    key.write_bytes(issued.private_key_pem.bytes())
    return certificate, key


def test_the_first_start_makes_one_for_all_names_and_keeps_it(tmp_path: Path) -> None:
    said = prepare(tmp_path, HOSTS, None, Path("/dev/null"))
    names = served(tmp_path).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(name.value) for name in names] == ["worklist.example", "localhost", "127.0.0.1", "::1"]
    assert "of its own making" in said[0]
    before = (tmp_path / "site.pem").read_bytes()
    prepare(tmp_path, HOSTS, None, None)
    assert (tmp_path / "site.pem").read_bytes() == before


def test_other_names_make_another_one(tmp_path: Path) -> None:
    prepare(tmp_path, HOSTS, None, None)
    before = served(tmp_path)
    prepare(tmp_path, ["other.example", ".hospital.example"], None, None)
    assert served(tmp_path) != before
    names = served(tmp_path).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(name.value) for name in names] == ["other.example", "hospital.example", "*.hospital.example"]


def test_one_that_ends_soon_is_renewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway_certificates.site.DAYS", 59)
    prepare(tmp_path, HOSTS, None, None)
    before = served(tmp_path)
    prepare(tmp_path, HOSTS, None, None)
    assert served(tmp_path) != before


def test_the_departments_is_served_with_its_chain(tmp_path: Path, given: tuple[Path, Path]) -> None:
    said = prepare(tmp_path, HOSTS, *given)
    assert (tmp_path / "site.pem").read_bytes().startswith(given[0].read_bytes().strip())
    assert b"PRIVATE KEY" in (tmp_path / "site.pem").read_bytes()
    assert "the department's certificate" in said[0]


def test_browsers_are_bound_to_https_by_the_departments_only_and_never_for_loopback(
    tmp_path: Path, given: tuple[Path, Path]
) -> None:
    prepare(tmp_path, HOSTS, None, None)
    assert strict(tmp_path) == []
    prepare(tmp_path, [*HOSTS, "pacs.hospital.example", "elsewhere.example"], *given)
    assert strict(tmp_path) == ["worklist.example", "pacs.hospital.example"]
    prepare(tmp_path, HOSTS, None, None)
    assert strict(tmp_path) == []


def test_a_name_that_the_departments_does_not_cover_is_told(tmp_path: Path, given: tuple[Path, Path]) -> None:
    said = prepare(tmp_path, [*HOSTS, "elsewhere.example"], *given)
    assert "WARNING: this certificate is not for elsewhere.example" in said


@pytest.mark.parametrize("wrong", ["no key", "other key", "no certificate", "rubbish", "folder"])
def test_a_departments_that_cant_work_is_refused_in_one_line(
    tmp_path: Path, given: tuple[Path, Path], wrong: str
) -> None:
    certificate, key = given
    if wrong == "other key":
        key.write_bytes(trustme.CA().issue_cert("worklist.example").private_key_pem.bytes())
    elif wrong == "rubbish":
        certificate.write_text("rubbish")
    elif wrong == "folder":  # what the engine makes of a path that is not there
        certificate.unlink()
        certificate.mkdir()
    with pytest.raises(CertificateRefused) as refused:
        prepare(tmp_path, HOSTS, None if wrong == "no certificate" else certificate, None if wrong == "no key" else key)
    assert "\n" not in str(refused.value)

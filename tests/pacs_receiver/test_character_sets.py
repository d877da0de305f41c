"""Names whose character set is undeclared or misspelt."""

from __future__ import annotations

from pathlib import Path

import pytest
from environs import FileAwareEnv

from gateway_settings.environment import BadSetting
from pacs_receiver import queries
from pacs_receiver.character_sets import decoded
from pacs_receiver.config import load
from pacs_receiver.index import IndexWriter
from pacs_receiver.receive import Receiver
from tests.pacs_receiver.conftest import House
from tests.pacs_receiver.images import encode, image, store

MUELLER = "Müller^Jörg"
LUCHS = "Люк^Пётр"


@pytest.mark.parametrize("terms", ["", " ", "ISO_IR 6", "ISO_IR 999", "UTF-8", "UTF8", "ISO_IR192", "iso-ir-192", "\\"])
def test_utf_8_is_recognised_whatever_is_declared_by_mistake(terms: str) -> None:
    assert decoded(MUELLER.encode(), terms.encode()) == MUELLER
    assert decoded(LUCHS.encode(), terms.encode(), "ISO_IR 144") == LUCHS


@pytest.mark.parametrize("terms", ["", "ISO_IR 6", "ISO_IR 999", "windows"])
def test_what_is_no_utf_8_is_read_by_the_default(terms: str) -> None:
    assert decoded(MUELLER.encode("latin-1"), terms.encode()) == MUELLER
    assert decoded(LUCHS.encode("iso8859-5"), terms.encode(), "ISO_IR 144") == LUCHS


@pytest.mark.parametrize("terms", ["ISO_IR144", "ISO-IR 144", "iso_ir 144", "ISO IR 144", "ISO2022 IR 144"])
def test_what_is_misspelt_and_can_be_guessed_counts_more_than_the_default(terms: str) -> None:
    assert decoded(LUCHS.encode("iso8859-5"), terms.encode()) == LUCHS


def test_what_is_declared_is_believed() -> None:
    assert decoded("Ã¼".encode("latin-1"), b"ISO_IR 100") == "Ã¼"


def test_undeclared_escape_sequences_are_read_by_the_default() -> None:
    value = b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B"
    assert decoded(value, b"", "ISO 2022 IR 87") == "Yamada^Tarou=山田^太郎"


def test_the_index_reads_by_the_setting(house: House) -> None:
    writer = IndexWriter(house.engine, retry_seconds=5, default_character_set="ISO_IR 144")
    receiver = house.receiver
    other = Receiver(
        storage=house.storage, index=writer, engine=house.engine, peers=receiver.peers,
        duplicate_policy="keep-first", implementation_uid="2.25.4711", implementation_version="TEST_1",
    )  # fmt: skip
    ds = image()
    data = encode(ds).replace("Prüfer^Anna".encode(), "Пётр^Анна-12".encode("iso8859-5"))
    data = data.replace(b"ISO_IR 192", b"ISO_IR 999")
    try:
        store(other, data, instance=ds.SOPInstanceUID)
    finally:
        writer.close()
    assert [row["patient_name"] for row in queries.list_studies(house.engine)] == ["Пётр^Анна-12"]


def test_the_setting_is_a_defined_term(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    assert load(FileAwareEnv()).default_character_set == "ISO_IR 100"
    monkeypatch.setenv("PACS_DEFAULT_CHARACTER_SET", "ISO 2022 IR 87")
    assert load(FileAwareEnv()).default_character_set == "ISO 2022 IR 87"
    monkeypatch.setenv("PACS_DEFAULT_CHARACTER_SET", "latin-1")
    with pytest.raises(BadSetting, match="PACS_DEFAULT_CHARACTER_SET"):
        load(FileAwareEnv())

"""Files are closed to others: what is the owner's own, and nothing that is not."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway_settings import private


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(autouse=True)
def usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
def loose(tmp_path: Path) -> Path:
    """A folder as an older version left it."""
    root = tmp_path / "var"
    for path in ("worklist.sqlite3", "worklist.sqlite3-wal", "secret_key", "pacs/index.sqlite3",
                 "pacs/storage/aa/1.2.3/1.2.4/1.2.5.dcm"):  # fmt: skip
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("")
        (root / path).chmod(0o666)
    return root


def open_paths(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in (root, *root.rglob("*")) if mode(path) & 0o077}


def test_a_start_closes_the_top_and_leaves_images_to_the_walk(loose: Path) -> None:
    private.tighten_start(loose)
    assert open_paths(loose) == {
        "pacs/storage/aa", "pacs/storage/aa/1.2.3", "pacs/storage/aa/1.2.3/1.2.4",
        "pacs/storage/aa/1.2.3/1.2.4/1.2.5.dcm",
    }  # fmt: skip
    assert private.tighten_below(loose) == 4
    assert open_paths(loose) == set()
    assert private.tighten_below(loose) == 0


def test_the_owner_keeps_what_he_may(loose: Path) -> None:
    script = loose / "script"
    script.write_text("")
    script.chmod(0o755)
    private.tighten_start(loose)
    assert mode(script) == 0o700
    assert mode(loose / "secret_key") == 0o600


def test_databases_elsewhere_are_closed_with_what_stands_beside_them_and_nothing_else(tmp_path: Path) -> None:
    for name in ("x.sqlite3", "x.sqlite3-wal", "x.sqlite3-shm", "x.sqlite3.lock", "another"):
        (tmp_path / name).write_text("")
    private.tighten_start(tmp_path / "absent", databases=[tmp_path / "x.sqlite3"])
    assert open_paths(tmp_path) - {"."} == {"another"}


def test_links_are_not_followed(loose: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("")
    (loose / "link").symlink_to(outside)
    (loose / "file").symlink_to(outside / "file")
    private.tighten_start(loose)
    private.tighten_below(loose)
    assert mode(outside) == 0o755
    assert mode(outside / "file") == 0o644


def test_a_folder_that_is_everybodys_on_purpose_stays_so(tmp_path: Path) -> None:
    shared = tmp_path / "tmp"
    shared.mkdir()
    shared.chmod(0o1777)
    private.tighten_start(shared)
    assert mode(shared) == 0o1777


def test_what_belongs_to_another_user_is_left_alone(loose: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: loose.stat().st_uid + 1)
    before = open_paths(loose)
    private.tighten_start(loose)
    assert open_paths(loose) == before


def test_folders_are_made_for_the_owner_alone_whatever_the_umask(tmp_path: Path) -> None:
    private.make_folder(tmp_path / "a" / "b")
    assert mode(tmp_path / "a") == mode(tmp_path / "a" / "b") == 0o700

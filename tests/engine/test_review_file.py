"""Sessions are read as they are, in whatever state QGIS left them, and never changed by it."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from engine import review_file
from engine.errors import EngineError
from engine.review_file import check_saved, read_session, snapshot
from tests.engine.reviews import Review, box, read, rows_of


def checksum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    review = Review(operator="Ada")
    review.predict("a", box(0, 0), probability=0.75, reliability_front=2, comment="steep front", note="n")
    review.predict("b", box(500, 0))
    review.do("Ada", "accept", "a", status="accepted")
    review.write(tmp_path / "review.gpkg")
    return tmp_path / "review.gpkg"


def test_what_was_written_is_read(path):
    session = read(str(path))
    rows = rows_of(session)
    assert (rows["a"]["status"], rows["a"]["probability"], rows["a"]["reliability_front"]) == ("accepted", 0.75, 2)
    assert (rows["a"]["comment"], rows["a"]["note"]) == ("steep front", "n")
    assert rows["b"]["reliability_front"] is None and rows["b"]["reviewer"] is None and rows["b"]["probability"] is None
    assert rows["a"]["geometry"].geom_type == "MultiPolygon" and rows["a"]["geometry"].area == pytest.approx(40_000)
    assert session.settings["operator"] == "Ada" and session.crs.to_epsg() == 32645
    assert [(row["uid"], row["action"], row["undone"]) for row in session.journal] == [("a", "accept", 0)]


def test_empty_geometries_stay(tmp_path):
    review = Review()
    review.predict("a", box(0, 0))
    review.outline("a")["geometry"] = None
    assert rows_of(read(review.write(tmp_path / "review.gpkg")))["a"]["geometry"] is None


@pytest.fixture
def written_ahead(path: Path) -> Path:
    """A session whose latest decision is in its -wal, as after QGIS was killed."""
    working = path.with_name("working.gpkg")
    shutil.copy(path, working)
    connection = sqlite3.connect(working)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.create_function("ST_IsEmpty", 1, lambda _geometry: 0)
    connection.execute("UPDATE settings SET value = 'Bo' WHERE key = 'operator'")
    connection.commit()
    left = path.with_name("left")
    left.mkdir()
    for name in ("working.gpkg", "working.gpkg-wal"):
        shutil.copy(path.with_name(name), left / name)
    connection.close()
    return left / "working.gpkg"


def test_what_is_only_in_the_side_file_is_read_and_nothing_changes(written_ahead):
    before = checksum(written_ahead), checksum(written_ahead.with_name("working.gpkg-wal"))
    assert read(str(written_ahead)).settings["operator"] == "Bo"
    assert (checksum(written_ahead), checksum(written_ahead.with_name("working.gpkg-wal"))) == before


def test_a_session_that_is_open_elsewhere(path):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("UPDATE settings SET value = 'Cem' WHERE key = 'operator'")
        connection.commit()
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("UPDATE settings SET value = 'nobody' WHERE key = 'operator'")
        before = checksum(path)
        assert read(str(path)).settings["operator"] == "Cem"
        assert checksum(path) == before


@pytest.mark.parametrize("folder_mode", [0o755, 0o555], ids=["writable", "read-only"])
def test_in_write_ahead_mode_without_side_files_none_are_made(path, folder_mode):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    before, names = checksum(path), sorted(entry.name for entry in path.parent.iterdir())
    path.parent.chmod(folder_mode)
    try:
        assert read(str(path)).settings["operator"] == "Ada"
    finally:
        path.parent.chmod(0o755)
    assert checksum(path) == before and sorted(entry.name for entry in path.parent.iterdir()) == names


def test_a_change_that_was_broken_off_is_rolled_back_in_the_copy(path, monkeypatch):
    """What SQLite does with a -journal needs a writer; then files are copied instead."""

    def refuse(address, **options):
        if str(address).startswith("file:"):
            raise sqlite3.OperationalError("attempt to write a readonly database")
        return connect(address, **options)

    connect = sqlite3.connect
    monkeypatch.setattr(review_file.sqlite3, "connect", refuse)
    assert read(str(path)).settings["operator"] == "Ada"


def test_unsaved_edits_are_refused_and_undone_ones_are_none(tmp_path):
    review = Review()
    review.predict("a", box(0, 0))
    review.do("Ada", "accept", "a", saved=False, undone=True, status="accepted")
    with snapshot(review.write(tmp_path / "undone.gpkg")) as place:
        check_saved("undone.gpkg", place)
    review.do("Ada", "accept", "a", saved=False, status="accepted")
    with snapshot(review.write(tmp_path / "unsaved.gpkg")) as place, pytest.raises(EngineError) as raised:
        check_saved("unsaved.gpkg", place)
    assert raised.value.code == "review_unsaved" and "(1)" in raised.value.text and "unsaved.gpkg" in raised.value.text


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda path: path.write_text("no database"), "not_a_review"),
        (lambda path: sqlite3.connect(path).execute("CREATE TABLE other (x)"), "not_a_review"),
        (lambda path: None, "file_missing"),
        (lambda path: Review(format="0").write(path), "review_format"),
    ],
    ids=["text", "another database", "nothing", "another format"],
)
def test_what_is_no_session(tmp_path, make, code):
    make(tmp_path / "review.gpkg")
    with pytest.raises(EngineError) as raised, snapshot(str(tmp_path / "review.gpkg")):
        pass
    assert raised.value.code == code


def test_a_layer_that_is_missing(path):
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM gpkg_contents WHERE table_name = 'tiles'")
        connection.execute("DROP TABLE tiles")
    with snapshot(str(path)) as place, pytest.raises(EngineError, match="tiles"):
        read_session(place)

"""Review sessions at the edge: read as they are at one moment, and written whole. Their form is in :mod:`review_session`."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import shapely
from numpy.typing import NDArray
from pyproj import CRS

from engine.columns import Column, numbers, texts, writable
from engine.errors import EngineError
from engine.vectors import PolygonLayer, polygonal, write_layer
from review_session import (
    ATTRIBUTES,
    FORMAT,
    JOURNAL,
    JOURNAL_DDL,
    JOURNAL_FIELDS,
    OUTLINES,
    PREDICTED,
    REFERENCE,
    RESTRICTED,
    REVIEW_FIELDS,
    SETTINGS,
    SETTINGS_DDL,
    TILES,
)

GEOMETRY_TYPES = {
    OUTLINES: "MultiPolygon",
    RESTRICTED: "MultiPolygon",
    PREDICTED: "MultiPolygon",
    REFERENCE: "MultiPolygon",
    TILES: "Polygon",
}
"""The layers of a session."""
KINDS = {**dict(REVIEW_FIELDS), **dict(ATTRIBUTES), "row": "integer", "col": "integer", "visited_at": "text", "visited_by": "text"}
"""Kinds of the fields that a session has of its own."""
JOURNAL_COLUMNS = tuple(name for name, _ in JOURNAL_FIELDS)
WRITE_AHEAD = 2
"""What byte 18 of an SQLite file says where its latest changes are in a file of their own, -wal (SQLite file format, 1.3.3)."""
SIDE_FILES = ("-wal", "-journal")

JournalRow = dict[str, Any]


@dataclass(frozen=True)
class Session:
    """A review session.

    ``layers``: name (:data:`GEOMETRY_TYPES`) -> rows as they are in the file, geometries neither repaired nor left out, None
    where empty; ``journal``: rows by the names of :data:`review_session.JOURNAL_FIELDS`, in their order; ``settings``: key -> value.
    """

    layers: Mapping[str, PolygonLayer]
    journal: Sequence[JournalRow]
    settings: Mapping[str, str]

    @property
    def outlines(self) -> PolygonLayer:
        """The outlines being made."""
        return self.layers[OUTLINES]

    @property
    def crs(self) -> CRS:
        """Of all layers."""
        return self.outlines.crs


@contextmanager
def snapshot(path: str) -> Iterator[Path]:
    """A copy of a session as it is now, under the same name in a folder of its own, that goes when the block ends.

    The session may be open in QGIS, left over from a crash, or in a folder that nobody may write to; it is not changed.

    Raises
    ------
    EngineError
        ``file_missing``, ``not_a_review`` for what is no session, ``review_format`` for one of another version.
    """
    source = Path(path)
    if not source.is_file():
        raise EngineError("file_missing", f"There is no file {path}.")
    with tempfile.TemporaryDirectory(prefix="rock-glacier-review-") as folder:
        place = Path(folder) / source.name
        try:
            _copy(source, place)
            found = dict(_rows(place, f"SELECT key, value FROM {SETTINGS}")).get("format")
        except sqlite3.Error as error:
            raise EngineError("not_a_review", f"{path} is not a review session. ({error})") from error
        if found != FORMAT:
            raise EngineError(
                "review_format",
                f"{path} is a review session of format {found}, this engine knows format {FORMAT}. Use the version that made it.",
            )
        yield place


def _copy(source: Path, place: Path) -> None:
    """Copy a database with what is in its side files, none of which is made anew beside it."""
    with open(source, "rb") as file:
        header = file.read(20)
    alone = header[18:19] == bytes([WRITE_AHEAD]) and not source.with_name(source.name + "-wal").exists()
    try:
        address = f"{source.absolute().as_uri()}?{'immutable=1' if alone else 'mode=ro'}"
        with closing(sqlite3.connect(address, uri=True)) as there, closing(sqlite3.connect(place)) as here:
            there.backup(here)
    except sqlite3.OperationalError:  # its side files want a writer first, which its folder may not allow
        place.unlink(missing_ok=True)
        for suffix in ("", *SIDE_FILES):
            with suppress(FileNotFoundError):
                shutil.copyfile(source.with_name(source.name + suffix), place.with_name(place.name + suffix))
    with closing(sqlite3.connect(place)) as here:
        here.execute("PRAGMA journal_mode = DELETE")


def _rows(place: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(place)) as connection:
        return connection.execute(query).fetchall()


def check_saved(path: str, place: Path) -> None:
    """Refuse a session whose latest edits are in its journal alone.

    Raises
    ------
    EngineError
        ``review_unsaved``.
    """
    ((count,),) = _rows(place, f"SELECT count(DISTINCT command) FROM {JOURNAL} WHERE saved = 0 AND undone = 0")
    if count:
        raise EngineError(
            "review_unsaved",
            f"{path} holds edits that are not in its layers yet ({count}): it is open in the review dock, or QGIS ended without saving. "
            "Open it in the dock, save it, and run this again.",
        )


def decided_in(path: str) -> int:
    """How many outlines of a session somebody has judged or touched; 0 for what is no session."""
    if not Path(path).is_file():
        return 0
    try:
        with closing(sqlite3.connect(f"{Path(path).absolute().as_uri()}?mode=ro", uri=True)) as connection:
            touched = f"SELECT uid FROM {OUTLINES} WHERE status <> 'unreviewed' UNION SELECT uid FROM {JOURNAL} WHERE undone = 0"
            ((count,),) = connection.execute(f"SELECT count(*) FROM ({touched})")
    except sqlite3.Error:
        return 0
    return int(count)


def keep_edits(path: str, sessions: Sequence[Session]) -> None:
    """Refuse to replace a session that holds edits which none of those that it is made from has.

    Raises
    ------
    EngineError
        ``review_exists``; ``review_format`` for one of another version.
    """
    if not Path(path).is_file():
        return
    try:
        with snapshot(path) as place:
            there = {_moment(entry) for entry in _journal(place) if not entry["undone"]}
    except EngineError as error:
        if error.code == "not_a_review":
            return
        raise
    lost = there - {_moment(entry) for session in sessions for entry in session.journal}
    if lost:
        raise EngineError(
            "review_exists",
            f"{path} is a review session with {len(lost)} edits that would be lost. Give the new session another name, or merge that one.",
        )


def _moment(entry: JournalRow) -> tuple[Any, ...]:
    """When and by whom a command was given."""
    return tuple(entry[name] for name in ("run", "at", "operator", "action"))


def read_session(place: Path) -> Session:
    """A session from a :func:`snapshot`."""
    settings = dict(_rows(place, f"SELECT key, value FROM {SETTINGS}"))
    return Session({name: _read_layer(place, name) for name in GEOMETRY_TYPES}, _journal(place), settings)


def _journal(place: Path) -> list[JournalRow]:
    rows = _rows(place, f"SELECT {', '.join(JOURNAL_COLUMNS)} FROM {JOURNAL} ORDER BY id")
    return [dict(zip(JOURNAL_COLUMNS, row, strict=True)) for row in rows]


def _read_layer(place: Path, name: str) -> PolygonLayer:
    try:
        meta, _, wkb, values = pyogrio.raw.read(place, layer=name, force_2d=True)
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError) as error:
        raise EngineError("not_a_review", f"{place.name} lacks the layer {name} of a review session. ({error})") from error
    fields = {}
    for field, kind, column in zip(meta["fields"], meta["dtypes"], values, strict=True):
        whole = str(kind).startswith("int") and column.dtype.kind == "f"  # of whole numbers, some empty
        fields[field] = np.ma.array(np.nan_to_num(column).astype(kind), mask=np.isnan(column)) if whole else column
    return PolygonLayer(shapely.from_wkb(wkb), CRS.from_user_input(meta["crs"]), fields)


def sound(geometries: NDArray[np.object_]) -> NDArray[np.object_]:
    """Geometries (n,) of a session as valid polygons to measure, an empty one where there is none."""
    shapes = np.where(shapely.is_missing(geometries), shapely.Polygon(), geometries)
    broken = np.flatnonzero(~shapely.is_valid(shapes))
    shapes[broken] = [polygonal(shape) for shape in shapely.make_valid(shapes[broken])]
    return np.asarray(shapes, dtype=object).reshape(len(geometries))


def write_session(place: Path, session: Session) -> None:
    """Write a session into a new file that is not yet anybody's (:func:`engine.outputs.whole_file`)."""
    for number, (name, geometry_type) in enumerate(GEOMETRY_TYPES.items()):
        layer = session.layers[name]
        fields = {field: _of_kind(column, KINDS.get(field)) for field, column in layer.fields.items()}
        layer = PolygonLayer(layer.geometries, layer.crs, fields)
        write_layer(place, layer, name, geometry_type, "GPKG", append=number > 0)
    try:
        _write_tables(place, session)
    except sqlite3.Error as error:
        raise OSError(str(error)) from error


def _write_tables(place: Path, session: Session) -> None:
    """Journal and settings, registered so that GDAL and QGIS list them; and whether the layers were written to their end."""
    with closing(sqlite3.connect(place)) as connection, connection:
        for table, definition in ((JOURNAL, JOURNAL_DDL), (SETTINGS, SETTINGS_DDL)):
            connection.execute(definition)
            connection.execute("INSERT INTO gpkg_contents (table_name, data_type, identifier) VALUES (?, 'attributes', ?)", (table, table))
        marks = ", ".join("?" * len(JOURNAL_COLUMNS))
        connection.executemany(
            f"INSERT INTO {JOURNAL} ({', '.join(JOURNAL_COLUMNS)}) VALUES ({marks})",
            [[row[name] for name in JOURNAL_COLUMNS] for row in session.journal],
        )
        connection.executemany(f"INSERT INTO {SETTINGS} (key, value) VALUES (?, ?)", list(session.settings.items()))
        for name in (OUTLINES, RESTRICTED):
            connection.execute(f"CREATE INDEX {name}_uid ON {name} (uid)")
        for name, layer in session.layers.items():
            ((count,),) = connection.execute(f"SELECT count(*) FROM {name}")
            ((indexed,),) = connection.execute(f"SELECT count(*) FROM rtree_{name}_geom")
            if count != len(layer) or indexed != (~(shapely.is_missing(layer.geometries) | shapely.is_empty(layer.geometries))).sum():
                raise OSError(f"the layer {name} is incomplete")


def copy_tables(source: Path, place: Path) -> None:
    """Copy to a session what tables besides its own another one holds: the styles that QGIS keeps in a GeoPackage, perhaps."""
    listed = (
        "SELECT name, sql FROM other.sqlite_master JOIN other.gpkg_contents ON table_name = name "
        "WHERE type = 'table' AND data_type = 'attributes' AND name NOT IN (?, ?)"
    )
    try:
        with closing(sqlite3.connect(place)) as connection:
            connection.execute("ATTACH ? AS other", (str(source),))
            with connection:
                for name, definition in connection.execute(listed, (JOURNAL, SETTINGS)).fetchall():
                    connection.execute(definition)
                    connection.execute(f'INSERT INTO main."{name}" SELECT * FROM other."{name}"')
                    connection.execute("INSERT INTO gpkg_contents SELECT * FROM other.gpkg_contents WHERE table_name = ?", (name,))
    except sqlite3.Error as error:
        raise OSError(str(error)) from error


def _of_kind(column: Column, kind: str | None) -> NDArray[Any]:
    """A column as a field of a kind is written, empty ones masked or None; others as they are."""
    if kind == "text":
        return column if all(value is None or isinstance(value, str) for value in column) else texts(column)
    if kind is None:
        return writable(column)
    values = numbers(column)
    empty = np.isnan(values)
    return np.ma.array(np.where(empty, 0, values).astype(np.int32 if kind == "integer" else np.float64), mask=empty)

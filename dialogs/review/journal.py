"""The journal of a session on disk: what every edit command changed, and the session's settings.

It is written with GDAL, and through it with the copy of SQLite that QGIS itself has the file open with: a second copy of SQLite in one
process (Python's) does not see the first one's locks, and drops them when it closes the file.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from osgeo import gdal

from ... import review_session as form

ROWS_AT_ONCE = 500
"""Of one INSERT."""
PAGE = 4096
"""Features that are read at once."""
WRITTEN = tuple(name for name, _ in form.JOURNAL_FIELDS if name not in ("id", "undone", "saved"))


class JournalError(Exception):
    """SQLite's words on why the file cannot be read or written."""


@dataclass
class Change:
    """What a command did to one outline: a row of the journal; attributes by name, geometries as well-known binary."""

    command: int
    at: str
    operator: str
    run: str
    layer: str
    uid: str
    action: str
    seconds: float | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    before_geometry: bytes | None
    after_geometry: bytes | None


class Journal:
    """The tables ``journal`` and ``settings`` of a session that is open for writing.

    Raises
    ------
    JournalError
        The file cannot be opened for writing; every method: it cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        with _errors():
            self._file = gdal.OpenEx(str(path), gdal.OF_VECTOR | gdal.OF_UPDATE, allowed_drivers=["GPKG"])

    def close(self) -> None:
        """Let go of the file; QGIS can only give up its write-ahead log when nobody else has it open."""
        self._file = None

    def write(self, changes: Sequence[Change]) -> None:
        """Append rows, all or none."""
        with self._transaction():
            for first in range(0, len(changes), ROWS_AT_ONCE):
                rows = ",".join(
                    f"({','.join(_literal(getattr(change, name)) for name in WRITTEN)})" for change in changes[first : first + ROWS_AT_ONCE]
                )
                self._execute(f"INSERT INTO {form.JOURNAL} ({','.join(WRITTEN)}) VALUES {rows}")

    def set_undone(self, commands: Iterable[int], layer: str, undone: bool) -> None:
        """Mark the rows that commands made in a layer as undone or not."""
        numbers = ",".join(str(int(number)) for number in commands)
        if numbers:
            where = f"layer = {_literal(layer)} AND saved = 0 AND command IN ({numbers})"
            self._execute(f"UPDATE {form.JOURNAL} SET undone = {int(undone)} WHERE {where}")

    def set_saved(self, layer: str) -> None:
        """Mark that a layer holds everything now but what was undone."""
        self._execute(f"UPDATE {form.JOURNAL} SET saved = 1 WHERE saved = 0 AND undone = 0 AND layer = {_literal(layer)}")

    def set_unsaved(self, first: int) -> None:
        """Mark that commands from a number on are to be made again."""
        self._execute(f"UPDATE {form.JOURNAL} SET saved = 0 WHERE undone = 0 AND command >= {int(first)}")

    def unsaved(self) -> list[Change]:
        """What the layers in the file do not hold yet, in the order in which it was done."""
        names = [f"hex({name})" if name.endswith("geometry") else name for name in WRITTEN]
        rows = self.rows(f"SELECT {{}} FROM (SELECT * FROM {form.JOURNAL} WHERE saved = 0 AND undone = 0 ORDER BY id)", names)
        changes = [Change(*row) for row in rows]
        for change in changes:
            change.before, change.after = _object(change.before), _object(change.after)
            change.before_geometry = bytes.fromhex(str(change.before_geometry or "")) or None
            change.after_geometry = bytes.fromhex(str(change.after_geometry or "")) or None
        return changes

    def last_command(self) -> int:
        """The highest number of a command; 0 before the first."""
        return self.rows(f"SELECT {{}} FROM (SELECT coalesce(max(command), 0) AS last FROM {form.JOURNAL})", ["last"])[0][0]

    def settings(self) -> dict[str, str]:
        """All of them."""
        return dict(self.rows(f"SELECT {{}} FROM {form.SETTINGS}", ["key", "value"]))

    def set_setting(self, key: str, value: str) -> None:
        """Write one at once."""
        self._execute(f"INSERT OR REPLACE INTO {form.SETTINGS} (key, value) VALUES ({_literal(key)}, {_literal(value)})")

    def tables(self) -> dict[str, list[str]]:
        """Columns of the tables and layers."""
        names = [row[0] for row in self.rows("SELECT {} FROM sqlite_master WHERE type = 'table'", ["name"])]
        return {name: [row[0] for row in self.rows(f"SELECT {{}} FROM pragma_table_info({_literal(name)})", ["name"])] for name in names}

    def layer_columns(self, layer: str) -> tuple[str, str]:
        """Names of the key and of the geometry of a layer."""
        table = self._file.GetLayerByName(layer)
        return table.GetFIDColumn(), table.GetGeometryColumn()

    def pages(self, layer: str, key: str, columns: Sequence[str]) -> Iterator[list[Any]]:
        """The values of ``columns`` of all features, in the order of ``key``, without ever holding many at once."""
        last = -(2**63)
        while True:
            page = f"SELECT {{}} FROM (SELECT * FROM {layer} WHERE {key} > {last} ORDER BY {key} LIMIT {PAGE})"
            rows = self.rows(page, [key, *columns])
            if not rows:
                return
            last = rows[-1][0]
            yield from (row[1:] for row in rows)

    def rows(self, select: str, columns: Sequence[str]) -> list[list[Any]]:
        """The values of ``columns``, which take the place of ``{}`` in ``select``; in one go, as one text in JSON."""
        found = self._execute(select.format(f"json_group_array(json_array({', '.join(columns)}))"))
        return json.loads(found) if found else []

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with _errors():
            self._file.StartTransaction()
        try:
            yield
            with _errors():
                self._file.CommitTransaction()
        except BaseException:
            with _errors():
                self._file.RollbackTransaction()
            raise

    def _execute(self, sql: str) -> Any:
        """Run a statement; the first value that it gives."""
        if self._file is None:
            raise JournalError("closed")
        with _errors():
            result = self._file.ExecuteSQL(sql)
            if result is None:
                return None
            feature = result.GetNextFeature()
            value = feature.GetField(0) if feature is not None else None
            feature = None
            self._file.ReleaseResultSet(result)
            return value


def end_log(path: Path) -> None:
    """Leave a session as one file without a write-ahead log beside it, which a read-only folder would need room for.

    Nothing happens while somebody else has it open.
    """
    with contextlib.suppress(JournalError):
        journal = Journal(path)
        try:
            journal._execute("PRAGMA journal_mode = DELETE")
        finally:
            journal.close()


@contextmanager
def _errors() -> Iterator[None]:
    """GDAL's errors as ours, whether it has been told to raise its own or not."""
    gdal.PushErrorHandler("CPLQuietErrorHandler")
    gdal.ErrorReset()
    try:
        yield
        if gdal.GetLastErrorType() >= gdal.CE_Failure:
            raise JournalError(gdal.GetLastErrorMsg())
    except RuntimeError as error:
        raise JournalError(str(error)) from error
    finally:
        gdal.PopErrorHandler()


def _object(text: Any) -> dict[str, Any] | None:
    return None if text is None else json.loads(text)


def _literal(value: Any) -> str:
    """A value as SQL writes it."""
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"X'{value.hex()}'"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, dict):
        value = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return "'" + value.replace("'", "''").replace("\0", "") + "'"

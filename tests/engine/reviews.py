"""Review sessions that a test makes and lets people work in."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from pyproj import CRS

from engine.columns import first_known
from engine.review_file import JOURNAL_COLUMNS, Session, read_session, snapshot, write_session
from engine.vectors import PolygonLayer
from review_session import ATTRIBUTES, FORMAT, OUTLINES, PREDICTED, REFERENCE, RESTRICTED, REVIEW_FIELDS, TILES

UTM = CRS(32645)
FIELDS = {
    OUTLINES: (*(name for name, _ in REVIEW_FIELDS), *(name for name, _ in ATTRIBUTES), "note"),
    RESTRICTED: ("uid",),
    PREDICTED: ("name", "component"),
    REFERENCE: ("name", "component"),
    TILES: ("row", "col", "visited_at", "visited_by"),
}


def box(x: float, y: float, width: float = 200.0, height: float = 200.0) -> shapely.Polygon:
    """A rectangle in UTM 45 N, by metres from a corner of the ground."""
    return shapely.box(500_000 + x, 3_000_000 + y, 500_000 + x + width, 3_000_000 + y + height)


class Review:
    """A session in the making: rows by layer, a journal, settings."""

    def __init__(self, session: str = "one", crs: CRS = UTM, **settings: str) -> None:
        self.crs = crs
        self.rows: dict[str, list[dict[str, Any]]] = {name: [] for name in FIELDS}
        self.journal: list[dict[str, Any]] = []
        self.settings = {"format": FORMAT, "session": session, **settings}
        self.run = "run 1"

    def copy(self, run: str) -> Review:
        """A copy for another person, opened once."""
        twin = copy.deepcopy(self)
        twin.run = run
        return twin

    def predict(self, uid: str, geometry: shapely.Polygon, component: int | None = None, **fields: Any) -> None:
        """A predicted outline, unreviewed."""
        number = component or len(self.rows[OUTLINES]) + 1
        row = {"uid": uid, "source": "predicted", "source_id": uid, "component": number, "status": "unreviewed", "geometry": geometry}
        self.rows[OUTLINES].append({**row, **fields})
        self.rows[PREDICTED].append({"name": uid, "component": number, "geometry": geometry})

    def outline(self, uid: str) -> dict[str, Any]:
        """The row of an outline."""
        return next(row for row in self.rows[OUTLINES] if row["uid"] == uid)

    def do(
        self,
        operator: str,
        action: str,
        *uids: str,
        at: str = "2026-11-20T10:00:00.000Z",
        seconds: float | None = None,
        geometry: shapely.Polygon | None = None,
        undone: bool = False,
        saved: bool = True,
        **after: Any,
    ) -> None:
        """One command: what changes in some outlines, with its rows in the journal."""
        command = max((row["command"] for row in self.journal), default=0) + 1
        if "status" in after:
            after |= {"reviewer": operator, "reviewed_at": at}
        for number, uid in enumerate(uids):
            outline = self.outline(uid)
            entry = self._entry(command, operator, action, uid, at, seconds if number == 0 else None, undone, saved)
            entry |= {"before": json.dumps({name: outline.get(name) for name in after}), "after": json.dumps(after)}
            if geometry is not None:
                entry |= {"before_geometry": shapely.to_wkb(outline["geometry"]), "after_geometry": shapely.to_wkb(geometry)}
            if saved and not undone:
                outline |= after if geometry is None else {**after, "geometry": geometry}

    def add(self, operator: str, uid: str, geometry: shapely.Polygon, at: str = "2026-11-20T11:00:00.000Z", **fields: Any) -> None:
        """An outline drawn by a person."""
        row = {"uid": uid, "source": "added", "status": "added", "reviewer": operator, "reviewed_at": at, **fields}
        command = max((entry["command"] for entry in self.journal), default=0) + 1
        entry = self._entry(command, operator, "add", uid, at, None, False, True)
        entry |= {"after": json.dumps(row), "after_geometry": shapely.to_wkb(geometry)}
        self.rows[OUTLINES].append({**row, "geometry": geometry})

    def delete(self, operator: str, uid: str, at: str = "2026-11-20T12:00:00.000Z") -> None:
        """An outline taken away."""
        outline = self.outline(uid)
        command = max((entry["command"] for entry in self.journal), default=0) + 1
        entry = self._entry(command, operator, "delete", uid, at, None, False, True)
        entry |= {"before": json.dumps({**outline, "geometry": None}), "before_geometry": shapely.to_wkb(outline["geometry"])}
        self.rows[OUTLINES].remove(outline)

    def merge(self, operator: str, into: str, *uids: str, geometry: shapely.Polygon, seconds: float | None = None, **fields: Any) -> None:
        """Outlines that become one, as QGIS's tools do it: ``into`` is one of them, or a new one that names the largest as its parent."""
        gone = [uid for uid in uids if uid != into]
        for number, uid in enumerate(gone):
            self.delete(operator, uid)
            self.journal[-1] |= {"command": self.journal[-1]["command"] - bool(number), "seconds": None if number else seconds}
        command = self.journal[-1]["command"]
        if into in uids:
            self.do(operator, "edit", into, geometry=geometry, status="edited")
        else:
            self.add(operator, into, geometry, source="predicted", status="edited", **fields)
            self.journal[-1]["action"] = "edit"
        self.journal[-1]["command"] = command

    def _entry(
        self, command: int, operator: str, action: str, uid: str, at: str, seconds: float | None, undone: bool, saved: bool
    ) -> dict[str, Any]:
        entry = dict.fromkeys(JOURNAL_COLUMNS) | {
            **{"id": len(self.journal) + 1, "command": command, "at": at, "operator": operator, "run": self.run},
            **{"layer": OUTLINES, "uid": uid, "action": action, "seconds": seconds, "undone": int(undone), "saved": int(saved)},
        }
        self.journal.append(entry)
        return entry

    def restrict(self, operator: str, uid: str, geometry: shapely.Polygon, at: str = "2026-11-20T11:30:00.000Z") -> None:
        """A restricted outline drawn for an outline."""
        command = max((entry["command"] for entry in self.journal), default=0) + 1
        entry = self._entry(command, operator, "restricted", uid, at, None, False, True)
        entry |= {"layer": RESTRICTED, "after": json.dumps({"uid": uid}), "after_geometry": shapely.to_wkb(geometry)}
        self.rows[RESTRICTED] = [row for row in self.rows[RESTRICTED] if row["uid"] != uid] + [{"uid": uid, "geometry": geometry}]

    def write(self, path: Path) -> str:
        """The session as a file."""
        layers = {name: self._layer(name) for name in FIELDS}
        path.unlink(missing_ok=True)
        write_session(path, Session(layers, self.journal, self.settings))
        return str(path)

    def _layer(self, name: str) -> PolygonLayer:
        rows = self.rows[name]
        geometries = np.array([row["geometry"] for row in rows], dtype=object)
        fields = {field: np.array([row.get(field) for row in rows], dtype=object) for field in FIELDS[name]}
        return PolygonLayer(geometries, self.crs, fields)


def rows_of(session: Session, layer: str = OUTLINES) -> dict[str, dict[str, Any]]:
    """The rows of a layer that has a field uid, by uid, geometry among the values, None where empty."""
    content = session.layers[layer]
    columns = {name: first_known(column) for name, column in content.fields.items()}
    rows = [{name: column[index] for name, column in columns.items()} for index in range(len(content))]
    return {row["uid"]: {**row, "geometry": geometry} for row, geometry in zip(rows, content.geometries, strict=True)}


def read(path: str) -> Session:
    """A session from its file."""
    with snapshot(path) as place:
        return read_session(place)

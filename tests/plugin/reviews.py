"""Small review sessions with known content for the plugin's tests, written by the form of :mod:`review_session` without the engine."""

from __future__ import annotations

import sqlite3
import uuid
from pathlib import Path
from typing import Any

import numpy as np
from osgeo import gdal, ogr, osr

import review_session as form
from tests.plugin.samples import write_raster

gdal.UseExceptions()
ogr.UseExceptions()

LEFT, TOP, CELL, COLUMNS, PIXEL = 600000, 3100000, 500, 4, 10
SIDE = CELL * COLUMNS
"""The ground is a square of 2 km: 4 x 4 cells of 500 m with one case each, rasters of 10 m over all of it."""

Box = tuple[int, int, int, int]
"""Left, bottom, width and height, metres from the lower left corner of the cell."""

CASES: tuple[tuple[str, tuple[Box, ...], tuple[Box, ...]], ...] = (
    ("1-1", ((100, 100, 200, 200),), ((120, 100, 200, 200),)),
    ("1-1", ((100, 100, 300, 300),), ((100, 100, 300, 300),)),
    ("1-1", ((100, 100, 200, 300),), ((100, 100, 200, 200),)),
    ("n-1", ((50, 100, 400, 200),), ((50, 100, 190, 200), (260, 100, 190, 200))),
    ("n-1", ((100, 50, 200, 400),), ((100, 50, 200, 180), (100, 270, 200, 180))),
    ("1-n", ((50, 100, 190, 200), (260, 100, 190, 200)), ((50, 100, 400, 200),)),
    ("1-n", ((100, 50, 200, 180), (100, 270, 200, 180)), ((100, 50, 200, 400),)),
    ("n-m", ((50, 100, 150, 200), (250, 100, 150, 200)), ((100, 100, 200, 150), (320, 150, 130, 150))),
    ("missed", (), ((100, 100, 200, 200),)),
    ("missed", (), ((150, 100, 100, 300),)),
    ("false", ((100, 100, 300, 300),), ()),
    ("false", ((100, 100, 200, 200),), ()),
    ("false", ((200, 200, 60, 60),), ()),
)
"""Relation, predicted and manual boxes of each cell, row by row from the upper left; its number from 1 is the component."""

KINDS = {"text": ogr.OFTString, "integer": ogr.OFTInteger, "real": ogr.OFTReal}
OWN_FIELDS = (("id", "integer"), ("note", "text"))
"""What the predicted outlines had besides."""


def make_review(
    folder: Path,
    name: str = "review.gpkg",
    *,
    manual: bool = True,
    probability: bool = True,
    imagery: bool = True,
    dem: bool = True,
    operator: str = "",
) -> Path:
    """A session of :data:`CASES` in UTM 45 N, none reviewed, with the files that it names beside it.

    ``predicted.gpkg``, ``manual.gpkg``, ``imagery.tif`` (red, green, blue), ``probability.tif`` (0.5 on the predicted boundaries,
    more inside), ``dem.tif`` (falls towards the south). In the layer ``outlines``, predicted ones come first, in the order of
    the cases; ``priority`` falls from 1 row by row; the first two have restricted outlines. Four tiles of 1 km.
    """
    surface, means = _probability()
    files: dict[str, Path | None] = dict.fromkeys(form.PATHS)
    files["predicted"] = _write_boxes(folder / "predicted.gpkg", "predicted", [box for _, box in _boxes(1)])
    if manual:
        files["manual"] = _write_boxes(folder / "manual.gpkg", "manual", [box for _, box in _boxes(2)])
    if probability:
        files["probability"] = write_raster(folder / "probability.tif", surface[None])
    if imagery:
        grey = np.linspace(60, 200, SIDE // PIXEL)[None, :] + 40 * (surface > 0.5)
        files["imagery"] = write_raster(folder / "imagery.tif", np.stack([grey, grey * 0.95, grey * 0.9]).astype(np.uint8))
    if dem:
        south = np.linspace(4600, 4000, SIDE // PIXEL, dtype=np.float32)
        files["dem"] = write_raster(folder / "dem.tif", np.repeat(south[:, None], SIDE // PIXEL, axis=1)[None])
    path = folder / name
    rows = _outlines(means if probability else None, manual)
    dataset = ogr.GetDriverByName("GPKG").CreateDataSource(str(path), ["VERSION=1.2"])
    fields = (*form.REVIEW_FIELDS, *form.ATTRIBUTES, *OWN_FIELDS)
    _write_layer(dataset, form.OUTLINES, fields, rows)
    restricted = [{"uid": row["uid"], "geometry": row["geometry"].Buffer(-20)} for row in rows[:2]]
    _write_layer(dataset, form.RESTRICTED, (("uid", "text"),), restricted)
    for layer, side, present in ((form.PREDICTED, 1, True), (form.REFERENCE, 2, manual)):
        numbered = enumerate(_boxes(side) if present else [], 1)
        came = [{"name": str(number), "component": component, "geometry": _polygon(box)} for number, (component, box) in numbered]
        _write_layer(dataset, layer, (("name", "text"), ("component", "integer")), came)
    half = SIDE // 2
    tiles = [
        {"row": row, "col": col, "geometry": _polygon((LEFT + col * half, TOP - (row + 1) * half, half, half))}
        for row in (0, 1)
        for col in (0, 1)
    ]
    tile_fields = (("row", "integer"), ("col", "integer"), ("visited_at", "text"), ("visited_by", "text"))
    _write_layer(dataset, form.TILES, tile_fields, tiles, ogr.wkbPolygon)
    del dataset
    _write_tables(path, files, operator)
    return path


def _boxes(side: int) -> list[tuple[int, Box]]:
    """Component and box (map units) of the predicted (1) or manual (2) outlines."""
    placed = []
    for index, case in enumerate(CASES):
        row, column = divmod(index, COLUMNS)
        for left, bottom, width, height in case[side]:
            placed.append((index + 1, (LEFT + column * CELL + left, TOP - (row + 1) * CELL + bottom, width, height)))
    return placed


def _polygon(box: Box) -> Any:
    left, bottom, width, height = box
    ring = ogr.Geometry(ogr.wkbLinearRing)
    for x, y in ((0, 0), (width, 0), (width, height), (0, height), (0, 0)):
        ring.AddPoint_2D(left + x, bottom + y)
    polygon = ogr.Geometry(ogr.wkbPolygon)
    polygon.AddGeometry(ring)
    return polygon


def _probability() -> tuple[Any, list[float]]:
    """Surface (rows, cols) 0-1 and its mean over each predicted box; steeper towards the last ones, so more certain."""
    middles = np.arange(SIDE // PIXEL) * PIXEL + PIXEL / 2
    x, y = LEFT + middles[None, :], TOP - middles[:, None]
    surface = np.full((len(middles), len(middles)), 0.02)
    boxes = [box for _, box in _boxes(1)]
    for number, (left, bottom, width, height) in enumerate(boxes):
        depth = np.minimum(np.minimum(x - left, left + width - x), np.minimum(y - bottom, bottom + height - y))
        surface = np.maximum(surface, np.clip(0.5 + depth * (1 + number) / 1000, 0.02, 0.98) * (depth > -150))
    surface = surface.astype(np.float32)
    means = [
        float(surface[(y > bottom) & (y < bottom + height) & (x > left) & (x < left + width)].mean())
        for left, bottom, width, height in boxes
    ]
    return surface, means


def _outlines(means: list[float] | None, manual: bool) -> list[dict[str, Any]]:
    """The rows of the layer ``outlines``."""
    predicted = _boxes(1)
    missed = [(number, entry) for number, entry in enumerate(_boxes(2), 1) if CASES[entry[0] - 1][0] == "missed"] if manual else []
    rows = [
        {
            "source": "predicted",
            "source_id": str(number),
            "component": component,
            "relation": CASES[component - 1][0] if manual else None,
            "probability": means[number - 1] if means else None,
            "merge_suspect": 1.0 if manual and CASES[component - 1][0] == "n-1" else 0.0,
            "id": number,
            "note": f"predicted {number}",
            **(_compared(component) if manual else {}),
            "geometry": _polygon(box),
        }
        for number, (component, box) in enumerate(predicted, 1)
    ]
    rows += [
        {"source": "manual", "source_id": str(number), "component": component, "relation": "missed", "geometry": _polygon(box)}
        for number, (component, box) in missed
    ]
    for position, row in enumerate(rows):
        row |= {"uid": uuid.uuid4().hex[:12], "status": "unreviewed", "priority": 1 - position / len(rows)}
    return rows


def _compared(component: int) -> dict[str, float]:
    """Figures of a correspondence; none of one without both sides."""
    sides = []
    for side in (1, 2):
        union = ogr.Geometry(ogr.wkbMultiPolygon)
        for number, box in _boxes(side):
            if number == component:
                union.AddGeometry(_polygon(box))
        sides.append(union.UnionCascaded())
    ours, theirs = sides
    if ours.IsEmpty() or theirs.IsEmpty():
        return {}
    shared = ours.Intersection(theirs).Area()
    lines = [side.Boundary() for side in sides]
    distances: list[float] = []
    for own, other in (lines, lines[::-1]):
        line = own.Clone()
        line.Segmentize(1.0)
        parts = [line.GetGeometryRef(index) for index in range(line.GetGeometryCount())] or [line]
        for part in parts:
            for x, y, *_ in part.GetPoints()[:-1]:
                distances.append(ogr.CreateGeometryFromWkt(f"POINT ({x} {y})").Distance(other))
    return {
        "iou": shared / (ours.Area() + theirs.Area() - shared),
        "area_deviation": 100 * (ours.Area() - theirs.Area()) / theirs.Area(),
        "boundary_distance_m": float(np.mean(distances)),
    }


def _write_layer(
    dataset: Any, name: str, fields: tuple[tuple[str, str], ...], rows: list[dict[str, Any]], kind: int = ogr.wkbMultiPolygon
) -> None:
    crs = osr.SpatialReference()
    crs.ImportFromEPSG(32645)
    layer = dataset.CreateLayer(name, crs, kind)
    for field, field_kind in fields:
        layer.CreateField(ogr.FieldDefn(field, KINDS[field_kind]))
    layer.StartTransaction()
    for row in rows:
        feature = ogr.Feature(layer.GetLayerDefn())
        geometry = row["geometry"]
        feature.SetGeometry(ogr.ForceToMultiPolygon(geometry.Clone()) if kind == ogr.wkbMultiPolygon else geometry)
        for field, value in row.items():
            if field != "geometry" and value is not None:
                feature.SetField(field, value)
        layer.CreateFeature(feature)
    layer.CommitTransaction()


def _write_boxes(path: Path, name: str, boxes: list[Box]) -> Path:
    """An input layer; ``id`` counts from 1."""
    dataset = ogr.GetDriverByName("GPKG").CreateDataSource(str(path), ["VERSION=1.2"])
    rows = [{"id": number, "note": f"{name} {number}", "geometry": _polygon(box)} for number, box in enumerate(boxes, 1)]
    _write_layer(dataset, name, OWN_FIELDS, rows, ogr.wkbPolygon)
    return path


def _write_tables(path: Path, files: dict[str, Path | None], operator: str) -> None:
    settings = {
        "format": form.FORMAT,
        "session": uuid.uuid4().hex,
        "created": "2026-01-01T00:00:00.000Z",
        "software": "Rock Glacier Mapper",
        "operator": operator,
        "sliver": "0.05",
        "tile_size": "1000",
    }
    for name, file in files.items():
        if file is not None:
            settings[name] = form.stored_path(str(file), str(path))
            if name in ("predicted", "manual"):
                settings |= {f"{name}_layer": name, f"{name}_state": form.file_state(str(file))}
    with sqlite3.connect(path) as connection:
        for table, ddl in ((form.JOURNAL, form.JOURNAL_DDL), (form.SETTINGS, form.SETTINGS_DDL)):
            connection.execute(ddl)
            connection.execute(
                "INSERT INTO gpkg_contents (table_name, data_type, identifier, last_change) VALUES (?, 'attributes', ?, ?)",
                (table, table, "2026-01-01T00:00:00.000Z"),
            )
        connection.executemany(f"INSERT INTO {form.SETTINGS} (key, value) VALUES (?, ?)", settings.items())
    connection.close()

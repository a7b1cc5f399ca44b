"""Ground of outlines: made valid, taken apart, cut by a line; whether two differ, and the areas of many at once."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from qgis.core import QgsDistanceArea, QgsGeometry, QgsPointXY, QgsPolygon, QgsRectangle

SAME = 1e-9
"""Share of its area that an outline's ground may differ by and still be the same."""
CELLS = 500
"""Across the session's extent, in which the ratio of ellipsoidal to planar area is taken for the same; off by less than 0.1 % within
10 degrees."""


def areas_km2(measure: QgsDistanceArea, figures: Iterable[list[float | None]]) -> list[float | None]:
    """Areas in km2 from planar areas and boxes in map units, through the ratio of ellipsoidal to planar area around each."""
    planar = np.fromiter((math.nan if value is None else value for row in figures for value in row), float).reshape(-1, 5)
    known = np.isfinite(planar).all(axis=1)
    if not known.any():
        return [None] * len(planar)
    x, y = (planar[:, 1] + planar[:, 3]) / 2, (planar[:, 2] + planar[:, 4]) / 2
    left, bottom = np.nanmin(x), np.nanmin(y)
    cell = max(np.nanmax(x) - left, np.nanmax(y) - bottom, 0.0) / CELLS or float(np.nanmax(planar[:, 3] - planar[:, 1])) or 1.0
    place = np.stack([np.floor((x - left) / cell), np.floor((y - bottom) / cell)], axis=1)
    cells, which = np.unique(np.where(known[:, None], place, 0), axis=0, return_inverse=True)
    ratios = np.empty(len(cells))
    for number, (column, row) in enumerate(cells):
        middle = QgsPointXY(left + (column + 0.5) * cell, bottom + (row + 0.5) * cell)
        square = QgsGeometry.fromRect(QgsRectangle.fromCenterAndSize(middle, cell, cell))
        ratios[number] = measure.measureArea(square) / cell**2
    areas = planar[:, 0] * ratios[which.reshape(-1)] / 1e6
    return [value if math.isfinite(value) else None for value in areas.tolist()]


def valid(outline: QgsGeometry) -> QgsGeometry:
    """The outline, repaired where overlaying could fail on it: a boundary may cross itself while it is being edited."""
    return outline if outline.isEmpty() or outline.isGeosValid() else outline.makeValid()


def polygons(geometry: QgsGeometry) -> list[QgsPolygon]:
    """Copies of the polygons in a geometry of any kind."""
    parts = [part.clone() for part in geometry.constParts()]
    return [part for part in parts if isinstance(part, QgsPolygon)]


def cut(geometry: QgsGeometry, line: QgsGeometry) -> list[QgsGeometry]:
    """The parts of an outline that a line makes; polygons that it does not cut stay with the largest part."""
    parted, whole = [], []
    lines = line.asMultiPolyline() if line.isMultipart() else [line.asPolyline()]
    for polygon in geometry.asGeometryCollection():
        parts = [polygon]
        for points in lines:
            for part in list(parts):
                _result, pieces, _touched = part.splitGeometry(points, False)
                parts += pieces
        (parted if len(parts) > 1 else whole).extend(parts)
    parted.sort(key=lambda part: part.area(), reverse=True)
    if parted and whole:
        parted[0] = QgsGeometry.collectGeometry([parted[0], *whole])
    return parted


def shared_ground(one: QgsGeometry, other: QgsGeometry) -> QgsGeometry:
    """What two outlines have in common; empty where they only touch."""
    parts = [part for part in one.intersection(other).asGeometryCollection() if part.area() > 0]
    return QgsGeometry.unaryUnion(parts) if parts else QgsGeometry()


def differ(before: QgsGeometry, after: QgsGeometry) -> bool:
    """Whether two outlines are different ground; a vertex more on a straight edge, as topological editing adds them, is none."""
    difference = before.symDifference(after)
    return difference.isNull() or difference.area() > SAME * max(before.area(), after.area())

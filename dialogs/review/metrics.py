"""How an outline compares with a reference, fast enough to be shown while it is edited."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from qgis.core import QgsCoordinateReferenceSystem, QgsCoordinateTransformContext, QgsGeometry, QgsPoint, QgsPointXY

from .local_map import local_map, transformed
from .shapes import valid

SPACING_M, MOST_POINTS = 5.0, 4000
"""A boundary is looked at in pieces of at most this length, longer ones where it would be more pieces than that."""


@dataclass(frozen=True)
class Comparison:
    """NaN is what is not known: without a reference all but the area.

    ``area_km2`` of the outline; ``iou`` 0-1; ``area_deviation`` outline less reference in percent of the reference;
    ``boundary_distance_m`` mean distance of every metre of both boundaries, holes' too, to the other one.
    """

    area_km2: float = math.nan
    iou: float = math.nan
    area_deviation: float = math.nan
    boundary_distance_m: float = math.nan


def compare(
    outline: QgsGeometry, reference: QgsGeometry, crs: QgsCoordinateReferenceSystem, transform_context: QgsCoordinateTransformContext
) -> Comparison:
    """Compare an outline with its reference, both polygons in ``crs``, either of them empty where there is none.

    Source
    ------
    The definitions of ``engine/accuracy.py`` (``iou``, ``signed_percent``) and ``engine/boundary_distances.py`` (``mean_m``).
    """
    if outline.isEmpty():
        return Comparison()
    to_metres = local_map(QgsPointXY(outline.vertexAt(0)), crs, transform_context)
    ours = valid(transformed(outline, to_metres))
    area = ours.area()
    if reference.isEmpty():
        return Comparison(area / 1e6)
    theirs = valid(transformed(reference, to_metres))
    reference_area = theirs.area()
    joint = ours.combine(theirs).area()
    return Comparison(
        area / 1e6,
        ours.intersection(theirs).area() / joint if joint else math.nan,
        100 * (area - reference_area) / reference_area if reference_area else math.nan,
        mean_boundary_distance(ours, theirs),
    )


def mean_boundary_distance(one: QgsGeometry, other: QgsGeometry) -> float:
    """Mean distance of every metre of the boundaries of two polygons to the other one, in their map units."""
    lines = [QgsGeometry(polygons.constGet().boundary()) for polygons in (one, other)]
    total = length = 0.0
    for line, target in (lines, lines[::-1]):
        middles, lengths = _pieces(line)
        engine = QgsGeometry.createGeometryEngine(target.constGet())
        engine.prepareGeometry()
        away = np.array([engine.distance(QgsPoint(x, y)) for x, y in middles])
        total += float(away @ lengths)
        length += float(lengths.sum())
    return total / length if length else math.nan


def _pieces(line: QgsGeometry) -> tuple[np.ndarray, np.ndarray]:
    """Middles (n, 2) and lengths (n,) of the pieces of a boundary."""
    spacing = max(SPACING_M, line.length() / MOST_POINTS)
    middles, lengths = [np.empty((0, 2))], [np.empty(0)]
    dense = line.densifyByDistance(spacing)  # its parts live as long as it does
    for part in dense.constParts():
        places = np.array([(point.x(), point.y()) for point in part.vertices()])
        middles.append((places[1:] + places[:-1]) / 2)
        lengths.append(np.hypot(*np.diff(places, axis=0).T))
    return np.concatenate(middles), np.concatenate(lengths)

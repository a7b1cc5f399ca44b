"""A stretch of an outline's boundary gives way to another line."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from qgis.core import QgsCoordinateTransform, QgsGeometry, QgsLineString, QgsPointXY, QgsPolygon

from .local_map import transformed
from .shapes import polygons, valid


@dataclass(frozen=True)
class Spot:
    """A place on a ring: ``along`` it and ``away`` from what was asked for, ``place``, all in metres; ``original`` in the outline's CRS."""

    along: float
    away: float
    place: QgsPointXY
    original: QgsPointXY


class Boundary:
    """One ring of an outline: that which is nearest to a place."""

    def __init__(self, outline: QgsGeometry, to_metres: QgsCoordinateTransform, near: QgsPointXY) -> None:
        """Of a polygon geometry, ``near`` on the map in metres that ``to_metres`` leads to."""
        self._parts = polygons(outline)
        candidates = []
        for part, polygon in enumerate(self._parts):
            for ring in range(1 + polygon.numInteriorRings()):
                line = polygon.exteriorRing() if ring == 0 else polygon.interiorRing(ring - 1)
                self._take(QgsGeometry(line.clone()), to_metres)
                candidates.append((self.nearest(near).away, part, ring, self._original, self._places))
        _, self._part, self._ring, self._original, self._places = min(candidates, key=lambda candidate: candidate[0])
        self._measure()

    def nearest(self, place: QgsPointXY) -> Spot:
        """Where the ring is nearest to a place in metres."""
        start, step = self._places[:-1], np.diff(self._places, axis=0)
        there = np.array([place.x(), place.y()])
        length = np.maximum((step**2).sum(axis=1), 1e-12)
        share = np.clip(((there - start) * step).sum(axis=1) / length, 0, 1)
        foot = start + share[:, None] * step
        away = np.hypot(*(foot - there).T)
        index = int(away.argmin())
        original = self._original[index] + share[index] * (self._original[index + 1] - self._original[index])
        along = self._passed[index] + share[index] * (self._passed[index + 1] - self._passed[index])
        return Spot(float(along), float(away[index]), QgsPointXY(*foot[index]), QgsPointXY(*original))

    def stretch(self, start: Spot, end: Spot, other_way: bool = False) -> QgsGeometry:
        """The shorter stretch between two spots, or the longer, as a line in the outline's CRS from start to end."""
        forward = self._goes_forward(start, end) != other_way
        first, last = (start, end) if forward else (end, start)
        line = [first.original, *self._between(first, last), last.original]
        return QgsGeometry.fromPolylineXY(line if forward else line[::-1])

    def redrawn(self, start: Spot, end: Spot, line: list[QgsPointXY], other_way: bool = False) -> QgsGeometry:
        """The outline with that stretch replaced by a line from start to end; both in the outline's CRS.

        Where the line crosses what is left of the ring, the largest piece is the outline. Empty where nothing is left.
        """
        forward = self._goes_forward(start, end) != other_way
        first, last = (start, end) if forward else (end, start)
        inner = line if forward else line[::-1]
        ring = [first.original, *inner, last.original, *self._between(last, first), first.original]
        drawn = _largest(QgsGeometry.fromPolygonXY([ring]))
        polygon = self._parts[self._part]
        holes = [_filled(polygon.interiorRing(index)) for index in range(polygon.numInteriorRings())]
        if self._ring == 0:
            part = drawn
        else:
            part = _filled(polygon.exteriorRing())
            holes[self._ring - 1] = drawn
        for hole in holes:
            part = part.difference(hole)
        others = [QgsGeometry(other.clone()) for index, other in enumerate(self._parts) if index != self._part]
        parts = [piece for piece in (part, *others) if not piece.isEmpty()]
        return QgsGeometry.unaryUnion(parts) if len(parts) > 1 else part

    def _take(self, line: QgsGeometry, to_metres: QgsCoordinateTransform) -> None:
        placed = transformed(line, to_metres)
        self._original, self._places = (
            np.array([(vertex.x(), vertex.y()) for vertex in geometry.vertices()]) for geometry in (line, placed)
        )
        self._measure()

    def _measure(self) -> None:
        self._passed = np.append(0.0, np.cumsum(np.hypot(*np.diff(self._places, axis=0).T)))

    def _goes_forward(self, start: Spot, end: Spot) -> bool:
        length = self._passed[-1]
        return bool((end.along - start.along) % length <= length / 2)

    def _between(self, first: Spot, last: Spot) -> list[QgsPointXY]:
        """Vertices passed on the way forward from one spot to another."""
        length = self._passed[-1]
        ahead = (self._passed[:-1] - first.along) % length
        passed = np.flatnonzero((ahead > 1e-9) & (ahead < (last.along - first.along) % length - 1e-9))
        return [QgsPointXY(*self._original[index]) for index in passed[np.argsort(ahead[passed])]]


def _filled(ring: QgsLineString) -> QgsGeometry:
    return QgsGeometry(QgsPolygon(ring.clone()))


def _largest(geometry: QgsGeometry) -> QgsGeometry:
    """Its largest valid polygon."""
    pieces = polygons(valid(geometry))
    return QgsGeometry(max(pieces, key=lambda piece: piece.area())) if pieces else QgsGeometry.fromWkt("POLYGON EMPTY")

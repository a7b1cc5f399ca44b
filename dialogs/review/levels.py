"""Contours of the probability surface for one outline: what it would be, were the network believed from another level on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from osgeo import gdal, ogr, osr
from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsCoordinateTransformContext,
    QgsGeometry,
    QgsLineString,
    QgsPolygon,
    QgsRasterLayer,
    QgsRectangle,
)

from ...processing_provider.layers import raster_path, why_unreadable
from ...processing_provider.translation import tr
from .local_map import transformed
from .shapes import polygons, valid

LEVELS = 16
LOWEST = 0.05
"""Probability below which no contour is looked for: a network's background is noise."""
MARGIN, LEAST_MARGIN = 0.5, 16
"""Ground around the outline that the contours may reach into: share of its longer side, and cells."""
MOST_CELLS = 2000
"""Rows and columns of the window at most; outlines that are larger are contoured on larger cells, means of those of the raster."""
SMALLEST_CELLS, SMALLEST_SHARE = 4, 0.01
"""Parts and holes with fewer cells, and parts with less of the largest part's area, are noise and left out."""
SIMPLIFIED = 0.1
"""Cells by which the boundary may move to get along with fewer vertices than one on each side of a cell."""

FLAT = osr.SpatialReference('LOCAL_CS["cells and polygons of one map"]')
"""GDAL asks for some reference system where it burns polygons."""


class NoLevels(Exception):
    """Why there are no contours for an outline, in words for a person."""


class Levels:
    """The probability surface around an outline and its contours, which belong to this outline alone.

    A level's outline is those parts of the contour that overlap the outline it started from, without holes where that has none.
    Where other outlines are near, the ground between goes to the nearer one, and theirs is never taken.
    ``lowest`` and ``highest`` bound the levels that a person can choose, ``extent`` is the window in the outline's CRS.
    """

    def __init__(
        self,
        outline: QgsGeometry,
        crs: QgsCoordinateReferenceSystem,
        raster: QgsRasterLayer,
        context: QgsCoordinateTransformContext,
    ) -> None:
        """Read the window around an outline (polygons in ``crs``) from a raster of probabilities (0-1, band 1), in whatever CRS.

        Raises
        ------
        NoLevels
            where the raster cannot be read, does not know the outline's place, holds other values, or is the same everywhere.
        """
        self._to_raster = QgsCoordinateTransform(crs, raster.crs(), context)
        self._start = transformed(outline, self._to_raster)
        self._has_holes = any(part.numInteriorRings() for part in polygons(self._start))
        self._others = QgsGeometry()
        self._geotransform, self.values = _window(raster, self._start.boundingBox())
        self._own = self._burnt(self._start)
        inside = self.values[self._own]
        if not inside.size:
            raise NoLevels(tr("The outline is smaller than a pixel of the probability raster."))
        if inside.max() <= LOWEST:
            raise NoLevels(
                tr("The probability raster knows no rock glacier here: it is nowhere more than {} in this outline.").format(LOWEST)
            )
        if np.ptp(self.values) < 0.01:
            raise NoLevels(tr("The probability is the same everywhere around this outline, so there is no contour to follow."))
        step = (float(inside.max()) - LOWEST) / LEVELS
        self.lowest, self.highest = LOWEST + step / 2, LOWEST + (LEVELS - 0.5) * step
        rows, columns = self.values.shape
        corners = [self._on_map(np.array([[column, row]]))[0] for column in (0, columns) for row in (0, rows)]
        x, y = zip(*corners)
        window = QgsGeometry.fromRect(QgsRectangle(min(x), min(y), max(x), max(y)))
        self.extent = transformed(window, self._to_raster, back=True).boundingBox()

    def keep_off(self, others: QgsGeometry) -> None:
        """Leave ground (polygons in the outline's CRS, less the outline's own) to others, and what is nearer to it."""
        if others.isEmpty():
            return
        self._others = transformed(others, self._to_raster)
        theirs = self._burnt(self._others)
        if theirs.any():
            nearer = _distance(theirs) - _distance(self._own)
            # 0.5 half way between, so that the contours of all levels run there, smoothly, within half a cell
            self.values = np.clip(np.minimum(self.values, 0.5 + nearer), 0, None)

    def levels(self) -> list[float]:
        """16 levels evenly spread between 0.05 and the largest probability in the outline, the middles of as many steps."""
        return [float(level) for level in np.linspace(self.lowest, self.highest, LEVELS)]

    def outlines(self, levels: Sequence[float]) -> list[QgsGeometry]:
        """The outline at each level (0-1), MultiPolygon in the CRS of the outline; empty where nothing of it is left."""
        return [self._outline(rings) for rings in _rings(self.values, levels)]

    def outline(self, level: float) -> QgsGeometry:
        """As :meth:`outlines`, at one level."""
        return self.outlines([level])[0]

    def level_of(self, outline: QgsGeometry) -> float:
        """The level that an outline's boundary keeps to: the median of the probability along it."""
        placed = transformed(outline, self._to_raster)
        boundary = QgsGeometry(placed.constGet().boundary())
        cell = abs(np.linalg.det(np.array(self._geotransform).reshape(2, 3)[:, 1:])) ** 0.5
        dense = boundary.densifyByDistance(2 * cell)
        places = np.array([(point.x(), point.y()) for point in dense.vertices()])
        column, row = _inverse(self._geotransform, places).T - 0.5
        return float(np.median(_bilinear(self.values, row, column)))

    def _outline(self, rings: list[np.ndarray]) -> QgsGeometry:
        """From closed rings (n, 2) in columns and rows."""
        areas = np.array([_area(ring) for ring in rings])
        if rings and areas[np.abs(areas).argmax()] < 0:  # the largest goes around no hole, and all around holes the other way round
            areas = -areas
        near = QgsGeometry.createGeometryEngine(self._start.constGet())
        near.prepareGeometry()
        found = []
        for index in np.flatnonzero(areas >= SMALLEST_CELLS):
            polygon = QgsPolygon(self._line(rings[index]))
            if near.intersects(polygon):
                found.append(polygon)
        if self._has_holes:
            for index in np.flatnonzero(areas <= -SMALLEST_CELLS):
                hole = self._line(rings[index])
                around = (polygon for polygon in found if QgsGeometry(polygon.clone()).contains(QgsGeometry(hole.clone())))
                for polygon in around:
                    polygon.addInteriorRing(hole.clone())
        outline = valid(QgsGeometry.collectGeometry([QgsGeometry(polygon) for polygon in found]))
        if outline.isEmpty():
            return QgsGeometry.fromWkt("MULTIPOLYGON EMPTY")
        parts = polygons(outline)
        if outline.intersects(self._others):
            parts = [part for part in polygons(outline.difference(self._others)) if near.intersects(part)]
        largest = max((part.area() for part in parts), default=0.0)
        parts = [QgsGeometry(part.clone()) for part in parts if part.area() >= SMALLEST_SHARE * largest]
        return transformed(QgsGeometry.collectGeometry(parts), self._to_raster, back=True)

    def _line(self, ring: np.ndarray) -> QgsLineString:
        x, y = self._on_map(ring).T
        return QgsLineString(x.tolist(), y.tolist())

    def _on_map(self, places: np.ndarray) -> np.ndarray:
        """Columns and rows (n, 2) as coordinates (n, 2)."""
        t = np.array(self._geotransform).reshape(2, 3)
        return places @ t[:, 1:].T + t[:, 0]

    def _burnt(self, area: QgsGeometry) -> np.ndarray:
        """Cells (rows, cols) with their middle in some polygons."""
        raster = _raster(np.zeros(self.values.shape, np.uint8), self._geotransform)
        raster.SetSpatialRef(FLAT)
        holder = _vectors()
        layer = holder.CreateLayer("polygons", FLAT, ogr.wkbUnknown)
        feature = ogr.Feature(layer.GetLayerDefn())
        feature.SetGeometry(ogr.CreateGeometryFromWkb(bytes(area.asWkb())))
        layer.CreateFeature(feature)
        gdal.RasterizeLayer(raster, [1], layer, burn_values=[1])
        return raster.ReadAsArray().astype(bool)


def _window(raster: QgsRasterLayer, bounds: QgsRectangle) -> tuple[tuple[float, ...], np.ndarray]:
    """Geotransform and probabilities (rows, cols) around some bounds, 0 where not known."""
    problem = why_unreadable(raster)
    if problem:
        raise NoLevels(problem)
    try:
        dataset = gdal.Open(raster_path(raster))
    except RuntimeError:  # only where a plugin had GDAL raise errors
        dataset = None
    if dataset is None:
        raise NoLevels(tr("The probability raster cannot be read any more: {}.").format(raster.source()))
    transform = dataset.GetGeoTransform()
    corners = [(x, y) for x in (bounds.xMinimum(), bounds.xMaximum()) for y in (bounds.yMinimum(), bounds.yMaximum())]
    cells = _inverse(transform, np.array(corners))
    margin = max(LEAST_MARGIN, MARGIN * float(np.ptp(cells, axis=0).max()))
    size = np.array([dataset.RasterXSize, dataset.RasterYSize])
    first = np.clip(np.floor(cells.min(axis=0) - margin), 0, size).astype(int)
    last = np.clip(np.ceil(cells.max(axis=0) + margin), 0, size).astype(int)
    columns, rows = (last - first).tolist()
    if columns < 2 or rows < 2:
        raise NoLevels(tr("The outline lies outside the probability raster."))
    coarser = max(1.0, columns / MOST_CELLS, rows / MOST_CELLS)
    shape = max(2, round(rows / coarser)), max(2, round(columns / coarser))
    window = (int(first[0]), int(first[1]), columns, rows, shape[1], shape[0])
    band = dataset.GetRasterBand(1)
    values = band.ReadAsArray(*window, resample_alg=gdal.GRIORA_Average).astype(np.float64)
    values = values * (1.0 if band.GetScale() is None else band.GetScale()) + (band.GetOffset() or 0.0)
    known = np.isfinite(values) & (band.GetMaskBand().ReadAsArray(*window) > 0)
    if not known.any():
        raise NoLevels(tr("The probability raster has no values here: the place was not assessable."))
    lowest, highest = values[known].min(), values[known].max()
    if lowest < 0 or highest > 1:
        raise NoLevels(
            tr("The raster of the session holds values from {:g} to {:g}; probabilities lie between 0 and 1.").format(lowest, highest)
        )
    wide, high = columns / shape[1], rows / shape[0]
    x0, xc, xr, y0, yc, yr = transform
    column, row = first
    start = x0 + column * xc + row * xr, y0 + column * yc + row * yr
    return (start[0], xc * wide, xr * high, start[1], yc * wide, yr * high), np.where(known, values, 0.0)


def _rings(values: np.ndarray, levels: Sequence[float]) -> list[list[np.ndarray]]:
    """For each level the closed contour rings (n, 2) as columns and rows; a cell's value is that of its middle.

    Around the window everything lies below all levels, so that every ring closes.
    """
    padded = np.pad(values, 1)
    raster = _raster(padded, (0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
    holder = _vectors()
    layer = holder.CreateLayer("contours", None, ogr.wkbLineString)
    layer.CreateField(ogr.FieldDefn("level", ogr.OFTReal))
    rings: dict[float, list[np.ndarray]] = {float(level): [] for level in levels}
    fixed = ",".join(repr(level) for level in sorted(rings))
    gdal.ContourGenerateEx(raster.GetRasterBand(1), layer, options=[f"FIXED_LEVELS={fixed}", "ELEV_FIELD=0"])
    for feature in layer:
        line = bytes(feature.GetGeometryRef().Simplify(SIMPLIFIED).ExportToWkb(ogr.wkbNDR))
        # behind byte order, type and count of a LineString
        rings[feature.GetField(0)].append(np.frombuffer(line, "<f8", offset=9).reshape(-1, 2) - 1.0)
    return [rings[float(level)] for level in levels]


def _area(ring: np.ndarray) -> float:
    """In cells; rings around tops and around holes differ in sign, since GDAL keeps higher ground on the same side of its contours."""
    x, y = ring.T
    return float(y[:-1] @ x[1:] - x[:-1] @ y[1:]) / 2


def _distance(cells: np.ndarray) -> np.ndarray:
    """Of each cell to the nearest marked one, in cells."""
    marked = _raster(cells.astype(np.uint8), None)
    found = _raster(np.zeros(cells.shape, np.float32), None)
    gdal.ComputeProximity(marked.GetRasterBand(1), found.GetRasterBand(1), ["VALUES=1", "DISTUNITS=PIXEL"])
    return found.ReadAsArray().astype(np.float64)


def _bilinear(values: np.ndarray, row: np.ndarray, column: np.ndarray) -> np.ndarray:
    rows, columns = values.shape
    row, column = np.clip(row, 0, rows - 1), np.clip(column, 0, columns - 1)
    top, left = np.minimum(row.astype(int), rows - 2), np.minimum(column.astype(int), columns - 2)
    down, right = row - top, column - left
    upper = values[top, left] * (1 - right) + values[top, left + 1] * right
    lower = values[top + 1, left] * (1 - right) + values[top + 1, left + 1] * right
    return upper * (1 - down) + lower * down


def _inverse(geotransform: Sequence[float], places: np.ndarray) -> np.ndarray:
    """Coordinates (n, 2) as columns and rows (n, 2), of a cell's upper left corner."""
    t = np.array(geotransform).reshape(2, 3)
    return np.linalg.solve(t[:, 1:], (places - t[:, 0]).T).T


def _raster(values: np.ndarray, geotransform: Sequence[float] | None) -> Any:
    """An array (rows, cols) as a raster in memory."""
    kind = {"uint8": gdal.GDT_Byte, "float32": gdal.GDT_Float32, "float64": gdal.GDT_Float64}[values.dtype.name]
    rows, columns = values.shape
    dataset = gdal.GetDriverByName("MEM").Create("", columns, rows, 1, kind)
    if geotransform is not None:
        dataset.SetGeoTransform(list(geotransform))
    dataset.GetRasterBand(1).WriteArray(values)
    return dataset


def _vectors() -> Any:
    """A place for vectors in memory; the driver is called MEM from GDAL 3.11 on."""
    return (ogr.GetDriverByName("Memory") or ogr.GetDriverByName("MEM")).CreateDataSource("")

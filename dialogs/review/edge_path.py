"""Where the strongest edge of image or slope runs between two places: a live wire, by QGIS's own graph library.

Source
------
Mortensen and Barrett (1998), Interactive segmentation with intelligent scissors: minimum-cost paths over the image's gradient.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from osgeo import gdal
from qgis.analysis import QgsGraph, QgsGraphAnalyzer
from qgis.core import QgsCoordinateReferenceSystem, QgsCoordinateTransform, QgsCoordinateTransformContext, QgsPointXY, QgsRasterLayer

from ...processing_provider.layers import raster_path, why_unreadable
from ...processing_provider.translation import tr

REACH = 80
"""Cells from the middle of the window to its sides: 161 x 161 cells are searched within a quarter of a second."""
EPSILON = 0.05
"""Cost of a cell on the strongest edge, next to 1 + EPSILON where there is none: what a detour along an edge may cost."""
BANDS = 4
"""Bands of the imagery that are looked at: what stacks hold beyond colour and near infrared is computed from them."""
SMOOTHING = 5
"""Cells over which the staircase of a path is averaged; it stays within a cell of the path."""


class NoEdges(Exception):
    """Why no edge can be followed, in words for a person."""


@dataclass(frozen=True)
class Window:
    """Square of cells on a local map: ``middle`` of it, side of a ``cell``, metres; rows from the north."""

    crs: QgsCoordinateReferenceSystem
    middle: QgsPointXY
    cell: float

    @property
    def side(self) -> int:
        """Cells along one side."""
        return 2 * REACH + 1

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Left, bottom, right, top."""
        half = self.side / 2 * self.cell
        return self.middle.x() - half, self.middle.y() - half, self.middle.x() + half, self.middle.y() + half

    def cell_of(self, place: QgsPointXY) -> tuple[int, int]:
        """Row and column that hold a place; the nearest ones where it lies outside."""
        left, _, _, top = self.bounds
        row, column = (top - place.y()) / self.cell, (place.x() - left) / self.cell
        return min(max(int(row), 0), self.side - 1), min(max(int(column), 0), self.side - 1)

    def holds(self, place: QgsPointXY) -> bool:
        """Whether a place lies in it."""
        left, bottom, right, top = self.bounds
        return left <= place.x() <= right and bottom <= place.y() <= top

    def places(self, cells: np.ndarray) -> np.ndarray:
        """Middles (n, 2) of cells (n, 2) in rows and columns."""
        left, _, _, top = self.bounds
        return np.column_stack([left + (cells[:, 1] + 0.5) * self.cell, top - (cells[:, 0] + 0.5) * self.cell])


def pixel_size(
    raster: QgsRasterLayer, local: QgsCoordinateReferenceSystem, middle: QgsPointXY, context: QgsCoordinateTransformContext
) -> float:
    """Metres on the ground of a pixel at a place of a local map."""
    to_map = QgsCoordinateTransform(raster.crs(), local, context)
    there = to_map.transform(middle, QgsCoordinateTransform.TransformDirection.ReverseTransform)
    wide, high = raster.rasterUnitsPerPixelX(), raster.rasterUnitsPerPixelY()
    corner = to_map.transform(QgsPointXY(there.x() + wide, there.y() + high))
    return max(middle.distance(corner) / math.sqrt(2), 1e-6)


def read(raster: QgsRasterLayer, window: Window, bands: int, resampling: str) -> np.ndarray:
    """(bands, rows, cols) of a raster in any CRS on the window's cells, NaN where it has no data; GDAL's name of the resampling.

    Raises
    ------
    NoEdges
        where it cannot be read, or has nothing here.
    """
    if why := why_unreadable(raster):
        raise NoEdges(why)
    count = min(raster.bandCount(), bands)
    try:
        wanted = gdal.Translate("", raster_path(raster), format="VRT", bandList=list(range(1, count + 1)), outputSRS=raster.crs().toWkt())
        dataset = wanted and gdal.Warp(
            "",
            wanted,
            format="MEM",
            dstSRS=window.crs.toWkt(),
            outputBounds=window.bounds,
            width=window.side,
            height=window.side,
            resampleAlg=resampling,
            outputType=gdal.GDT_Float32,
            dstNodata=math.nan,
        )
    except RuntimeError:  # only where a plugin had GDAL raise errors
        dataset = None
    if dataset is None:
        raise NoEdges(tr("{} cannot be read any more: {}.").format(raster.name(), raster.source()))
    values = dataset.ReadAsArray().reshape(count, window.side, window.side).astype(np.float64)
    if not np.isfinite(values).any():
        raise NoEdges(tr("{} has no data here.").format(raster.name()))
    return values


def edges(imagery: QgsRasterLayer | None, dem: QgsRasterLayer | None, window: Window) -> np.ndarray:
    """Strength of the edges (rows, cols), 0-1, of imagery, elevation model, or the mean of both.

    Raises
    ------
    NoEdges
        where a raster cannot be read or has nothing here.
    """
    found = []
    if imagery is not None:
        found.append(image_edges(read(imagery, window, BANDS, "cubic")))
    if dem is not None:  # a spline, whose slope has no breaks of its own where the model's cells are larger than the window's
        found.append(slope_breaks(read(dem, window, 1, "cubicspline")[0], window.cell))
    return np.mean(found, axis=0)


def image_edges(bands: np.ndarray) -> np.ndarray:
    """Strength of edges (rows, cols), 0-1, of an image (bands, rows, cols), NaN where there is no data.

    The mean over the bands of Sobel's gradient, each band first stretched between its 2nd and 98th percentile, so that no band and no
    bright snow patch counts more than others.
    """
    gradients = []
    for band in bands:
        known = band[np.isfinite(band)]
        if not known.size:
            continue
        darkest, brightest = np.percentile(known, (2, 98))
        gradients.append(sobel(np.clip((band - darkest) / max(brightest - darkest, 1e-12), 0, 1)))
    return _as_strength(np.mean(gradients, axis=0))


def slope_breaks(elevation: np.ndarray, cell: float) -> np.ndarray:
    """Strength of breaks of slope (rows, cols), 0-1, of elevations (rows, cols) in metres: the gradient of the slope angle."""
    return _as_strength(sobel(np.arctan(sobel(elevation) / cell)))


def sobel(values: np.ndarray) -> np.ndarray:
    """Magnitude of the gradient (rows, cols) per cell; NaN beside unknown values. At the rim the outermost cells count twice."""
    v = np.pad(values, 1, mode="edge")
    across = (v[:-2, 2:] - v[:-2, :-2]) + 2 * (v[1:-1, 2:] - v[1:-1, :-2]) + (v[2:, 2:] - v[2:, :-2])
    down = (v[2:, :-2] - v[:-2, :-2]) + 2 * (v[2:, 1:-1] - v[:-2, 1:-1]) + (v[2:, 2:] - v[:-2, 2:])
    return np.hypot(across, down) / 8


def _as_strength(gradient: np.ndarray) -> np.ndarray:
    """Over its 98th percentile, 1 at most; 0 where it is not known or the same everywhere."""
    known = gradient[np.isfinite(gradient)]
    strong = np.percentile(known, 98) if known.size else 0.0
    strong = strong or (known.max() if known.size else 0.0)
    return np.nan_to_num(np.clip(gradient / strong, 0, 1)) if strong > 0 else np.zeros(gradient.shape)


class EdgePaths:
    """The cheapest paths from one cell of a window to all others."""

    def __init__(self, strength: np.ndarray, start: tuple[int, int]) -> None:
        """Search a window with edges of some strength (rows, cols; 0-1) from a cell (row, column) on.

        Each step to one of the eight neighbours costs its length times the mean of both cells' ``EPSILON + 1 - strength``.
        """
        self._shape = strength.shape
        cost = EPSILON + 1 - strength
        number = np.arange(strength.size).reshape(strength.shape)
        graph = QgsGraph()
        rows, columns = strength.shape
        for row in range(rows):
            for column in range(columns):
                graph.addVertex(QgsPointXY(column, row))
        origins = []
        add = graph.addEdge
        for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
            here = slice(0, rows - down), slice(max(0, -right), columns - max(0, right))
            there = slice(down, rows), slice(max(0, right), columns + min(0, right))
            step = (math.hypot(down, right) * (cost[here] + cost[there]) / 2).ravel().tolist()
            one, other = number[here].ravel(), number[there].ravel()
            for origin, target in ((one, other), (other, one)):
                origins.append(origin)
                for begin, end, price in zip(origin.tolist(), target.tolist(), step):
                    add(begin, end, [price])
        self._origin = np.concatenate(origins)
        self._incoming = QgsGraphAnalyzer.dijkstra(graph, int(number[start]), 0)[0]

    def to(self, end: tuple[int, int]) -> np.ndarray:
        """Cells (n, 2), rows and columns, from the start to a cell."""
        at = end[0] * self._shape[1] + end[1]
        path = [at]
        while (edge := self._incoming[at]) >= 0:
            at = int(self._origin[edge])
            path.append(at)
        return np.column_stack(np.unravel_index(path[::-1], self._shape))


def smoothed(places: np.ndarray) -> np.ndarray:
    """A path (n, 2) without its staircase: the mean of five places, fewer towards its ends, which stay."""
    if len(places) < 3:
        return places
    summed = np.concatenate([np.zeros((1, 2)), np.cumsum(places, axis=0)])
    at = np.arange(len(places))
    half = np.minimum(np.minimum(at, at[::-1]), SMOOTHING // 2)
    return (summed[at + half + 1] - summed[at - half]) / (2 * half + 1)[:, None]

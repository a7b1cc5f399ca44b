"""The grid that a person searches an area by, tile by tile, for what both network and manual mapping missed."""

from __future__ import annotations

import math

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS
from rasterio.crs import CRS as RasterioCRS

from engine.rasters import Grid, ground_pixel_size
from engine.vectors import PolygonLayer

MOST_TILES = 10_000
"""More are not looked through one by one; tiles are enlarged then."""
MOST_CANDIDATES = 1_000_000
"""Tiles of the rectangle around the area that are held against it."""


def tile_grid(area: NDArray[np.object_], crs: CRS, tile_size: float) -> tuple[PolygonLayer, float]:
    """The tiles that share ground with an area, row by row from its upper left corner, none visited.

    Parameters
    ----------
    area : (k,) polygons in map units of ``crs``
    crs : any, degrees too: a tile is ``tile_size`` metres wide and high in the middle of the area
    tile_size : metres

    Returns
    -------
    the layer ``tiles`` of a session, and the size of its tiles in metres: larger than asked for where there were more than
    :data:`MOST_TILES`
    """
    if not len(area):
        return _layer(np.empty(0, dtype=object), np.empty(0, np.intp), np.empty(0, np.intp), crs), tile_size
    whole = shapely.union_all(area)
    shapely.prepare(whole)
    left, bottom, right, top = shapely.bounds(whole)
    width, height = _metres_per_unit(crs, left, bottom, right, top)
    while True:
        (across, columns), (down, rows) = _fitted(right - left, tile_size / width), _fitted(top - bottom, tile_size / height)
        if columns * rows > MOST_CANDIDATES:
            tile_size *= 1.001 * math.sqrt(columns * rows / MOST_CANDIDATES)
            continue
        row, column = (index.ravel() for index in np.indices((rows, columns)))
        x, y = left + column * across, top - row * down
        boxes = shapely.box(x, y - down, x + across, y)
        met = shapely.intersects(whole, boxes) & ~shapely.touches(whole, boxes)
        if met.sum() <= MOST_TILES:
            return _layer(boxes[met], row[met], column[met], crs), tile_size
        tile_size *= max(1.05, math.sqrt(met.sum() / MOST_TILES))


def _fitted(extent: float, size: float) -> tuple[float, int]:
    """Size and number of the tiles along an extent; a little larger rather than one of almost nothing at the end."""
    count = max(1, math.ceil(extent / size - 0.01))
    return max(size, extent / count), count


def _metres_per_unit(crs: CRS, left: float, bottom: float, right: float, top: float) -> tuple[float, float]:
    """What a map unit measures on the ground to the east and to the north, in the middle of a rectangle, metres."""
    step = max(right - left, top - bottom) * 1e-3
    x, y = (left + right) / 2, (bottom + top) / 2
    pixel = Grid(RasterioCRS.from_wkt(crs.to_wkt()), Affine(step, 0, x - step / 2, 0, -step, y + step / 2), 1, 1)
    width, height = ground_pixel_size(pixel)
    return width / step, height / step


def _layer(boxes: NDArray[np.object_], row: NDArray[np.intp], column: NDArray[np.intp], crs: CRS) -> PolygonLayer:
    nothing = np.full(len(boxes), None, dtype=object)
    fields = {"row": row.astype(np.int32), "col": column.astype(np.int32), "visited_at": nothing, "visited_by": nothing}
    return PolygonLayer(boxes, crs, fields)

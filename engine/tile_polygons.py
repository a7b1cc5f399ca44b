"""One polygon per object per tile (Lin et al. 2024, section 3.4.2, step 3): traced, measured, written as they come."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS
from rasterio.features import rasterize, shapes

from engine.geodesy import geodesic_area
from engine.outputs import write_error
from engine.rasters import Grid
from engine.vectors import PolygonLayer, driver_for, read_polygons, reproject, write_layer

LAYER = "tile_polygons"
FIELDS = ("tile", "probability_mean", "probability_max", "area_m2", "coverage")
POLYGONS_IN_MEMORY = 1024


@dataclass(frozen=True)
class TileObjects:
    """The objects of one tile.

    ``tile`` its number in the plan, from 1; ``row``, ``column`` the raster's pixel in its upper left corner;
    ``polygons`` (n,) in pixels of the raster, x = columns, y = rows; ``pixels`` flat indices of the tile's pixels that
    belong to objects and ``owner`` which object, 0 to n-1, each belongs to; ``mean``, ``highest`` (n,) probability 0-1.
    """

    tile: int
    row: int
    column: int
    polygons: NDArray[np.object_]
    pixels: NDArray[np.int32]
    owner: NDArray[np.int32]
    mean: NDArray[np.float64]
    highest: NDArray[np.float64]

    def coverage(self, looked: NDArray[np.int64]) -> NDArray[np.float64]:
        """(n,) mean over each object's pixels of ``looked``, (tile, tile) number of tiles that looked at a pixel."""
        return _mean_per_owner(looked.ravel()[self.pixels], self.owner, len(self.polygons))


def trace_tile(probability: NDArray[np.float32], positive: NDArray[np.bool_], tile: int, row: int, column: int) -> TileObjects | None:
    """Outline the objects of a tile along pixel edges; pixels that touch at a corner alone belong to two objects.

    Parameters
    ----------
    probability : (rows, cols) 0-1
    positive : (rows, cols) True for pixels of rock glaciers
    tile, row, column : see :class:`TileObjects`

    Returns
    -------
    the objects, None when there are none

    Source
    ------
    Lin et al. (2024), section 3.4.2, step 3.
    """
    if not positive.any():
        return None
    outlines = [outline for outline, _ in shapes(positive.view(np.uint8), mask=positive, connectivity=4)]
    polygons = np.array([shapely.Polygon(rings[0], rings[1:]) for rings in (outline["coordinates"] for outline in outlines)])
    labels = rasterize(zip(outlines, range(1, len(outlines) + 1), strict=True), out_shape=positive.shape, dtype="int32").ravel()
    pixels = np.flatnonzero(labels).astype(np.int32)
    owner = labels[pixels] - 1
    values = probability.ravel()[pixels]
    in_order = np.argsort(owner, kind="stable")
    highest = np.maximum.reduceat(values[in_order], np.searchsorted(owner[in_order], np.arange(len(polygons)))).astype(np.float64)
    mean = _mean_per_owner(values, owner, len(polygons))
    placed = shapely.transform(polygons, lambda places: places + (column, row))
    return TileObjects(tile, row, column, placed, pixels, owner, mean, highest)


def _mean_per_owner(values: NDArray[np.generic], owner: NDArray[np.int32], owners: int) -> NDArray[np.float64]:
    return np.bincount(owner, values, minlength=owners) / np.bincount(owner, minlength=owners)


class TilePolygonFile:
    """The file of tile polygons on its way: polygons are written in batches, so memory does not grow with their number.

    Parameters
    ----------
    place : the file to make
    target : the name that it will have, for messages
    working : the grid whose pixels the polygons are measured in
    crs : of the file
    """

    def __init__(self, place: Path, target: str, working: Grid, crs: CRS) -> None:
        self._driver = driver_for(place)
        self._place, self._target = place, Path(target)
        self._streamed = place.with_suffix(".gpkg")  # not every format can be appended to
        self._working, self._crs = working, crs
        self._waiting: list[tuple[NDArray[np.generic], ...]] = []  # per tile: polygons and the values of FIELDS but the area
        self._waiting_count = 0
        self._exists = False
        self.count = 0

    def add(self, objects: TileObjects, coverage: NDArray[np.float64]) -> None:
        """Take in a tile's objects with the coverage of each."""
        tile = np.full(len(coverage), objects.tile, np.int64)
        self._waiting.append((objects.polygons, tile, objects.mean, objects.highest, coverage))
        self._waiting_count += len(coverage)
        self.count += len(coverage)
        if self._waiting_count >= POLYGONS_IN_MEMORY:
            self._write_waiting()

    def finish(self) -> None:
        """Complete the file; one without any polygon has its fields all the same."""
        if self._waiting or not self._exists:
            self._write_waiting()
        if self._driver != "GPKG":
            self._write(self._place, read_polygons(self._streamed, LAYER), self._driver)
            self._streamed.unlink()

    def _write_waiting(self) -> None:
        nothing = (np.empty(0, object), np.empty(0, np.int64), *[np.empty(0)] * 3)
        polygons, tile, mean, highest, coverage = (np.concatenate(parts) for parts in zip(nothing, *self._waiting, strict=True))
        on_map = _to_map(polygons, self._working.transform)
        outlines = reproject(on_map, CRS.from_wkt(self._working.crs.to_wkt()), self._crs)
        area = geodesic_area(outlines, self._crs)
        values = dict(zip(FIELDS, (tile, mean, highest, area, coverage), strict=True))
        self._write(self._streamed, PolygonLayer(outlines, self._crs, values), "GPKG")
        self._exists = True
        self._waiting, self._waiting_count = [], 0

    def _write(self, place: Path, layer: PolygonLayer, driver: str) -> None:
        try:
            write_layer(place, layer, LAYER, "Polygon", driver, append=self._exists and place == self._streamed)
        except OSError as error:  # told here: another output that is being written would take it for its own
            raise write_error(error, place, self._target) from error


def _to_map(polygons: NDArray[np.object_], transform: Affine) -> NDArray[np.object_]:
    a, b, c, d, e, f = transform[:6]
    return shapely.transform(polygons, lambda places: places @ np.array([[a, d], [b, e]]) + (c, f))

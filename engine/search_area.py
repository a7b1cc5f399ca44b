"""Where to look: the polygons of a mask on the pixels of a grid."""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from rasterio.features import rasterize

from engine.rasters import Grid
from engine.vectors import PolygonLayer, polygonal, reproject


class SearchArea:
    """The part of a mask that lies over a grid.

    Parameters
    ----------
    mask : polygons to look in, in any CRS; None: everywhere
    grid : whose pixels are asked about; a pixel is inside when its centre is
    """

    def __init__(self, mask: PolygonLayer | None, grid: Grid) -> None:
        self._grid = grid
        self._everywhere = mask is None
        self._polygons = np.empty(0, object) if mask is None else _near(mask, grid)
        self._tree = shapely.STRtree(self._polygons)

    def is_empty(self) -> bool:
        """True when there is nothing of the grid to look at."""
        return not self._everywhere and not len(self._on_rows(0, self._grid.height))

    def touches(self, row: int, rows: int) -> bool:
        """False when no pixel of these rows can be inside."""
        return self._everywhere or len(self._on_rows(row, rows)) > 0

    def inside(self, row: int, rows: int) -> NDArray[np.bool_]:
        """(rows, columns of the grid) True where to look."""
        shape = (rows, self._grid.width)
        here = self._on_rows(row, rows)
        if self._everywhere or not len(here):
            return np.full(shape, self._everywhere)
        transform = self._grid.transform @ self._grid.transform.translation(0, row)
        return rasterize(self._polygons[here], out_shape=shape, transform=transform, dtype="uint8").astype(bool)

    def _on_rows(self, row: int, rows: int) -> NDArray[np.intp]:
        corners = ((0, row), (self._grid.width, row), (self._grid.width, row + rows), (0, row + rows))
        footprint = shapely.Polygon([self._grid.transform @ corner for corner in corners])
        return np.sort(self._tree.query(footprint, predicate="intersects"))


def _near(mask: PolygonLayer, grid: Grid) -> NDArray[np.object_]:
    """The mask's polygons in the grid's CRS.

    They are clipped to the grid's surroundings before they are reprojected: a polygon that spans a hemisphere has no
    shape in the grid's zone.
    """
    grid_crs = CRS.from_wkt(grid.crs.to_wkt())
    to_mask = Transformer.from_crs(grid_crs, mask.crs, always_xy=True)
    left, bottom, right, top = to_mask.transform_bounds(*grid.bounds, densify_pts=21)
    if not np.isfinite([left, bottom, right, top]).all():
        return np.empty(0, object)
    margin = 0.1 * max(right - left, top - bottom)
    surroundings = shapely.box(left - margin, bottom - margin, right + margin, top + margin)
    clipped = shapely.intersection(mask.geometries, surroundings)
    kept = np.array([polygonal(geometry) for geometry in clipped[shapely.area(clipped) > 0]], dtype=object)
    return reproject(kept, mask.crs, grid_crs)

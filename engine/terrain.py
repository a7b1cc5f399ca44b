"""Elevation around outlines, in metres on the ground whatever the elevation model's own grid, and slope and aspect on it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS
from rasterio.crs import CRS as RasterioCRS
from rasterio.enums import Resampling
from rasterio.io import DatasetReader
from rasterio.warp import transform_bounds
from rasterio.windows import Window

from engine.rasters import Grid, ground_pixel_size, is_measured_in_metres, on_grid, read_observed

FLAT = 1e-6
"""Gradients below this, in metres a metre, have no direction."""


@dataclass(frozen=True)
class ElevationGrid:
    """Elevation on a north-up grid in metres: ``values`` (rows, cols) float64 metres, NaN where unknown; ``crs`` in metres."""

    values: NDArray[np.float64]
    transform: Affine
    crs: CRS

    @property
    def cell(self) -> tuple[float, float]:
        """Width and height of a cell in metres."""
        return self.transform.a, -self.transform.e

    def around(self, bounds: tuple[float, float, float, float], cells: int = 1) -> ElevationGrid:
        """The part that covers left, bottom, right, top in metres and some cells more on each side, as far as the grid goes."""
        top, bottom, left, right = covering_cells(self.transform, bounds, cells, self.values.shape)
        return ElevationGrid(self.values[top:bottom, left:right], self.transform @ Affine.translation(left, top), self.crs)


def covering_cells(
    transform: Affine, bounds: tuple[float, float, float, float], more: int, shape: tuple[int, ...]
) -> tuple[int, int, int, int]:
    """Rows from, to and columns from, to of a north-up grid that cover left, bottom, right, top, and ``more`` on each side.

    Where bounds and grid have nothing in common, the range is empty.
    """
    left, bottom, right, top = bounds
    columns = math.floor((left - transform.c) / transform.a) - more, math.ceil((right - transform.c) / transform.a) + more
    rows = math.floor((top - transform.f) / transform.e) - more, math.ceil((bottom - transform.f) / transform.e) + more
    first_row, end_row = (min(max(row, 0), shape[0]) for row in rows)
    first_column, end_column = (min(max(column, 0), shape[1]) for column in columns)
    return first_row, end_row, first_column, end_column


def elevation_around(
    dataset: DatasetReader,
    bounds: tuple[float, float, float, float],
    crs: CRS,
    margin_m: float = 0.0,
    resolution: float = 0.0,
) -> ElevationGrid | None:
    """Elevation around a place, read from the window of an open elevation model that is needed.

    As the model has it where its grid is north-up in ``crs``; resampled otherwise: cubic on cells of the same size or finer, the
    mean of the cells on coarser ones. Its first band counts, with the file's scale and
    offset; its unit is taken as metres.

    Parameters
    ----------
    bounds : left, bottom, right, top in map units of ``crs``
    crs : a CRS that measures in metres there, as :func:`engine.local_maps.local_maps` gives it
    margin_m : metres added on each side
    resolution : size of the cells in metres; 0 = as the model has them

    Returns
    -------
    None where the model knows no elevation there

    Raises
    ------
    EngineError
        ``truncated_file``, ``crs_unknown``, ``crs_place``.
    """
    left, bottom, right, top = bounds
    wanted = left - margin_m, bottom - margin_m, right + margin_m, top + margin_m
    own = Grid.of(dataset)
    target = RasterioCRS.from_wkt(crs.to_wkt())
    t = own.transform
    as_it_is = own.crs == target and t.b == 0 and t.d == 0 and t.a > 0 and t.e < 0 and not resolution > 1.01 * max(t.a, -t.e)
    if as_it_is:
        first_row, end_row, first_column, end_column = covering_cells(t, wanted, 0, (own.height, own.width))
        if first_row >= end_row or first_column >= end_column:
            return None
        window = Window(first_column, first_row, end_column - first_column, end_row - first_row)
        values = read_observed(dataset, [1], window)[0]
        place = t @ Affine.translation(first_column, first_row)
    else:
        grid = _grid_on(own, target, wanted, resolution)
        if grid is None:
            return None
        with on_grid(dataset, grid, finer=Resampling.cubic) as source:
            values = read_observed(source, [1])[0]
        place = grid.transform
    metres = values.astype(np.float64) * dataset.scales[0] + dataset.offsets[0]
    return ElevationGrid(metres, place, crs) if np.isfinite(values).any() else None


def cell_size(dataset: DatasetReader) -> float:
    """Side of a cell on the ground in metres, the mean of its width and height."""
    return math.sqrt(math.prod(ground_pixel_size(Grid.of(dataset))))


def _grid_on(own: Grid, crs: RasterioCRS, bounds: tuple[float, float, float, float], resolution: float) -> Grid | None:
    """Square cells over the part of ``bounds`` where the raster lies, at multiples of the cell's size, so that all windows share them."""
    there = transform_bounds(own.crs, crs, *own.bounds)
    if not np.isfinite(there).all():
        there = bounds
    left, bottom = max(bounds[0], there[0]), max(bounds[1], there[1])
    right, top = min(bounds[2], there[2]), min(bounds[3], there[3])
    if left >= right or bottom >= top:
        return None
    if own.crs == crs and is_measured_in_metres(own):
        t = own.transform
        size = math.sqrt(abs(t.determinant))
    else:
        size = math.sqrt(math.prod(ground_pixel_size(own)))
    cell = max(size, resolution)
    first_column, end_column = math.floor(left / cell), math.ceil(right / cell)
    first_row, end_row = math.floor(-top / cell), math.ceil(-bottom / cell)
    place = Affine(cell, 0, first_column * cell, 0, -cell, -first_row * cell)
    return Grid(crs, place, end_column - first_column, end_row - first_row)


def horn(elevation: ElevationGrid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Slope and aspect from the eight neighbours of each cell.

    Returns
    -------
    slope : (rows, cols) degrees, 0-90, NaN at the grid's edge and where the cell or a neighbour is unknown
    aspect : (rows, cols) degrees clockwise from the grid's north, 0-360, the direction that the slope faces; NaN also where flat

    Source
    ------
    Horn (1981), Hill shading and the reflectance map.
    """
    z = elevation.values
    slope, aspect = np.full(z.shape, np.nan), np.full(z.shape, np.nan)
    if min(z.shape) < 3:
        return slope, aspect
    width, height = elevation.cell
    column_sums = z[:-2] + 2 * z[1:-1] + z[2:]
    row_sums = z[:, :-2] + 2 * z[:, 1:-1] + z[:, 2:]
    to_east = (column_sums[:, 2:] - column_sums[:, :-2]) / (8 * width)
    to_north = (row_sums[:-2] - row_sums[2:]) / (8 * height)
    gradient = np.where(np.isfinite(z[1:-1, 1:-1]), np.hypot(to_east, to_north), np.nan)
    slope[1:-1, 1:-1] = np.degrees(np.arctan(gradient))
    aspect[1:-1, 1:-1] = np.where(gradient >= FLAT, np.degrees(np.arctan2(-to_east, -to_north)) % 360, np.nan)
    return slope, aspect

"""Statistics of a raster over outlines: every cell counts by the share of it that lies inside, small outlines as well as large ones."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS
from rasterio.io import DatasetReader
from rasterio.windows import Window

from engine.class_maps import placements
from engine.rasters import read_observed
from engine.reporting import Reporter

LEAST_KNOWN = 0.9
"""Share of an outline that has to be known for a statistic of it."""
TILE = 1024
"""Side, in cells, of the squares whose outlines are served by one reading of the raster."""


@dataclass(frozen=True)
class Shares:
    """The cells that an outline touches: ``rows``, ``columns`` (k,), the ``share`` of each that lies inside, (k,) 0-1, and ``beyond``:
    the area of the outline, in cells, that lies beyond the grid."""

    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    share: NDArray[np.float64]
    beyond: float

    def known_share(self, values: NDArray[np.floating]) -> float:
        """Share of the outline's area, 0-1, whose cells (values (k,), NaN where unknown) are known; 0 for an outline without area."""
        whole = self.share.sum() + self.beyond
        return float(self.share[np.isfinite(values)].sum() / whole) if whole > 0 else 0.0

    def enough_known(self, values: NDArray[np.floating]) -> bool:
        """Whether at least :data:`LEAST_KNOWN` of the outline is known."""
        return self.known_share(values) >= LEAST_KNOWN - 1e-9


def shares_of_cells(outline: shapely.Geometry, transform: Affine, shape: tuple[int, ...]) -> Shares:
    """The exact share of each cell of a grid that lies inside an outline.

    Along every row, the signed height of the boundary's pieces, summed from the left, is the share of the cells right of
    them: no cell is cut out of the outline one by one.

    Parameters
    ----------
    outline : Polygon or MultiPolygon in map units of the grid; cells are of any form, rotated ones too
    transform : pixel corner to map
    shape : rows, columns of the grid

    Source
    ------
    The accumulation of signed areas of outline font renderers, as in FreeType's smooth rasteriser.
    """
    on_cells = shapely.orient_polygons(shapely.transform(outline, lambda x, y: ~transform @ (x, y), interleaved=False))
    bounds = shapely.bounds(on_cells)
    if not np.isfinite(bounds).all():
        return Shares(np.empty(0, np.intp), np.empty(0, np.intp), np.empty(0), 0.0)
    left, top = np.floor(bounds[:2]).astype(int)
    right, bottom = np.maximum(np.ceil(bounds[2:]).astype(int), (left + 1, top + 1))
    column, row, width, height = _pieces(on_cells)
    share = np.zeros((bottom - top, right - left + 1))
    cell_row = np.minimum(np.floor(row).astype(int) - top, bottom - top - 1)
    cell_column = np.minimum(np.floor(column).astype(int) - left, right - left - 1)
    to_right = 1 - (column - (cell_column + left))
    np.add.at(share, (cell_row, cell_column), height * to_right)
    np.add.at(share, (cell_row, cell_column + 1), height * (1 - to_right))
    share = np.clip(np.abs(np.cumsum(share, axis=1)), 0, 1)[:, :-1]
    rows, columns = np.nonzero(share > 1e-9)
    shares = share[rows, columns]
    rows, columns = rows + top, columns + left
    there = (rows >= 0) & (rows < shape[0]) & (columns >= 0) & (columns < shape[1])
    return Shares(rows[there], columns[there], shares[there], float(shares[~there].sum()))


def _pieces(on_cells: shapely.Geometry) -> tuple[NDArray[np.float64], ...]:
    """The boundary cut where it crosses from cell to cell: middle column and row of each piece (p,), its width and signed height."""
    rings = shapely.get_rings(shapely.get_parts(on_cells))
    places, ring = shapely.get_coordinates(rings, return_index=True)
    same_ring = ring[1:] == ring[:-1]
    start, end = places[:-1][same_ring], places[1:][same_ring]
    cuts = [np.zeros(len(start)), np.ones(len(start))]
    owners = [np.arange(len(start))] * 2
    for axis in (0, 1):
        low, high = np.minimum(start[:, axis], end[:, axis]), np.maximum(start[:, axis], end[:, axis])
        first = np.floor(low).astype(int) + 1
        count = np.maximum(np.ceil(high).astype(int) - first, 0)
        owner = np.repeat(np.arange(len(start)), count)
        line = first[owner] + np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        cuts.append((line - start[owner, axis]) / (end[owner, axis] - start[owner, axis]))
        owners.append(owner)
    cut, owner = np.concatenate(cuts), np.concatenate(owners)
    order = np.lexsort((cut, owner))
    cut, owner = cut[order], owner[order]
    same = owner[1:] == owner[:-1]
    along, before, after = owner[1:][same], cut[:-1][same], cut[1:][same]
    step = end[along] - start[along]
    middle = start[along] + step * ((before + after) / 2)[:, None]
    size = step * (after - before)[:, None]
    return middle[:, 0], middle[:, 1], size[:, 0], size[:, 1]


def weighted_mean(values: NDArray[np.floating], share: NDArray[np.float64]) -> float:
    """Mean of values (k,) by their shares (k,), NaN left out; NaN where nothing is known."""
    known = np.isfinite(values) & (share > 0)
    return float(np.average(values[known], weights=share[known])) if known.any() else math.nan


def weighted_median(values: NDArray[np.floating], share: NDArray[np.float64]) -> float:
    """The value (of (k,), NaN left out) with half of the shares (k,) on either side; the middle of two where both qualify."""
    known = np.isfinite(values) & (share > 0)
    if not known.any():
        return math.nan
    order = np.argsort(values[known])
    sorted_values, up_to = values[known][order], np.cumsum(share[known][order])
    half = up_to[-1] / 2
    lower = np.searchsorted(up_to, half * (1 - 1e-12))
    upper = min(np.searchsorted(up_to, half * (1 + 1e-12), side="right"), len(up_to) - 1)
    return float((sorted_values[lower] + sorted_values[upper]) / 2)


def extremes(values: NDArray[np.floating], share: NDArray[np.float64]) -> tuple[float, float]:
    """Least and greatest of values (k,) of the cells that lie at least half inside; of all touched cells where none does."""
    known = np.isfinite(values) & (share > 0)
    if not known.any():
        return math.nan, math.nan
    mostly_inside = known & (share >= 0.5)
    counted = values[mostly_inside if mostly_inside.any() else known]
    return float(counted.min()), float(counted.max())


def circular_mean(degrees: NDArray[np.floating], share: NDArray[np.float64]) -> tuple[float, float]:
    """Mean direction of directions (k,), 0-360 degrees, NaN left out, and the resultant length 0-1 (1: all the same).

    NaN, NaN where nothing is known; the direction is NaN where the directions cancel out.
    """
    known = np.isfinite(degrees) & (share > 0)
    if not known.any():
        return math.nan, math.nan
    angle = np.radians(degrees[known])
    sine, cosine = (np.average(part, weights=share[known]) for part in (np.sin(angle), np.cos(angle)))
    resultant = min(math.hypot(sine, cosine), 1.0)
    return (math.degrees(math.atan2(sine, cosine)) % 360 if resultant > 1e-9 else math.nan), resultant


def by_place(bounds: NDArray[np.float64], side: float) -> Iterator[NDArray[np.intp]]:
    """Indices of things that lie in the same square of a side (in the units of bounds (n, 4)), square by square, row after row."""
    middles = (bounds[:, :2] + bounds[:, 2:]) / 2
    squares = np.floor((middles - middles.min(axis=0)) / side).astype(np.intp) if len(bounds) else np.empty((0, 2), np.intp)
    order = np.lexsort((squares[:, 0], squares[:, 1]))
    changes = np.flatnonzero((np.diff(squares[order], axis=0) != 0).any(axis=1)) + 1
    yield from (part for part in np.split(order, changes) if len(part))


def zonal_means(dataset: DatasetReader, outlines: NDArray[np.object_], crs: CRS, reporter: Reporter) -> NDArray[np.float64]:
    """Mean of a raster's first band over each outline, NaN where less than :data:`LEAST_KNOWN` of the outline is known.

    Parameters
    ----------
    outlines : (n,) Polygon or MultiPolygon in map units of ``crs``
    crs : of the outlines; the raster may have another one, and longitudes from -180 or from 0

    Returns
    -------
    (n,) in the unit of the raster, its scale and offset applied

    Raises
    ------
    EngineError
        ``truncated_file``; Cancelled.
    """
    total, weight, area = np.zeros(len(outlines)), np.zeros(len(outlines)), np.full(len(outlines), np.nan)
    done = 0
    for placed in placements(outlines, crs, CRS.from_wkt(dataset.crs.to_wkt())):
        on_cells = shapely.transform(placed, lambda x, y: ~dataset.transform @ (x, y), interleaved=False)
        area = np.fmax(area, shapely.area(on_cells))
        bounds = shapely.bounds(on_cells)
        limit = np.array([dataset.width, dataset.height] * 2)
        touching = (bounds[:, :2] < limit[:2]).all(axis=1) & (bounds[:, 2:] > 0).all(axis=1)
        for members in by_place(bounds[touching], TILE):
            indices = np.flatnonzero(touching)[members]
            for some in _readable_at_once(bounds, indices):
                around = np.concatenate([np.floor(bounds[some, :2].min(axis=0)), np.ceil(bounds[some, 2:].max(axis=0))])
                left, top, right, bottom = np.clip(around, 0, limit).astype(int).tolist()
                values = read_observed(dataset, [1], Window(left, top, right - left, bottom - top))[0].astype(np.float64)
                values = values * dataset.scales[0] + dataset.offsets[0]
                place = Affine.translation(left, top)
                for index in some:
                    if done % 250 == 0:
                        reporter.progress(min(done / len(outlines), 1.0) * 0.99)
                    done += 1
                    shares = shares_of_cells(on_cells[index], place, values.shape)
                    cells = values[shares.rows, shares.columns]
                    known = np.isfinite(cells)
                    total[index] += (cells[known] * shares.share[known]).sum()
                    weight[index] += shares.share[known].sum()
    enough = weight >= (LEAST_KNOWN - 1e-9) * np.nan_to_num(area)
    return np.where(enough & (weight > 0), total / np.where(weight > 0, weight, 1.0), np.nan)


def _readable_at_once(bounds: NDArray[np.float64], indices: NDArray[np.intp]) -> Iterator[NDArray[np.intp]]:
    """Outlines of one square: together, unless one of them reaches so far that it is better read alone."""
    wide = (bounds[indices, 2:] - bounds[indices, :2]).max(axis=1) > TILE
    if not wide.all():
        yield indices[~wide]
    for index in indices[wide]:
        yield np.array([index])

"""The fall line of an outline: the longest line downslope within it, from its roots to its front."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS
from rasterio.io import DatasetReader
from scipy.linalg import solveh_banded
from scipy.ndimage import distance_transform_edt, gaussian_filter, gaussian_filter1d, map_coordinates
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra

from engine.local_maps import local_maps
from engine.terrain import FLAT, ElevationGrid, cell_size, elevation_around

CELLS_PER_HALF_WIDTH = 3
ACROSS_HALF_WIDTHS = 2.0
MOST_CELLS = 40_000
"""Of the grid that a line is sought on: a share of the outline's half width, whatever the elevation model's cells are."""
POINTS = 64
"""Places on the boundary that may be the upper or the lower end."""
MOST_OBLIQUE = 60.0
"""Degrees off the fall direction from which on a line does not lead downslope any more."""
EQUALLY_GOOD = 0.05
REACH = 3
MOVES = np.array([(row, column) for row in range(-REACH, REACH + 1) for column in range(-REACH, REACH + 1) if math.gcd(row, column) == 1])
"""Of a line from cell to cell, in rows and columns."""


@dataclass(frozen=True)
class OnSlope:
    """``index`` of an outline among others, the ``outline`` and ``axis``, its fall line, in metres of ``crs``, the ``elevation`` around."""

    index: int
    crs: CRS
    outline: shapely.Polygon
    axis: shapely.LineString
    elevation: ElevationGrid


def on_slopes(outlines: NDArray[np.object_], crs: CRS, dem: DatasetReader) -> Iterator[OnSlope | None]:
    """Each outline (n,) Polygon in map units of ``crs`` with its fall line, in any order; None for one without.

    Parameters
    ----------
    dem : open elevation model, metres, in any CRS
    """
    margin = 3 * cell_size(dem)
    for indices, local, in_metres in local_maps(outlines, crs):
        for index, outline in zip(indices, in_metres, strict=True):
            elevation = elevation_around(dem, outline.bounds, local, margin + 2 * outline.area / outline.length)
            axis = None if elevation is None else fall_line(outline, elevation)
            yield None if elevation is None or axis is None else OnSlope(int(index), local, outline, axis, elevation)


def fall_line(outline: shapely.Polygon, elevation: ElevationGrid) -> shapely.LineString | None:
    """The longest line downslope within an outline, from its roots to its front.

    Lines of steepest descent themselves leave a rock glacier by its sides, or enter it there: its surface is convex or lies in a trough,
    its ridges run across. So the fall direction is taken from the surface smoothed by a Gaussian of the outline's area over its perimeter,
    half the width of a tongue, averaged across the outline, and integrated within it to a distance downslope: the function whose
    gradient comes closest to the unit vectors downslope. The two ends are the points of the boundary that lie farthest apart
    downslope, where the way between them counts against: a line more than 60 degrees off the fall direction gains nothing by going on.
    A tongue is thus measured along, a lobe across the contours. Between the ends runs the shortest line that keeps away from the sides;
    in a neck of less than a third of the half width it may run beside it.

    Parameters
    ----------
    outline : Polygon in metres, in the CRS of ``elevation``; holes are passed over; of a MultiPolygon's parts the largest counts
    elevation : covers the outline, better with its half width around it

    Returns
    -------
    line from the upper to the lower end, or None where the ground is flat or elevation unknown under half of the outline

    Source
    ------
    Least-cost line between upper and lower end: Kienholz et al. (2014), A new method for deriving glacier centerlines, section 3.
    """
    part = _largest_part(outline)
    half_width = part.area / part.length
    left, bottom, right, top = part.bounds
    cell = max(half_width / CELLS_PER_HALF_WIDTH, math.sqrt((right - left) * (top - bottom) / MOST_CELLS))
    x = np.arange(left - 0.5 * cell, right + 1.5 * cell, cell)
    y = np.arange(top + 0.5 * cell, bottom - 1.5 * cell, -cell)
    within = part.buffer(0.75 * cell)  # all cells that the outline touches, so that necks stay passable
    shapely.prepare(within)
    touched = shapely.contains_xy(within, *np.meshgrid(x, y))
    downslope = _downslope(elevation, x, y, half_width, touched)
    if downslope is None:
        return None
    distance = _distance_downslope(downslope, touched, cell)
    points = shapely.get_coordinates(shapely.line_interpolate_point(part.exterior, np.arange(POINTS) / POINTS, normalized=True))
    ends = _ends(points, distance, downslope, x, y, cell)
    if ends is None:
        return None
    upper, lower = ends
    return shapely.LineString(_central_path(points[upper], points[lower], touched, x, y, cell, half_width))


def _largest_part(outline: shapely.Geometry) -> shapely.Polygon:
    parts = shapely.get_parts(outline)
    return shapely.Polygon(parts[shapely.area(parts).argmax()].exterior)


def _downslope(
    elevation: ElevationGrid, x: NDArray[np.float64], y: NDArray[np.float64], sigma: float, touched: NDArray[np.bool_]
) -> NDArray[np.float64] | None:
    """Unit vectors downslope, (2, rows, cols) east and north, on a grid of its own; 0 where flat or unknown. None: unknown on most."""
    width, height = elevation.cell
    near = elevation.around((x[0], y[-1], x[-1], y[0]), cells=1 + math.ceil(2 * sigma / min(width, height)))
    known = np.isfinite(near.values)
    if min(known.shape) < 2 or not known.any():
        return None

    def smoothed(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(gaussian_filter(values, (sigma / height, sigma / width), mode="nearest", truncate=2.0))

    base = near.values[known].mean()
    surface = smoothed(np.where(known, near.values - base, 0.0))
    if not known.all():
        weight = smoothed(known.astype(np.float64))
        surface = np.where(weight > 1e-3, surface / np.maximum(weight, 1e-3), 0.0)
    to_south, to_east = np.gradient(surface, height, width)
    rows, columns = np.meshgrid((near.transform.f - y) / height - 0.5, (x - near.transform.c) / width - 0.5, indexing="ij")
    vectors = np.array([map_coordinates(part, (rows, columns), order=1, mode="nearest") for part in (-to_east, to_south)])
    is_known = map_coordinates(known.astype(np.float64), (rows, columns), order=1, mode="constant") > 0.5
    length = np.hypot(*vectors)
    usable = touched & is_known & (length >= FLAT)
    if usable.sum() < 0.5 * touched.sum():
        return None
    units = np.where(usable, vectors / np.where(usable, length, 1.0), 0.0)
    # averaged across the outline, what falls to one side and what falls to the other cancel out
    across = ACROSS_HALF_WIDTHS * sigma / (x[1] - x[0])
    mean = np.array([gaussian_filter(part, across, mode="constant", truncate=2.0) for part in units])
    length = np.hypot(*mean)
    return np.where(touched & (length > 0), mean / np.where(length > 0, length, 1.0), 0.0)


def _distance_downslope(downslope: NDArray[np.float64], touched: NDArray[np.bool_], cell: float) -> NDArray[np.float64]:
    """The function (rows, cols), metres, whose gradient is closest to the unit vectors downslope; NaN outside."""
    if touched.shape[1] > touched.shape[0]:  # neighbours in number are neighbours in place, the nearer the shorter the rows are
        east, north = downslope
        return _distance_downslope(np.array([-north.T, -east.T]), touched.T, cell).T
    count = int(touched.sum())
    number = np.full(touched.shape, -1)
    number[touched] = np.arange(count)
    beside, below = touched[:, :-1] & touched[:, 1:], touched[:-1] & touched[1:]
    start = np.concatenate([number[:, :-1][beside], number[:-1][below]])
    end = np.concatenate([number[:, 1:][beside], number[1:][below]])
    east, north = downslope
    rise = np.concatenate([(east[:, :-1] + east[:, 1:])[beside], -(north[:-1] + north[1:])[below]]) * cell / 2
    # the normal equations of all differences between neighbours, as bands; a little on the diagonal fixes the constant
    bands = np.zeros((int((end - start).max(initial=0)) + 1, count))
    bands[0] = np.bincount(start, minlength=count) + np.bincount(end, minlength=count) + 1e-9
    bands[end - start, start] = -1
    wanted = np.bincount(end, rise, minlength=count) - np.bincount(start, rise, minlength=count)
    distance = np.full(touched.shape, np.nan)
    distance[touched] = solveh_banded(bands, wanted, overwrite_ab=True, lower=True, check_finite=False)
    return distance


def _ends(
    points: NDArray[np.float64],
    distance: NDArray[np.float64],
    downslope: NDArray[np.float64],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    cell: float,
) -> tuple[int, int] | None:
    """Upper and lower end among points (k, 2) on the boundary; of ends that are equally good, those in the middle."""
    column, row = np.round((points[:, 0] - x[0]) / cell).astype(int), np.round((y[0] - points[:, 1]) / cell).astype(int)
    off_centre = np.array([points[:, 0] - x[column], points[:, 1] - y[row]])
    at = distance[row, column] + (downslope[:, row, column] * off_centre).sum(axis=0)
    apart = np.hypot(*(points[:, None] - points[None]).T)
    gain = (at[None] - at[:, None]) / math.cos(math.radians(MOST_OBLIQUE)) - apart
    gain[~np.isfinite(gain)] = -np.inf
    if not gain.max() > 0:
        return None
    uppers, lowers = np.nonzero(gain >= (1 - EQUALLY_GOOD) * gain.max())
    off = [((points[ends] - points[ends].mean(axis=0)) ** 2).sum(axis=1) for ends in (uppers, lowers)]
    best = np.argmin(off[0] + off[1])
    return int(uppers[best]), int(lowers[best])


def _central_path(
    start: NDArray[np.float64],
    end: NDArray[np.float64],
    touched: NDArray[np.bool_],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    cell: float,
    half_width: float,
) -> NDArray[np.float64]:
    """Places (k, 2) of the line between two points that is short and keeps away from the sides."""
    from_side = distance_transform_edt(np.pad(touched, 1))[1:-1, 1:-1] * cell
    cost = 1 + (half_width / np.maximum(from_side, cell)) ** 2
    first, last = ((int(np.round((y[0] - place[1]) / cell)), int(np.round((place[0] - x[0]) / cell))) for place in (start, end))
    rows, columns = _cheapest_path(cost, touched, first, last)
    path = np.column_stack([x[columns], y[rows]])
    path[0], path[-1] = start, end
    if len(path) < 3:
        return np.array([start, end])
    along = np.append(0, np.cumsum(np.hypot(*np.diff(path, axis=0).T)))
    at = np.linspace(0, along[-1], max(3, round(along[-1] / cell) + 1))
    even = np.column_stack([np.interp(at, along, path[:, 0]), np.interp(at, along, path[:, 1])])
    chord = start + (end - start) * (at / at[-1])[:, None]
    beyond = min(3 * CELLS_PER_HALF_WIDTH, len(at) - 1)
    sideways = np.pad(even - chord, ((beyond, beyond), (0, 0)), mode="reflect", reflect_type="odd")  # keeps the ends in place
    return np.asarray(chord + gaussian_filter1d(sideways, CELLS_PER_HALF_WIDTH, axis=0, truncate=3.0)[beyond : len(sideways) - beyond])


def _cheapest_path(
    cost: NDArray[np.float64], passable: NDArray[np.bool_], first: tuple[int, int], last: tuple[int, int]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns from the first to the last cell; moves in 32 directions, so that a slanting line is hardly longer than it is."""
    number = np.full(np.add(passable.shape, 2 * REACH), -1, dtype=np.int32)
    number[REACH:-REACH, REACH:-REACH][passable] = np.arange(passable.sum())
    rows, columns = np.nonzero(passable)
    ends = number[rows[:, None] + MOVES[:, 0] + REACH, columns[:, None] + MOVES[:, 1] + REACH]
    there = ends >= 0
    its_cost = cost[passable]
    weights = (its_cost[:, None] + its_cost[ends]) / 2 * np.hypot(*MOVES.T)
    first_move = np.append(0, np.cumsum(there.sum(axis=1))).astype(np.int32)
    moves = csr_matrix((weights[there], ends[there], first_move), shape=(len(rows), len(rows)))
    number = number[REACH:-REACH, REACH:-REACH]
    _, previous = dijkstra(moves, indices=number[first], return_predecessors=True)
    path = [number[last]]
    while path[-1] != number[first]:
        path.append(previous[path[-1]])
    return rows[path[::-1]], columns[path[::-1]]

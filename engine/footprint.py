"""Restricted footprints: the extended one without the talus of front and sides."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, map_coordinates

from engine.sections import UPSLOPE, sections
from engine.terrain import ElevationGrid

GENTLEST_TALUS = 14.0
"""Slope in degrees below which front and sides have no talus: relict ones are 20-30, active ones 30-40 degrees steep."""

LEAST_BREAK = 8.0
"""Degrees by which the talus is steeper than the surface above its edge."""

NEAREST_FIRST_M = (60.0, 120.0, 200.0)
"""Distances from the boundary within which a break is looked for, one after the other: ridges and furrows farther in bend the surface
too. The last is the talus of a front 100 m high."""

LEAST_SAMPLES = 10
"""Samples, two a cell, on a line across the margin: fewer do not tell a break."""

LEAST_TALUS, LEAST_SURFACE = 3, 4
"""Samples that talus and surface must have."""

FOOT_CELLS = 3
"""Cells that the outline may lie before the foot of the talus."""

AS_GOOD = 4.0
"""Times the squares that the best three pieces miss by, and that pieces with a talus may miss by: else the break is wishful."""

ELEVATION_NOISE_M = 0.1
"""No elevation model is better than this from cell to cell."""

FOUND_SHARE = 0.5
"""Share of front and sides along which a break must be found."""


def restricted_footprint(outline: shapely.Polygon, elevation: ElevationGrid, axis: shapely.LineString) -> shapely.Polygon | None:
    """The restricted footprint proposed for an extended one: its top surface, bounded by the slope break above the talus.

    From places a cell apart along front and sides, lines lead inward to half of the outline's width. Along each, elevation
    (averaged with the lines beside it) is fitted by three straight pieces: ground before the foot, talus, surface. The upper
    bend is the break where the talus is at least 14 degrees steep and 8 degrees steeper than the surface; the nearest counts.
    The strip up to the break, its width averaged along the boundary, is taken off. The upslope section stays, and so does
    boundary without talus.

    Elevation has to resolve the talus: cells of a third of its width, which is 20-60 m, or less.

    Parameters
    ----------
    outline : extended footprint in metres, in ``elevation.crs``
    elevation : around the outline
    axis : downslope line from roots to front, on the same map

    Returns
    -------
    within the outline, whose holes are filled; None where no slope break is found along half of front and sides

    Source
    ------
    The restricted outline of RGIK excludes front and lateral margins; the extended one includes them.
    """
    cell = math.sqrt(math.prod(elevation.cell))
    reach = min(outline.area / axis.length / 2, NEAREST_FIRST_M[-1])
    depth = np.arange(0.0, reach + cell / 4, cell / 2)
    places, inward = _stations(outline, axis, cell)
    if len(places) < 3 or len(depth) < LEAST_SAMPLES:
        return None
    heights = _elevation_at(elevation, places[:, None] + inward[:, None] * depth)
    aside = max(reach / cell / 4, 1.0)
    rise = _averaged(heights - heights[:, :1], aside, FOUND_SHARE)
    breaks = np.full(len(places), math.nan)
    for near in NEAREST_FIRST_M:
        samples = int(np.clip(2 * near / cell, LEAST_SAMPLES, len(depth)))
        sought = np.isnan(breaks)
        breaks[sought] = _breaks(rise[sought, :samples], depth[:samples], cell)
        if samples < len(depth):  # at the last possible place the talus may go on
            breaks[breaks >= depth[samples - 1 - LEAST_SURFACE]] = math.nan
    if np.isfinite(breaks).mean() < FOUND_SHARE:
        return None
    strip = np.nan_to_num(_averaged(breaks[:, None], aside, FOUND_SHARE)[:, 0])
    margin = strip > 0
    discs = shapely.buffer(shapely.points(places[margin].real, places[margin].imag), strip[margin])
    top = outline.difference(shapely.union_all(discs))
    rounded = top.buffer(-cell).buffer(2 * cell).buffer(-cell).simplify(cell / 20).intersection(outline)
    parts = [part for part in shapely.get_parts(shapely.get_parts([rounded])) if part.geom_type == "Polygon"]
    if not parts:
        return None
    return shapely.Polygon(max(parts, key=lambda part: part.area).exterior)


def _stations(outline: shapely.Polygon, axis: shapely.LineString, step: float) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
    """Places (k,) about ``step`` metres apart along front and sides, from one upslope corner to the other, and unit vectors inward."""
    ring = shapely.get_coordinates(outline.exterior) @ [1, 1j]
    passed = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(ring)))])
    count = max(8, round(passed[-1] / step))
    at = (np.arange(count) + 0.5) * passed[-1] / count
    section = sections(outline, axis)[np.searchsorted(passed, at, side="right") - 1]

    def on_ring(place: NDArray[np.float64]) -> NDArray[np.complex128]:
        return np.interp(place, passed, ring, period=passed[-1])

    start = int(np.flatnonzero(section == UPSLOPE)[0]) if (section == UPSLOPE).any() else 0
    order = np.roll(np.arange(count), -start)
    chosen = at[order[section[order] != UPSLOPE]]
    stretch = on_ring(chosen + 3 * step) - on_ring(chosen - 3 * step)
    inward = stretch / np.maximum(np.abs(stretch), 1e-9) * (1j if outline.exterior.is_ccw else -1j)
    return on_ring(chosen), inward


def _elevation_at(elevation: ElevationGrid, places: NDArray[np.complex128]) -> NDArray[np.float64]:
    """Metres at places of any shape, NaN where unknown."""
    columns, rows = ~elevation.transform @ (places.real, places.imag)
    return np.asarray(map_coordinates(elevation.values, (rows - 0.5, columns - 0.5), order=1, cval=math.nan), dtype=np.float64)


def _averaged(values: NDArray[np.float64], sigma: float, least: float) -> NDArray[np.float64]:
    """Values (stations, k) averaged along the stations; NaN where known ones have no more than ``least`` of the weight."""
    known = np.isfinite(values)
    weight = gaussian_filter1d(known.astype(np.float64), sigma, axis=0, mode="nearest")
    total = gaussian_filter1d(np.where(known, values, 0.0), sigma, axis=0, mode="nearest")
    return np.where(weight > least, total / np.maximum(weight, 1e-9), math.nan)


def _breaks(heights: NDArray[np.float64], depth: NDArray[np.float64], cell: float) -> NDArray[np.float64]:
    """Distance from the boundary of the upper edge of the talus, (stations,) metres, NaN where there is none.

    Parameters
    ----------
    heights : (stations, k) metres
    depth : (k,) metres inward
    """
    fits = _three_pieces(len(depth))
    known = np.flatnonzero(np.isfinite(heights).all(axis=1))
    measured = heights[known].T
    pieces = fits.solve @ measured
    misfit = (measured**2).sum(axis=0) - (pieces * (fits.normal @ pieces)).sum(axis=1)
    talus, surface = (np.degrees(np.arctan(pieces[:, number] / (cell / 2))) for number in (2, 3))
    too_bad = misfit > AS_GOOD * misfit.min(axis=0) + len(depth) * ELEVATION_NOISE_M**2
    misfit[too_bad | (talus < GENTLEST_TALUS) | (talus - surface < LEAST_BREAK)] = np.inf
    best = misfit.argmin(axis=0)
    there = np.isfinite(misfit[best, np.arange(len(known))])
    found = np.full(len(heights), math.nan)
    found[known[there]] = depth[fits.edge[best[there]]]
    return found


@dataclass(frozen=True)
class _Fits:
    """Least squares fits of three straight pieces to ``samples`` heights, for every place of the upper bend and the lower one.

    ``edge`` (fits,) sample of the upper bend; ``solve`` (fits, 4, samples): heights to start, and rise a sample of ground before the
    foot, talus, surface; ``normal`` (fits, 4, 4): such pieces to the sum of squares of the heights that they explain.
    """

    edge: NDArray[np.intp]
    solve: NDArray[np.float64]
    normal: NDArray[np.float64]


@lru_cache(maxsize=256)
def _three_pieces(samples: int) -> _Fits:
    bends = [(foot, edge) for foot in range(2 * FOOT_CELLS + 1) for edge in range(foot + LEAST_TALUS, samples - LEAST_SURFACE)]
    foot, edge = np.array(bends).T[:, :, None]
    at = np.arange(samples)[None]
    design = np.stack(
        [np.ones((len(bends), samples)), np.minimum(at, foot), np.clip(at - foot, 0, edge - foot), np.maximum(at - edge, 0)], axis=2
    )
    return _Fits(edge[:, 0], np.linalg.pinv(design), design.transpose(0, 2, 1) @ design)

"""How sure the network is of each outline: spread of the probability, areas that it bounds, sharpness of the boundary's sections."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from rasterio.features import rasterize
from rasterio.io import DatasetReader
from rasterio.windows import Window
from scipy.ndimage import distance_transform_edt, label, map_coordinates

from engine.errors import EngineError
from engine.geodesy import geodesic_area
from engine.local_maps import on_one_map
from engine.rasters import PASSPORT, WGS84, Grid, read_observed
from engine.reporting import Reporter
from engine.sections import SECTIONS
from engine.vectors import PolygonLayer

HIGH_WIDTH_PX, MEDIUM_WIDTH_PX = 2.0, 5.0
"""Widest belt between the two contours, in pixels, at which a section is reliable, and at which it is fairly so."""

STEP_PX = 0.25
"""Distance between samples across the boundary, pixels."""


def levels_around_threshold(probability: DatasetReader, lo: float, hi: float, reporter: Reporter) -> tuple[float, float]:
    """The levels (0-1) meant for a threshold of 0.5, brought to the threshold in the raster's passport (tag THRESHOLD).

    They keep their distance from it in log-odds. Unchanged where the passport names no threshold or 0.5; told otherwise.

    Raises
    ------
    EngineError
        ``uncertainty_levels`` unless 0 < hi < lo < 1.
    """
    if not 0 < hi < lo < 1:
        raise EngineError(
            "uncertainty_levels",
            f"The probability of the contour for the smaller area ({lo:g}) must be higher than that for the larger area ({hi:g}), "
            "both between 0 and 1.",
        )
    moved_lo, moved_hi = (level_around_threshold(probability, level) for level in (lo, hi))
    if (moved_lo, moved_hi) != (lo, hi):
        reporter.info(
            f"The outlines were cut at a probability of {threshold_of(probability):g}, not 0.5: the levels {lo:g} and {hi:g} of "
            f"area_lo_km2 and area_hi_km2 became {moved_lo:.3g} and {moved_hi:.3g}, as far from it in log-odds."
        )
    return moved_lo, moved_hi


def level_around_threshold(probability: DatasetReader, level: float) -> float:
    """A level (0-1) meant for a threshold of 0.5, as far in log-odds from that in the raster's passport; as it is where there is none."""
    threshold = threshold_of(probability)
    if threshold is None or threshold == 0.5:
        return level
    return 1 / (1 + math.exp(-math.log(level / (1 - level)) - math.log(threshold / (1 - threshold))))


def threshold_of(probability: DatasetReader) -> float | None:
    """The probability, between 0 and 1, at which Detect cut its polygons, from the raster's passport; None where it does not say."""
    try:
        threshold = float(probability.tags(ns=PASSPORT).get("THRESHOLD", ""))
    except ValueError:
        return None
    return threshold if 0 < threshold < 1 else None


def uncertainty(
    outlines: NDArray[np.object_],
    crs: CRS,
    probability: DatasetReader,
    levels: tuple[float, float],
    sections: Sequence[NDArray[np.int8] | None],
    reporter: Reporter,
) -> dict[str, NDArray[np.float64]]:
    """What the blended probability says about each outline.

    ``area_lo_km2`` is the share of the outline's pixels with a probability of at least ``lo``, of its area. ``area_hi_km2`` adds to
    its area the pixels of at least ``hi`` that hang together with it, are nearer to it than to any other outline, and are no
    farther from it than the radius of a circle of its area. So area_lo_km2 <= area <= area_hi_km2, and no ground counts twice.

    The reliability of a section is a proposal: 2 (high) where the belt between the two contours is at most 2 pixels wide, as sharp
    as a boundary can be in imagery of this pixel size; 1 (medium) up to 5 pixels; 0 (low) where it is wider or there is no contour
    within 5 pixels of the boundary. The width is the length that a line across the boundary has between the levels, the section's
    that of its median line. On 20 simulated scenes of 10 m, the boundary of outlines that lie on a rock glacier was 21 m (median)
    from the true boundary where the belt was at most 2 pixels wide, 36 m up to 5 pixels, and 62 m beyond.

    Parameters
    ----------
    outlines : (n,) Polygon in map units of ``crs``
    probability : open raster, its first band 0-1, NaN or nodata where not observed, in any CRS
    levels : lo, hi from :func:`levels_around_threshold`
    sections : (n,) of :func:`engine.sections.sections` for each outline's exterior, None where no axis is known

    Returns
    -------
    (n,) each, NaN where unknown: ``probability_mean``, ``probability_sd``, ``area_lo_km2``, ``area_hi_km2``,
    ``reliability_front``, ``reliability_left``, ``reliability_right``, ``reliability_upslope`` (0, 1, 2)

    Raises
    ------
    EngineError
        ``truncated_file``; Cancelled.
    """
    names = ["probability_mean", "probability_sd", "area_lo_km2", "area_hi_km2", *(f"reliability_{section}" for section in SECTIONS)]
    found = np.full((len(outlines), len(names)), np.nan)
    if len(outlines):
        area_km2 = geodesic_area(outlines, crs) / 1e6
        placed = on_pixels(outlines, crs, probability)
        sizes = _pixel_sizes(placed, probability)
        neighbourhood = _Neighbourhood(placed, shapely.STRtree(placed), probability, np.median(sizes, axis=0))
        for index in range(len(outlines)):
            if index % 64 == 0:
                reporter.progress(index / len(outlines), "uncertainty")
            surroundings = neighbourhood.around(index, area_km2[index] * 1e6)
            if surroundings is not None:
                found[index, :4] = surroundings.areas(levels, area_km2[index], np.prod(sizes[index]) / 1e6)
                found[index, 4:] = surroundings.reliability(levels, sections[index])
    return dict(zip(names, found.T, strict=True))


def on_pixels(outlines: NDArray[np.object_], crs: CRS, raster: DatasetReader) -> NDArray[np.object_]:
    """Outlines (n,) in columns and rows of a raster; empty where its CRS is not defined."""
    extent = shapely.box(*Grid.of(raster).bounds)
    here = PolygonLayer(np.array([extent], dtype=object), CRS.from_wkt(raster.crs.to_wkt()))
    turned, placed = on_one_map([here, PolygonLayer(outlines, crs)])
    shift = turned[0].bounds[0] - extent.bounds[0]
    placed = np.where(np.isfinite(shapely.bounds(placed)).all(axis=1), placed, shapely.Polygon())
    to_pixels = ~raster.transform
    return np.asarray(shapely.transform(placed, lambda x, y: to_pixels @ (x - shift, y), interleaved=False))


def _pixel_sizes(on_pixels: NDArray[np.object_], raster: DatasetReader) -> NDArray[np.float64]:
    """Width and height on the ground of a pixel in the middle of each outline, (n, 2) metres."""
    bounds = np.nan_to_num(shapely.bounds(on_pixels))
    column = np.clip((bounds[:, 0] + bounds[:, 2]) / 2, 0.5, raster.width - 0.5)
    row = np.clip((bounds[:, 1] + bounds[:, 3]) / 2, 0.5, raster.height - 0.5)
    to_degrees = Transformer.from_crs(CRS.from_wkt(raster.crs.to_wkt()), 4326, always_xy=True)

    def degrees(columns: NDArray[np.float64], rows: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return to_degrees.transform(*(raster.transform @ (columns, rows)))

    width = WGS84.inv(*degrees(column - 0.5, row), *degrees(column + 0.5, row))[2]
    height = WGS84.inv(*degrees(column, row - 0.5), *degrees(column, row + 0.5))[2]
    return np.column_stack([width, height])


@dataclass(frozen=True)
class _Neighbourhood:
    """All outlines on a raster's pixels; ``pixel`` (2,) metres, one size for all, so that two outlines agree on what lies between."""

    on_pixels: NDArray[np.object_]
    tree: shapely.STRtree
    raster: DatasetReader
    pixel: NDArray[np.float64]

    def around(self, index: int, area: float) -> _Surroundings | None:
        """What lies about an outline of ``area`` square metres, None where the raster does not reach."""
        outline = self.on_pixels[index]
        if outline.is_empty:
            return None
        radius = math.sqrt(area / math.pi)
        reach = np.maximum(np.ceil(radius / self.pixel), math.ceil(MEDIUM_WIDTH_PX) + 2)
        left, top, right, bottom = outline.bounds
        wide = shapely.box(left - 2 * reach[0], top - 2 * reach[1], right + 2 * reach[0], bottom + 2 * reach[1])
        others = self.tree.query(wide)
        others = others[others != index]
        margin = reach * (2 if len(others) else 1)
        columns = np.clip([math.floor(left - margin[0]), math.ceil(right + margin[0])], 0, self.raster.width)
        rows = np.clip([math.floor(top - margin[1]), math.ceil(bottom + margin[1])], 0, self.raster.height)
        if columns[0] >= columns[1] or rows[0] >= rows[1]:
            return None
        corner = (int(columns[0]), int(rows[0]))
        values = read_observed(self.raster, [1], Window(*corner, int(columns[1]) - corner[0], int(rows[1]) - corner[1]))[0]
        inside = _burnt([outline], [1], corner, values.shape) > 0
        if not inside.any():  # it lies between the centres of pixels
            inside = _burnt([outline], [1], corner, values.shape, all_touched=True) > 0
        owners = _burnt(self.on_pixels[others], others + 1, corner, values.shape) if len(others) else None
        return _Surroundings(index, outline, corner, values, inside, owners, radius, self.pixel)


def _burnt(
    outlines: Sequence[shapely.Polygon], numbers: Sequence[int], corner: tuple[int, int], shape: tuple[int, ...], all_touched: bool = False
) -> NDArray[np.int32]:
    pairs = [(outline, number) for outline, number in zip(outlines, numbers, strict=True) if not outline.is_empty]
    place = Affine.translation(*corner)
    burnt = rasterize(pairs, out_shape=shape, transform=place, dtype="int32", all_touched=all_touched) if pairs else np.zeros(shape)
    return np.asarray(burnt, dtype=np.int32)


@dataclass(frozen=True)
class _Surroundings:
    """Pixels in a window around an outline, (rows, cols) each.

    ``values`` probability, NaN where not observed; ``inside`` the outline; ``owners`` index + 1 of the other outlines, None when there
    are none. ``outline`` in columns and rows of the raster, ``corner`` those of the window's; ``radius`` metres that it reaches.
    """

    index: int
    outline: shapely.Polygon
    corner: tuple[int, int]
    values: NDArray[np.float32]
    inside: NDArray[np.bool_]
    owners: NDArray[np.int32] | None
    radius: float
    pixel: NDArray[np.float64]

    def areas(self, levels: tuple[float, float], area: float, pixel_area: float) -> tuple[float, float, float, float]:
        """Mean and standard deviation of the probability inside, lower and upper area in the unit of ``area`` and ``pixel_area``."""
        within = self.values[self.inside & np.isfinite(self.values)].astype(np.float64)
        if not len(within):
            return math.nan, math.nan, math.nan, math.nan
        lo, hi = levels
        return within.mean(), within.std(), area * float((within >= lo).mean()), area + pixel_area * int(self._beyond(hi).sum())

    def _beyond(self, hi: float) -> NDArray[np.bool_]:
        """Pixels outside the outline that count to its upper area."""
        beyond = (self.values >= hi) & ~self.inside
        if not beyond.any():
            return beyond
        sampling = self.pixel[::-1]
        distance = distance_transform_edt(~self.inside, sampling=sampling)
        beyond &= distance <= self.radius
        if self.owners is not None and self.owners.any():
            to_other, nearest = distance_transform_edt(self.owners == 0, sampling=sampling, return_indices=True)
            other = self.owners[tuple(nearest)] - 1
            beyond &= (distance < to_other) | ((distance == to_other) & (self.index < other))
        regions, _ = label(beyond | self.inside)
        return beyond & np.isin(regions, np.unique(regions[self.inside]))

    def reliability(self, levels: tuple[float, float], sections: NDArray[np.int8] | None) -> list[float]:
        """Of each of ``SECTIONS``: 0, 1, 2, NaN where unknown."""
        if sections is None:
            return [math.nan] * len(SECTIONS)
        width, segment = self._belt(levels)
        section = sections[segment]
        return [_reliability(width[section == number]) for number in range(len(SECTIONS))]

    def _belt(self, levels: tuple[float, float]) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
        """Width in pixels of the belt between the contours at places a pixel apart along the boundary, and the segment of each place.

        Infinite where a contour is farther than ``MEDIUM_WIDTH_PX`` from the boundary, NaN where not all was observed.
        """
        ring = shapely.get_coordinates(self.outline.exterior) @ [1, 1j]
        passed = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(ring)))])
        count = max(4, round(passed[-1]))
        at = (np.arange(count) + 0.5) * passed[-1] / count

        def on_ring(place: NDArray[np.float64]) -> NDArray[np.complex128]:
            return np.interp(place, passed, ring, period=passed[-1])

        stretch = on_ring(at + 2) - on_ring(at - 2)
        inward = stretch / np.maximum(np.abs(stretch), 1e-9) * (1j if self.outline.exterior.is_ccw else -1j)
        offsets = np.arange(-MEDIUM_WIDTH_PX, MEDIUM_WIDTH_PX + STEP_PX / 2, STEP_PX)
        places = on_ring(at)[:, None] + inward[:, None] * offsets
        at_centres = (places.imag - self.corner[1] - 0.5, places.real - self.corner[0] - 0.5)
        profile = map_coordinates(self.values, at_centres, order=1, cval=math.nan)
        lo, hi = levels
        width = STEP_PX * ((profile >= hi) & (profile < lo)).sum(axis=1)
        outer, inner = profile[:, offsets < 0], profile[:, offsets > 0]
        bounded = (inner >= lo).any(axis=1) & (outer < hi).any(axis=1)
        width = np.where(bounded, width, np.inf)
        width[np.isnan(profile).any(axis=1)] = np.nan
        return width, np.searchsorted(passed, at, side="right") - 1


def _reliability(width: NDArray[np.float64]) -> float:
    """0, 1 or 2 from the widths along a section, NaN where less than half of it is known."""
    known = width[~np.isnan(width)]
    if not len(width) or len(known) < len(width) / 2:
        return math.nan
    middle = float(np.quantile(known, 0.5, method="lower"))
    return 2.0 if middle <= HIGH_WIDTH_PX else 1.0 if middle <= MEDIUM_WIDTH_PX else 0.0

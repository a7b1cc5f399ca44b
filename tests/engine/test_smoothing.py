"""Smoothed boundaries: nearer to the truth, of the same area, with the same neighbours."""

from __future__ import annotations

import math

import numpy as np
import pytest
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.features import rasterize, shapes
from scipy import ndimage
from shapely import affinity

from engine.smoothing import AREA_TOLERANCE, pixel_size_of, smooth

PIXEL = 10.0
EAST, NORTH = 400_000.0, 4_000_000.0


def ellipse(long: float, short: float, turned: float) -> shapely.Polygon:
    circle = shapely.Point(0.0, 0.0).buffer(1.0, 64)
    return affinity.translate(affinity.rotate(affinity.scale(circle, long, short), turned), EAST + 3, NORTH + 4)


def traced(labels: NDArray[np.uint8], transform: Affine) -> NDArray[np.object_]:
    found = shapes(labels, mask=labels > 0, connectivity=4, transform=transform)
    return np.array([shapely.Polygon(rings["coordinates"][0], rings["coordinates"][1:]) for rings, _ in found], dtype=object)


def in_pixels(polygon: shapely.Polygon) -> shapely.Polygon:
    """The outline that follows the pixels with their centre in a polygon."""
    left, _, _, top = polygon.bounds
    transform = Affine(PIXEL, 0, PIXEL * (left // PIXEL - 1), 0, -PIXEL, PIXEL * (top // PIXEL + 2))
    mask = rasterize([polygon], out_shape=(200, 200), transform=transform, dtype="uint8")
    return max(traced(mask, transform), key=lambda outline: outline.area)


def mean_distance(outline: shapely.Polygon, truth: shapely.Polygon) -> float:
    places = shapely.points(shapely.get_coordinates(outline.exterior.segmentize(1.0)))
    return float(shapely.distance(places, truth.exterior).mean())


def turning(outline: shapely.Polygon) -> float:
    """Full circles that the boundary turns by in all: 1 for a convex one."""
    edges = np.diff(shapely.get_coordinates(outline.exterior) @ [1, 1j])
    return float(np.abs(np.angle(np.roll(edges, -1) / edges)).sum() / (2 * math.pi))


def smooth_one(outline: shapely.Polygon, tolerance: float = PIXEL) -> shapely.Polygon:
    smoothed, changed = smooth(np.array([outline], dtype=object), tolerance)
    assert changed.all()
    return smoothed[0]


@pytest.mark.parametrize(("long", "short", "turned"), [(300, 100, 20), (120, 60, 75), (250, 250, 0), (500, 80, 45), (90, 50, 10)])
def test_an_ellipse_in_pixels_comes_closer_to_the_ellipse(long: float, short: float, turned: float) -> None:
    truth = ellipse(long, short, turned)
    raw = in_pixels(truth)
    smoothed = smooth_one(raw)
    assert smoothed.area == pytest.approx(raw.area, rel=1e-6)
    assert mean_distance(smoothed, truth) < 0.7 * mean_distance(raw, truth)
    assert turning(raw) > 5
    assert turning(smoothed) < 1.6
    assert smoothed.hausdorff_distance(raw) < 1.5 * PIXEL


def test_a_long_straight_run_stays_straight() -> None:
    """As along the border of a tile."""
    raw = in_pixels(ellipse(600, 300, 0)).intersection(shapely.box(EAST - 2000, NORTH, EAST + 2000, NORTH + 2000))
    smoothed = smooth_one(raw)
    along = shapely.box(EAST - 450, NORTH - 50, EAST + 450, NORTH + 50)
    north = shapely.get_coordinates(smoothed.exterior.segmentize(5).intersection(along))[:, 1]
    assert np.ptp(north) < 0.01
    assert abs(north - NORTH).max() < 0.1 * PIXEL


def test_two_touching_outlines_keep_one_border() -> None:
    columns, rows = np.meshgrid(np.arange(60), np.arange(60))
    inside = (columns - 30) ** 2 + (rows - 30) ** 2 < 25**2
    labels = (inside * (1 + (columns + 0.4 * rows > 42))).astype(np.uint8)
    raw = traced(labels, Affine(PIXEL, 0, EAST, 0, -PIXEL, NORTH))
    smoothed, changed = smooth(raw, PIXEL)
    border, raw_border = shapely.intersection(*smoothed), shapely.intersection(*raw)
    assert len(raw) == 2 and changed.all()
    assert shapely.touches(*smoothed)
    assert 0.6 * raw_border.length < border.length < raw_border.length  # without the steps it is shorter
    ends = shapely.boundary(shapely.line_merge(border))
    assert ends.hausdorff_distance(shapely.boundary(shapely.line_merge(raw_border))) < 1e-2
    np.testing.assert_allclose(shapely.area(smoothed), shapely.area(raw), rtol=1e-6)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_patchwork_stays_a_patchwork(seed: int) -> None:
    """Hundreds of outlines that touch along edges and in corners, with holes, down to one pixel."""
    field = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal((60, 60)), 1 + seed)
    labels = np.digitize(field, np.quantile(field, [0.4, 0.6, 0.8])).astype(np.uint8)
    raw = traced(labels, Affine(PIXEL, 0, EAST, 0, -PIXEL, NORTH))
    smoothed, _ = smooth(raw, PIXEL)
    assert shapely.is_valid(smoothed).all()
    assert (shapely.get_type_id(smoothed) == shapely.GeometryType.POLYGON).all()
    np.testing.assert_allclose(shapely.area(smoothed), shapely.area(raw), rtol=AREA_TOLERANCE)
    np.testing.assert_array_equal(shapely.get_num_interior_rings(smoothed), shapely.get_num_interior_rings(raw))
    first, second = shapely.STRtree(smoothed).query(smoothed)
    assert shapely.area(shapely.intersection(smoothed[first], smoothed[second]))[first < second].sum() < 0.01
    assert shapely.area(shapely.union_all(smoothed, grid_size=0.001)) == pytest.approx(shapely.area(raw).sum(), rel=1e-4)


def test_holes_are_kept_and_an_outline_in_a_hole_fills_it_still() -> None:
    outer, inner = in_pixels(ellipse(400, 300, 30)), in_pixels(ellipse(150, 90, 60))
    raw = np.array([outer.difference(inner), inner], dtype=object)
    smoothed, _ = smooth(raw, PIXEL)
    assert shapely.get_num_interior_rings(smoothed[0]) == 1
    assert shapely.equals(shapely.Polygon(smoothed[0].interiors[0]), smoothed[1])
    np.testing.assert_allclose(shapely.area(smoothed), shapely.area(raw), rtol=1e-6)


@pytest.mark.parametrize(("columns", "rows"), [(1, 1), (2, 1), (2, 2), (7, 1)])
def test_an_outline_of_few_pixels_survives(columns: int, rows: int) -> None:
    raw = shapely.box(EAST, NORTH, EAST + columns * PIXEL, NORTH + rows * PIXEL)
    smoothed, _ = smooth(np.array([raw], dtype=object), PIXEL)
    assert smoothed[0].is_valid
    assert smoothed[0].area == pytest.approx(raw.area, rel=AREA_TOLERANCE)


def test_an_outline_that_does_not_bear_the_tolerance_stays_raw_and_says_so() -> None:
    small, large = shapely.box(EAST, NORTH, EAST + 10, NORTH + 10), in_pixels(ellipse(900, 900, 0))
    smoothed, changed = smooth(np.array([small, large], dtype=object), 500.0)
    assert not changed[0]
    assert shapely.equals(smoothed[0], small)


def test_overlapping_outlines_are_smoothed_each_for_itself() -> None:
    raw = np.array([in_pixels(ellipse(300, 100, 20)), in_pixels(ellipse(300, 100, 60))], dtype=object)
    smoothed, changed = smooth(raw, PIXEL)
    assert changed.all()
    for index in range(2):
        assert shapely.equals(smoothed[index], smooth_one(raw[index]))


@pytest.mark.parametrize("tolerance", [0.0, math.nan])
def test_without_a_tolerance_nothing_changes(tolerance: float) -> None:
    raw = np.array([in_pixels(ellipse(100, 50, 0))], dtype=object)
    smoothed, changed = smooth(raw, tolerance)
    assert smoothed[0] == raw[0]
    assert not changed.any()


def test_no_outlines() -> None:
    smoothed, changed = smooth(np.empty(0, dtype=object), PIXEL)
    assert len(smoothed) == len(changed) == 0
    assert math.isnan(pixel_size_of(smoothed))


@pytest.mark.parametrize(
    ("outline", "expected"),
    [
        pytest.param(in_pixels(ellipse(300, 100, 20)), 10.0, id="pixels of 10 m"),
        pytest.param(affinity.rotate(in_pixels(ellipse(300, 100, 20)), 12.3), 10.0, id="on a rotated map"),
        pytest.param(affinity.scale(in_pixels(ellipse(300, 100, 20)), 2.0, 3.0), 25.0, id="pixels of 20 m by 30 m"),
        pytest.param(ellipse(300, 100, 20), math.nan, id="drawn"),
        pytest.param(smooth_one(in_pixels(ellipse(300, 100, 20))), math.nan, id="smoothed"),
    ],
)
def test_pixel_size(outline: shapely.Polygon, expected: float) -> None:
    assert pixel_size_of(np.array([outline], dtype=object)) == pytest.approx(expected, nan_ok=True)

"""Fall lines of outlines on surfaces where a person knows where they run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import shapely
from affine import Affine, identity
from pyproj import CRS

from engine.fall_line import fall_line
from engine.terrain import ElevationGrid

UTM = CRS.from_epsg(32645)


def surface(height: Callable[[Any, Any], Any], cell: float = 10.0, reach: float = 1000.0) -> ElevationGrid:
    """Elevation (metres) as a function of x and y, around the origin."""
    count = round(2 * reach / cell)
    columns, rows = np.meshgrid(np.arange(count) + 0.5, np.arange(count) + 0.5)
    return ElevationGrid(height(columns * cell - reach, reach - rows * cell), Affine(cell, 0, -reach, 0, -cell, reach), UTM)


def ellipse(width: float, height: float, turned: float = 0.0) -> shapely.Polygon:
    circle = shapely.Point(0, 0).buffer(0.5, quad_segs=32)
    return shapely.affinity.rotate(shapely.affinity.scale(circle, width, height), -turned)


TO_SOUTH = surface(lambda x, y: 5000 + 0.3 * y)


def test_along_a_tongue():
    line = fall_line(ellipse(200, 800), TO_SOUTH)
    assert line.length == pytest.approx(800, rel=0.01)
    assert np.allclose(line.coords[0], (0, 400), atol=20) and np.allclose(line.coords[-1], (0, -400), atol=20)


def test_across_the_contours_of_a_lobe():
    line = fall_line(ellipse(800, 200), TO_SOUTH)
    assert line.length == pytest.approx(200, rel=0.05)
    assert abs(line.coords[0][0] - line.coords[-1][0]) < 40 and line.coords[0][1] > line.coords[-1][1]


@pytest.mark.parametrize("turned", range(0, 360, 40))
def test_any_direction(turned):
    angle = np.radians(turned)
    slope = surface(lambda x, y: 5000 - 0.3 * (x * np.sin(angle) + y * np.cos(angle)))
    assert fall_line(ellipse(200, 800, turned), slope).length == pytest.approx(800, rel=0.015)
    assert fall_line(ellipse(200, 800, turned + 20), slope).length == pytest.approx(800, rel=0.05)


def test_around_a_bend():
    ring = shapely.difference(shapely.Point(0, 0).buffer(600, quad_segs=32), shapely.Point(0, 0).buffer(400, quad_segs=32))
    quarter = shapely.intersection(ring, shapely.box(0, 0, 1000, 1000))
    down_the_ring = surface(lambda x, y: 5000 + 100 * np.arctan2(y, x))
    line = fall_line(quarter, down_the_ring)
    assert line.length == pytest.approx(500 * np.pi / 2, rel=0.05)
    assert shapely.hausdorff_distance(line, shapely.intersection(shapely.Point(0, 0).buffer(500).exterior, quarter)) < 60


@pytest.mark.parametrize(
    "height",
    [
        lambda x, y: 5000 + 0.3 * y - 20 * (x / 100) ** 2,
        lambda x, y: 5000 + 0.3 * y + 20 * (x / 100) ** 2,
        lambda x, y: 5000 + 0.15 * y + 60 * (x / 100) ** 2,
        lambda x, y: 5000 + 0.3 * y - 40 * np.exp(-(x**2 + y**2) / 50**2),
        lambda x, y: 5000 + 0.3 * y + 4 * np.sin(y / 8),
    ],
    ids=["a convex surface", "a concave one", "a deep trough", "a hollow", "ridges and furrows"],
)
def test_what_a_rock_glacier_has_on_it_does_not_lead_astray(height):
    line = fall_line(ellipse(200, 800), surface(height))
    assert line.length == pytest.approx(800, rel=0.03)
    assert line.coords[0][1] > 350 and line.coords[-1][1] < -350


@pytest.mark.parametrize("cell", [2.0, 10.0, 30.0, 90.0])
def test_cells_of_any_size(cell):
    slope = surface(lambda x, y: 5000 + 0.3 * y, cell=cell, reach=540)
    assert fall_line(ellipse(120, 400), slope).length == pytest.approx(400, rel=0.02)


def test_inside_an_outline_with_necks_and_corners():
    blocks = shapely.union_all([shapely.box(-100, 100, 100, 400), shapely.box(-2, -100, 2, 100), shapely.box(-100, -400, 100, -100)])
    line = fall_line(blocks, TO_SOUTH)
    assert line.length > 700
    assert shapely.covers(blocks.buffer(blocks.area / blocks.length / 2), line)


def test_holes_are_passed_over_and_the_largest_part_counts():
    holed = shapely.difference(ellipse(200, 800), shapely.Point(0, 0).buffer(60))
    parts = shapely.MultiPolygon([holed, shapely.box(500, 0, 600, 100)])
    assert fall_line(parts, TO_SOUTH).length == pytest.approx(800, rel=0.02)


@pytest.mark.parametrize(
    "elevation",
    [
        surface(lambda x, y: np.full(x.shape, 5000.0)),
        surface(lambda x, y: np.full(x.shape, np.nan)),
        surface(lambda x, y: np.where(x > -30, np.nan, y)),
        ElevationGrid(np.ones((3, 3)), identity, UTM),
        ElevationGrid(np.empty((0, 0)), identity, UTM),
    ],
    ids=["flat", "unknown", "mostly unknown", "elsewhere", "no cell"],
)
def test_no_line_where_nothing_leads_down(elevation):
    assert fall_line(ellipse(200, 800, turned=1), elevation) is None


def test_a_few_unknown_cells_do_no_harm():
    holed = surface(lambda x, y: np.where(np.hypot(x, y - 100) < 40, np.nan, 5000 + 0.3 * y))
    assert fall_line(ellipse(200, 800), holed).length == pytest.approx(800, rel=0.02)

"""Restricted footprints of bodies whose talus is known."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS

from engine.fall_line import fall_line
from engine.footprint import restricted_footprint
from engine.terrain import ElevationGrid, horn
from model.simulator import simulate

UTM = CRS.from_epsg(32645)
LONG, WIDE = 600.0, 300.0
BODY = shapely.box(0, 0, LONG, WIDE)
AXIS = shapely.LineString([(5, WIDE / 2), (LONG - 5, WIDE / 2)])
Field = NDArray[np.float64]


def grid(height: Callable[[Field, Field], Field], cell: float = 10.0) -> ElevationGrid:
    """Elevation 200 m around the body, from east and north of the cells' centres."""
    columns, rows = int((LONG + 400) / cell), int((WIDE + 400) / cell)
    transform = Affine(cell, 0, -200, 0, -cell, WIDE + 200)
    column, row = np.meshgrid(np.arange(columns) + 0.5, np.arange(rows) + 0.5)
    return ElevationGrid(height(-200 + column * cell, WIDE + 200 - row * cell), transform, UTM)


def bevelled(rim: float, steep: float = 32.0, valley: float = 8.0) -> Callable[[Field, Field], Field]:
    """A valley that falls east, and on it a body with a talus ``rim`` metres wide along front and sides."""

    def height(x: Field, y: Field) -> Field:
        inward = np.minimum(np.minimum(LONG - x, y), WIDE - y)
        return 5000 - np.tan(np.radians(valley)) * x + np.tan(np.radians(steep)) * np.clip(inward, 0, rim) * (x > 0)

    return height


def distance_from_edge(found: shapely.Polygon, rim: float) -> float:
    """Mean distance of the footprint's boundary from the upper edge of the talus, away from the roots."""
    true = shapely.box(-100, rim, LONG - rim, WIDE - rim).exterior
    places = shapely.get_coordinates(found.exterior.segmentize(2))
    return float(shapely.distance(shapely.points(places[places[:, 0] > 80]), true).mean())


@pytest.mark.parametrize(("rim", "cell"), [(30, 10), (40, 10), (60, 10), (100, 10), (20, 5), (40, 2), (90, 30)])
def test_the_break_of_a_bevelled_rim_is_found(rim: float, cell: float) -> None:
    found = restricted_footprint(BODY, grid(bevelled(rim), cell), AXIS)
    assert found is not None
    assert distance_from_edge(found, rim) < 0.6 * cell + 1
    assert found.area == pytest.approx((LONG - rim) * (WIDE - 2 * rim), rel=0.05)


def test_the_upslope_section_stays() -> None:
    found = restricted_footprint(BODY, grid(bevelled(40)), AXIS)
    assert found is not None
    assert found.intersection(shapely.LineString([(0, 60), (0, WIDE - 60)])).length == pytest.approx(WIDE - 120, abs=25)


def test_it_lies_within_the_outline_without_holes() -> None:
    holed = BODY.difference(shapely.box(200, 140, 220, 160))
    found = restricted_footprint(holed, grid(bevelled(40)), AXIS)
    assert found is not None
    assert found.is_valid
    assert found.within(BODY.buffer(1e-6))
    assert len(found.interiors) == 0
    assert found.contains(shapely.Point(210, 150))


def test_ridges_and_furrows_on_the_surface_do_not_count() -> None:
    def ridged(x: Field, y: Field) -> Field:
        inward = np.minimum(np.minimum(LONG - x, y), WIDE - y)
        return bevelled(40)(x, y) + np.where(inward > 50, 2.0 * np.sin(x / 7), 0.0)

    found = restricted_footprint(BODY, grid(ridged, 5), AXIS)
    assert found is not None
    assert distance_from_edge(found, 40) < 8


def test_an_outline_drawn_two_cells_before_the_foot() -> None:
    found = restricted_footprint(BODY.buffer(20, join_style="mitre"), grid(bevelled(40)), AXIS)
    assert found is not None
    assert distance_from_edge(found, 40) < 6


def test_a_side_without_talus_stays() -> None:
    """As where a rock glacier leans on the slope in the north."""

    def leaning(x: Field, y: Field) -> Field:
        inward = np.minimum(LONG - x, y)
        return 5000 - np.tan(np.radians(8)) * x + np.tan(np.radians(32)) * np.clip(inward, 0, 40) * (x > 0)

    found = restricted_footprint(BODY, grid(leaning), AXIS)
    assert found is not None
    north = shapely.LineString([(150, WIDE), (LONG - 150, WIDE)])
    assert north.intersection(found.buffer(0.1)).length == pytest.approx(north.length)
    assert found.distance(shapely.LineString([(150, 0), (LONG - 150, 0)])) > 30


@pytest.mark.parametrize(
    "elevation",
    [
        pytest.param(grid(bevelled(0)), id="no talus"),
        pytest.param(grid(bevelled(40, steep=10)), id="gentle rim"),
        pytest.param(grid(bevelled(40), cell=60), id="cells wider than the talus"),
        pytest.param(grid(lambda x, y: np.full_like(x, math.nan)), id="elevation unknown"),
        pytest.param(grid(lambda x, y: np.where(y > 60, np.nan, bevelled(40)(x, y))), id="elevation known for a side alone"),
        pytest.param(grid(lambda x, y: 5000 - 0.6 * x), id="a straight slope"),
    ],
)
def test_no_break_no_proposal(elevation: ElevationGrid) -> None:
    assert restricted_footprint(BODY, elevation, AXIS) is None


def test_an_outline_too_small_for_the_cells_has_no_proposal() -> None:
    small = shapely.box(0, 0, 60, 30)
    assert restricted_footprint(small, grid(bevelled(40)), shapely.LineString([(5, 15), (55, 15)])) is None


def test_what_is_taken_off_simulated_rock_glaciers_is_their_steep_rim() -> None:
    scene = simulate(91001, 256, 256, rock_glacier_share=0.15)
    elevation = ElevationGrid(scene.elevation.astype(np.float64), scene.transform, CRS.from_wkt(scene.crs.to_wkt()))
    slope, _ = horn(elevation)
    column, row = np.meshgrid(np.arange(256) + 0.5, np.arange(256) + 0.5)
    east, north = scene.transform @ (column, row)
    steeper = []
    for rock_glacier in scene.rock_glaciers:
        axis = fall_line(rock_glacier.outline, elevation)
        found = restricted_footprint(rock_glacier.outline, elevation, axis) if axis else None
        if found is not None:
            rim, surface = (np.nanmean(slope[shapely.contains_xy(part, east, north)]) for part in (rock_glacier.outline - found, found))
            steeper.append(rim - surface)
    assert len(steeper) >= 3
    assert np.median(steeper) > 6

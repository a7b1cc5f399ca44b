"""Outlines anywhere on a map in metres, and several layers on one map."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from pyproj import CRS

from engine.local_maps import keeps_its_area, local_maps, on_one_map
from engine.vectors import PolygonLayer

DEGREES = CRS.from_epsg(4326)
SQUARE_90_E = shapely.box(90.001, 30, 90.002, 30.001)
SQUARE_84_W = shapely.box(-84.002, -30, -84.001, -29.999)


def layer(*geometries: shapely.Geometry, crs: CRS = DEGREES) -> PolygonLayer:
    return PolygonLayer(np.array(geometries, dtype=object), crs)


def test_every_outline_comes_once_in_metres() -> None:
    outlines = np.array([SQUARE_90_E, SQUARE_84_W, shapely.box(89.999, 30, 90.001, 30.001)], dtype=object)
    groups = list(local_maps(outlines, DEGREES))
    assert sorted(np.concatenate([indices for indices, _, _ in groups])) == [0, 1, 2]
    codes = {index: crs.to_epsg() for indices, crs, _ in groups for index in indices}
    assert (codes[0], codes[1]) == (32646, 32716)
    areas = {index: shape.area for indices, _, shapes in groups for index, shape in zip(indices, shapes, strict=True)}
    metres_per_degree = 111_320 * np.cos(np.radians(30)), 110_850
    assert areas[0] == pytest.approx(1e-6 * np.prod(metres_per_degree), rel=5e-3)
    assert areas[2] == pytest.approx(2e-6 * np.prod(metres_per_degree), rel=5e-3)


def test_a_map_in_metres_stays() -> None:
    outlines = np.array([shapely.box(500_000, 3_000_000, 500_100, 3_000_100)], dtype=object)
    ((indices, crs, shapes),) = local_maps(outlines, CRS.from_epsg(32645))
    assert (list(indices), crs.to_epsg()) == ([0], 32645)
    assert shapes[0].equals(outlines[0])


@pytest.mark.parametrize("code", [3857, 2227, 8857], ids=["Web Mercator", "feet", "equal area, sheared"])
def test_a_map_that_does_not_measure_in_metres_does_not(code: int) -> None:
    crs = CRS.from_epsg(code)
    outlines = layer(shapely.box(-121.001, 38, -121, 38.001)).in_crs(crs).geometries
    ((_, local, shapes),) = local_maps(outlines, crs)
    assert local.to_epsg() == 32610
    assert shapes[0].area == pytest.approx(111_320 * np.cos(np.radians(38)) * 111_000 * 1e-6, rel=5e-3)


def test_nothing_in_nothing_out() -> None:
    assert not list(local_maps(np.empty(0, dtype=object), DEGREES))


def test_an_outline_across_the_antimeridian_is_whole() -> None:
    crossing = shapely.Polygon([(179.999, 60), (-179.999, 60), (-179.999, 60.001), (179.999, 60.001)])
    beyond = shapely.box(180.0, 60, 180.002, 60.001)
    cut = shapely.MultiPolygon([shapely.box(179.999, 60, 180, 60.001), shapely.box(-180, 60, -179.999, 60.001)])
    one, two, three = on_one_map([layer(crossing), layer(beyond), layer(cut)])
    assert one[0].area == pytest.approx(2e-6)
    assert one[0].intersection(two[0]).area == pytest.approx(1e-6)
    assert one[0].symmetric_difference(three[0]).area == pytest.approx(0, abs=1e-12)


def test_layers_that_count_from_minus_180_and_from_0_meet() -> None:
    west = shapely.box(-70.001, -30, -70, -29.999)
    counted_from_0 = shapely.box(289.999, -30, 290, -29.999)
    one, two = on_one_map([layer(west, SQUARE_90_E), layer(counted_from_0)])
    assert one[0].intersection(two[0]).area == pytest.approx(west.area)


def test_layers_in_different_systems_meet_on_the_first_ones_map() -> None:
    in_metres = layer(SQUARE_90_E).in_crs(CRS.from_epsg(32646))
    one, two = on_one_map([in_metres, layer(SQUARE_90_E)])
    assert one[0].intersection(two[0]).area == pytest.approx(one[0].area, rel=1e-6)


def test_empty_layers_have_a_place_too() -> None:
    one, two = on_one_map([layer(), layer(SQUARE_84_W)])
    assert (len(one), len(two)) == (0, 1)


@pytest.mark.parametrize("nothing", [None, shapely.Polygon()], ids=["none", "empty"])
def test_an_outline_without_a_shape_moves_no_other(nothing) -> None:
    one, two = on_one_map([layer(SQUARE_90_E, nothing), layer(SQUARE_90_E)])
    assert one[0].equals(SQUARE_90_E) and two[0].equals(SQUARE_90_E) and (one[1] is None or one[1].is_empty)
    assert len(on_one_map([layer(nothing)])[0]) == 1


def test_a_layer_that_does_not_fit_on_a_map_is_noticed() -> None:
    here, far = layer(SQUARE_90_E), layer(shapely.segmentize(shapely.box(-170, -80, 170, 80), 1.0))
    zone = CRS.from_epsg(32646)
    assert keeps_its_area(here, here.geometries, DEGREES)
    assert keeps_its_area(here, here.in_crs(zone).geometries, zone)
    assert not keeps_its_area(far, far.in_crs(zone).geometries, zone)

"""Ellipsoidal areas and perimeters: against QGIS, against PROJ's geodesics, and on shapes known by construction."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from pyproj import CRS, Geod, Transformer

from engine.errors import EngineError
from engine.geodesy import geodesic_area, geodesic_perimeter, square_metres_per_unit

TRIANGLE_UTM = "POLYGON ((455000 4120000, 456000 4120000, 455500 4121000, 455000 4120000))"
HOLED_UTM = (
    "POLYGON ((455000 4120000, 455800 4120000, 455800 4120500, 455000 4120500, 455000 4120000),"
    " (455100 4120100, 455100 4120400, 455500 4120400, 455500 4120100, 455100 4120100))"
)
TWO_PARTS_UTM = (
    "MULTIPOLYGON (((455000 4120000, 455200 4120000, 455200 4120300, 455000 4120000)),"
    " ((456000 4120000, 456300 4120000, 456000 4120100, 456000 4120000)))"
)
TRIANGLE_OUTSIDE_ZONE = "POLYGON ((1455000 4120000, 1456000 4120000, 1455500 4121000, 1455000 4120000))"
TRIANGLE_DEGREES = "POLYGON ((10 46, 10.02 46, 10.01 46.02, 10 46))"
TRIANGLE_MERCATOR = "POLYGON ((11000000 4600000, 11001000 4600000, 11000500 4601500, 11000000 4600000))"
ACROSS_180 = "POLYGON ((179.99 66, -179.99 66, -179.99 66.01, 179.99 66.01, 179.99 66))"
TRIANGLE_SOUTH = "POLYGON ((400000 6300000, 400700 6300100, 400300 6300900, 400000 6300000))"
TRIANGLE_LAEA = "POLYGON ((4400000 2600000, 4400900 2600000, 4400100 2600700, 4400000 2600000))"

QGIS_SAYS = {  # name: (EPSG, WKT, area in m2, perimeter in m), measured with QgsDistanceArea of QGIS 3.40
    "triangle in UTM": (32647, TRIANGLE_UTM, 500375.8196, 3237.283921),
    "hole in UTM": (32647, HOLED_UTM, 280210.4231, 4001.502396),
    "two parts in UTM": (32647, TWO_PARTS_UTM, 45033.8194, 1577.375511),
    "far outside its UTM zone": (32645, TRIANGLE_OUTSIDE_ZONE, 489307.0238, 3201.277766),
    "southern hemisphere": (32719, TRIANGLE_SOUTH, 300166.6148, 2550.925206),
    "degrees": (4326, TRIANGLE_DEGREES, 1721994.9398, 6257.430657),
    "Web Mercator": (3857, TRIANGLE_MERCATOR, 463091.8583, 3268.110549),
    "equal area, GRS80": (3035, TRIANGLE_LAEA, 314999.8510, 2669.996031),
    "across the antimeridian": (4326, ACROSS_180, 1012395.4226, 4045.983839),
}


def measured(wkt: str, epsg: int) -> tuple[float, float]:
    geometries = np.array([shapely.from_wkt(wkt)], dtype=object)
    crs = CRS.from_epsg(epsg)
    return geodesic_area(geometries, crs)[0], geodesic_perimeter(geometries, crs)[0]


@pytest.mark.parametrize(("epsg", "wkt", "area", "perimeter"), QGIS_SAYS.values(), ids=QGIS_SAYS.keys())
def test_area_and_perimeter_are_those_of_qgis(epsg: int, wkt: str, area: float, perimeter: float) -> None:
    assert measured(wkt, epsg) == (pytest.approx(area, rel=1e-6), pytest.approx(perimeter, rel=1e-9))


@pytest.mark.parametrize("latitude", [0.0, 27.9, 46.0, 69.5, -33.0, -62.0])
def test_area_and_perimeter_of_many_small_outlines_are_those_of_projs_geodesics(latitude: float) -> None:
    rng = np.random.default_rng(3)
    centres = shapely.points(rng.uniform(98, 99, 20), latitude + rng.uniform(-0.5, 0.5, 20))
    outlines = shapely.buffer(centres, rng.uniform(0.001, 0.01, 20))
    expected = np.array([Geod(ellps="WGS84").geometry_area_perimeter(outline) for outline in outlines])
    np.testing.assert_allclose(geodesic_area(outlines, CRS.from_epsg(4326)), np.abs(expected[:, 0]), rtol=1e-7)
    np.testing.assert_allclose(geodesic_perimeter(outlines, CRS.from_epsg(4326)), expected[:, 1], rtol=1e-9)


def test_area_of_one_place_is_the_same_in_every_crs() -> None:
    circle = shapely.buffer(shapely.Point(11.2, 46.8), 0.003, quad_segs=60)
    expected = geodesic_area(np.array([circle], dtype=object), CRS.from_epsg(4326))[0]
    for epsg in (32632, 32633, 3857, 3035, 8857, 3995):
        crs = CRS.from_epsg(epsg)
        drawn = shapely.transform(circle, Transformer.from_crs(4326, crs, always_xy=True).transform, interleaved=False)
        assert geodesic_area(np.array([drawn], dtype=object), crs)[0] == pytest.approx(expected, rel=1e-6), epsg


def test_a_quarter_of_a_sphere() -> None:
    octant = shapely.from_wkt("MULTIPOLYGON (((0 0, 90 0, 90 90, 0 90, 0 0)), ((0 0, 0 -90, 90 -90, 90 0, 0 0)))")
    sphere = CRS.from_proj4("+proj=longlat +R=1000 +no_defs")
    assert geodesic_area(np.array([octant], dtype=object), sphere)[0] == pytest.approx(np.pi * 1000**2, rel=1e-9)


def test_hole_is_taken_off_and_direction_of_rings_does_not_matter() -> None:
    outline = shapely.from_wkt(HOLED_UTM)
    crs = CRS.from_epsg(32647)
    shapes = np.array([outline, outline.reverse(), shapely.Polygon(outline.exterior), shapely.Polygon(outline.interiors[0])], dtype=object)
    holed, reversed_, full, hole = geodesic_area(shapes, crs)
    assert holed == pytest.approx(full - hole, rel=1e-12)
    assert reversed_ == pytest.approx(holed, rel=1e-12)


def test_grads_from_paris_are_understood() -> None:
    paris_grads, paris_degrees = CRS.from_epsg(4807), CRS.from_proj4("+proj=longlat +ellps=clrk80ign +pm=paris +no_defs")
    grads = shapely.from_wkt("POLYGON ((5 50, 5.01 50, 5 50.01, 5 50))")
    degrees = shapely.transform(grads, lambda places: places * 0.9)
    expected = geodesic_area(np.array([degrees], dtype=object), paris_degrees)[0]
    assert geodesic_area(np.array([grads], dtype=object), paris_grads)[0] == pytest.approx(expected, rel=1e-7)


def test_no_geometries() -> None:
    nothing = np.array([], dtype=object)
    assert geodesic_area(nothing, CRS.from_epsg(4326)).shape == (0,)
    assert geodesic_perimeter(nothing, CRS.from_epsg(32647)).shape == (0,)


def test_empty_geometry_between_others_has_no_area() -> None:
    triangle = shapely.from_wkt(TRIANGLE_UTM)
    shapes = np.array([triangle, shapely.Polygon(), triangle], dtype=object)
    first, empty, last = geodesic_area(shapes, CRS.from_epsg(32647))
    assert (empty, last) == (0, first)
    assert geodesic_perimeter(shapes, CRS.from_epsg(32647))[1] == 0


@pytest.mark.parametrize(
    ("crs", "wkt", "code"),
    [
        (CRS.from_epsg(4326), "POLYGON ((455000 4120000, 456000 4120000, 455500 4121000, 455000 4120000))", "crs_place"),
        (CRS.from_epsg(3035), "POLYGON ((1e12 0, 2e12 0, 2e12 1e12, 1e12 0))", "crs_place"),
        (CRS.from_wkt('ENGCRS["quarry",EDATUM["quarry"],CS[Cartesian,2],AXIS["x",east],AXIS["y",north],LENGTHUNIT["metre",1]]'),
         TRIANGLE_UTM, "crs_local"),
    ],
    ids=["metres called degrees", "far off the map", "local grid"],
)  # fmt: skip
def test_places_that_are_not_on_the_earth(crs: CRS, wkt: str, code: str) -> None:
    with pytest.raises(EngineError) as caught:
        geodesic_area(np.array([shapely.from_wkt(wkt)], dtype=object), crs)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("epsg", "place"),
    [
        (4326, (99.2, 38.1)),
        (4326, (180.0, -77.0)),
        (32647, (100.9, 38.0)),
        (32601, (-179.99, 66.0)),
        (3857, (99.2, 46.0)),
        (2263, (-73.9, 40.8)),
        (3995, (99.2, 38.1)),
        (4267, (-106.0, 40.0)),
    ],
)
def test_square_metres_of_a_map_unit(epsg: int, place: tuple[float, float]) -> None:
    crs = CRS.from_epsg(epsg)
    x, y = Transformer.from_crs(4326, crs, always_xy=True).transform(*place)
    unit = crs.axis_info[0].unit_conversion_factor * (6_371_000 if crs.is_geographic else 1)
    polygons = np.array([shapely.Point(x, y).buffer(radius / unit) for radius in (50, 500, 2000)], dtype=object)
    assert shapely.area(polygons) * square_metres_per_unit(polygons, crs) == pytest.approx(geodesic_area(polygons, crs), rel=1e-4)


def test_no_polygons_have_no_map_units() -> None:
    assert square_metres_per_unit(np.array([], dtype=object), CRS.from_epsg(32647)).shape == (0,)

"""Contours of the probability for one outline: cones and other shapes whose contours are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from osgeo import gdal
from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsCoordinateTransformContext,
    QgsGeometry,
    QgsPointXY,
    QgsProject,
    QgsRasterLayer,
)

from tests.plugin.samples import write_raster

UTM, DEGREES = QgsCoordinateReferenceSystem("EPSG:32645"), QgsCoordinateReferenceSystem("EPSG:4326")
ROWS = COLUMNS = 100
LEFT, TOP, PIXEL = 600000.0, 3100000.0, 10.0
MIDDLE_X, MIDDLE_Y = LEFT + 500, TOP - 500
MIDDLE = QgsPointXY(MIDDLE_X, MIDDLE_Y)
RADIUS = 400.0
"""Where the cone's probability has fallen to 0."""

X = LEFT + PIXEL * (np.arange(COLUMNS) + 0.5)[None, :]
Y = TOP - PIXEL * (np.arange(ROWS) + 0.5)[:, None]


def cone(x=MIDDLE_X, y=MIDDLE_Y, radius=RADIUS):
    return np.clip(1 - np.hypot(X - x, Y - y) / radius, 0, 1)


def disc(x, y, radius):
    return QgsGeometry.fromPointXY(QgsPointXY(x, y)).buffer(radius, 60)


@pytest.fixture
def levels(module, tmp_path, qgis_new_project):
    """The contours of a surface (rows, cols) for an outline."""
    review_levels = module("dialogs.review.levels")

    def of(surface, outline, crs=UTM, nodata=None):
        path = write_raster(tmp_path / "probability.tif", surface[None].astype(np.float32))
        if nodata is not None:
            dataset = gdal.Open(str(path), gdal.GA_Update)
            dataset.GetRasterBand(1).SetNoDataValue(nodata)
            del dataset
        layer = QgsRasterLayer(str(path), "probability")
        QgsProject.instance().addMapLayer(layer)
        return review_levels.Levels(outline, crs, layer, QgsCoordinateTransformContext())

    of.problem = review_levels.NoLevels
    return of


START = disc(MIDDLE_X, MIDDLE_Y, 200)


def radii(outline):
    return [MIDDLE.distance(QgsPointXY(vertex)) for vertex in outline.vertices()]


@pytest.mark.parametrize("level", [0.1, 0.33, 0.5, 0.8])
def test_the_contour_of_a_cone_is_a_circle_of_known_radius(levels, level):
    outline = levels(cone(), START).outline(level)
    assert min(radii(outline)) == pytest.approx(RADIUS * (1 - level), abs=0.2 * PIXEL)
    assert max(radii(outline)) == pytest.approx(RADIUS * (1 - level), abs=0.2 * PIXEL)


def test_values_belong_to_the_middles_of_pixels(levels):
    middle = levels(cone(), START).outline(0.5).centroid().asPoint()
    assert (middle.x(), middle.y()) == pytest.approx((MIDDLE_X, MIDDLE_Y), abs=0.02 * PIXEL)


def test_sixteen_levels_are_nested_from_a_twentieth_to_the_peak(levels):
    found = levels(cone(), START)
    steps = found.levels()
    assert len(steps) == 16
    assert np.diff(steps) == pytest.approx(np.diff(steps)[0])
    assert 0.05 < steps[0] < 0.1 and 0.9 < steps[-1] < 1
    areas = [outline.area() for outline in found.outlines(steps)]
    assert areas == sorted(areas, reverse=True) and areas[-1] > 0


def test_all_levels_at_once_are_the_same_as_one_by_one(levels):
    found = levels(cone(), START)
    steps = found.levels()
    assert [outline.asWkt() for outline in found.outlines(steps)] == [found.outline(level).asWkt() for level in steps]


def test_the_level_of_the_outline_itself(levels):
    assert levels(cone(), START).level_of(START) == pytest.approx(0.5, abs=0.005)


def test_another_body_is_not_taken(levels):
    found = levels(np.maximum(cone(LEFT + 300, TOP - 500, 150), cone(LEFT + 750, TOP - 500, 150)), disc(LEFT + 300, TOP - 500, 80))
    assert found.outline(0.5).boundingBox().xMaximum() == pytest.approx(LEFT + 375, abs=0.2 * PIXEL)


def test_two_neighbours_that_run_together_stay_apart_half_way(levels):
    one, other = disc(LEFT + 350, TOP - 500, 140), disc(LEFT + 650, TOP - 500, 140)
    found = levels(np.maximum(cone(LEFT + 350, TOP - 500), cone(LEFT + 650, TOP - 500)), one)
    together = found.outline(0.3)
    found.keep_off(other)
    alone = found.outline(0.3)
    assert together.boundingBox().xMaximum() > LEFT + 600
    assert alone.boundingBox().xMaximum() == pytest.approx(LEFT + 500, abs=PIXEL)
    assert alone.boundingBox().xMinimum() == pytest.approx(together.boundingBox().xMinimum())
    assert not alone.intersects(other)


def test_ground_of_others_is_never_taken(levels):
    found = levels(cone(), START)
    beside = disc(MIDDLE_X + 260, MIDDLE_Y, 60).difference(START)
    found.keep_off(beside)
    for outline in found.outlines(found.levels()):
        assert outline.intersection(beside).area() == pytest.approx(0, abs=1e-3)
        assert outline.isGeosValid()


def ring(x=MIDDLE_X, y=MIDDLE_Y):
    """0.5 at 100 m and 300 m from the middle, less at the middle."""
    return np.clip(1 - np.abs(np.hypot(X - x, Y - y) - 200) / 200, 0, 1)


def test_holes_stay_filled_where_the_outline_has_none(levels):
    outline = levels(ring(), START).outline(0.5)
    assert outline.area() == pytest.approx(math.pi * 300**2, rel=0.01)


def test_holes_follow_where_the_outline_has_some(levels):
    start = disc(MIDDLE_X, MIDDLE_Y, 250).difference(disc(MIDDLE_X, MIDDLE_Y, 150))
    outline = levels(ring(), start).outline(0.5)
    assert outline.area() == pytest.approx(math.pi * (300**2 - 100**2), rel=0.01)


def test_both_parts_of_a_multipart_outline_follow(levels):
    surface = np.maximum(cone(LEFT + 300, TOP - 500, 150), cone(LEFT + 700, TOP - 500, 150))
    start = disc(LEFT + 300, TOP - 500, 50).combine(disc(LEFT + 700, TOP - 500, 50))
    outline = levels(surface, start).outline(0.5)
    assert outline.constGet().numGeometries() == 2
    assert outline.area() == pytest.approx(2 * math.pi * 75**2, rel=0.01)


def test_a_session_in_degrees(levels):
    to_degrees = QgsCoordinateTransform(UTM, DEGREES, QgsCoordinateTransformContext())
    start = QgsGeometry(START)
    start.transform(to_degrees)
    outline = levels(cone(), start, DEGREES).outline(0.5)
    outline.transform(to_degrees, QgsCoordinateTransform.TransformDirection.ReverseTransform)
    assert max(radii(outline)) == pytest.approx(200, abs=0.2 * PIXEL)


@pytest.mark.parametrize("unknown", [math.nan, -9999.0])
def test_what_was_not_assessable_is_not_taken(levels, unknown):
    surface = cone()
    surface[:, COLUMNS // 2 + 5 :] = unknown
    outline = levels(surface, START, nodata=None if math.isnan(unknown) else unknown).outline(0.5)
    assert outline.boundingBox().xMaximum() <= MIDDLE_X + 6 * PIXEL
    assert outline.boundingBox().xMinimum() == pytest.approx(MIDDLE_X - 200, abs=0.2 * PIXEL)


def test_a_surface_of_two_values_has_contours(levels):
    outline = levels((cone() > 0.5).astype(float), START).outline(0.5)
    assert outline.area() == pytest.approx(math.pi * 200**2, rel=0.03)
    assert outline.isGeosValid()


def test_an_outline_at_the_edge_of_the_raster_closes_there(levels):
    outline = levels(cone(LEFT, TOP - 500), disc(LEFT, TOP - 500, 200)).outline(0.5)
    assert outline.boundingBox().xMinimum() >= LEFT - PIXEL
    assert outline.area() == pytest.approx(math.pi * 200**2 / 2, rel=0.05)


CANNOT = {
    "the same everywhere": (np.full((ROWS, COLUMNS), 0.7), START),
    "nowhere probable": (np.full((ROWS, COLUMNS), 0.01), START),
    "no probabilities": (200 * cone(), START),
    "not assessable": (np.full((ROWS, COLUMNS), math.nan), START),
    "outside": (cone(), disc(LEFT + 90_000, TOP, 200)),
    "smaller than a pixel": (cone(), disc(LEFT + 500, TOP - 500, 2)),
}


@pytest.mark.parametrize(("surface", "outline"), CANNOT.values(), ids=CANNOT)
def test_says_why_there_are_no_levels(levels, surface, outline):
    with pytest.raises(levels.problem) as raised:
        levels(surface, outline)
    assert str(raised.value).endswith(".")

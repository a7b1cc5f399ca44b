"""An outline against its reference: squares with known answers, and the engine's numbers for the same pairs."""

from __future__ import annotations

import math

import pytest
from qgis.core import QgsCoordinateReferenceSystem, QgsCoordinateTransform, QgsCoordinateTransformContext, QgsGeometry

from tests.plugin.samples import square

UTM = QgsCoordinateReferenceSystem("EPSG:32645")
SCALE = 0.9996**2
"""Of areas near the middle of a UTM zone."""


@pytest.fixture
def compare(module):
    compared = module("dialogs.review.metrics").compare

    def from_text(outline, reference, crs=UTM):
        context = QgsCoordinateTransformContext()
        geometries = [QgsGeometry.fromWkt(text) for text in (outline, reference)]
        if crs != UTM:
            for geometry in geometries:
                geometry.transform(QgsCoordinateTransform(UTM, crs, context))
        return compared(*geometries, crs, context)

    return from_text


def at(left, bottom, side=100.0):
    return square(500000 + left, 3100000 + bottom, side)


def with_hole(left, bottom, side, hole):
    outer, inner = at(left, bottom, side), at(left + (side - hole) / 2, bottom + (side - hole) / 2, hole)
    return f"{outer[:-1]},{inner[len('POLYGON(') :]}"


def both(one, other):
    return f"MULTIPOLYGON({one[len('POLYGON') :]},{other[len('POLYGON') :]})"


# IoU, deviation in percent, mean distance in metres, which engine.boundary_distances gives for the same pairs (pixels of 1 m). Shifted
# by 10 m: one side lies 10 m outside, one 10 m inside but nearer to the others at its ends (900 m2), two stick out by 10 m (100 m2):
# 2000 / 400.
PAIRS = {
    "the same": (at(0, 0), at(0, 0), 1.0, 0.0, 0.0),
    "shifted by 10 m": (at(10, 0), at(0, 0), 90 / 110, 0.0, 5.0),
    "20 m larger all round": (at(-20, -20, 140), at(0, 0), 1e4 / 140**2, 96.0, 20.4931),
    "apart": (at(0, 0), at(300, 0), 0.0, 0.0, 250.0),
    "a hole that the reference has not": (with_hole(0, 0, 100, 20), at(0, 0), 0.96, -4.0, 3.63636),
    "two parts, one of them found": (at(0, 0), both(at(0, 0), at(300, 0)), 0.5, -50.0, 83.3333),
}


@pytest.mark.parametrize(("outline", "reference", "iou", "deviation", "distance"), PAIRS.values(), ids=PAIRS)
def test_known_answers(compare, outline, reference, iou, deviation, distance):
    found = compare(outline, reference)
    assert found.iou == pytest.approx(iou, abs=1e-6)
    assert found.area_deviation == pytest.approx(deviation, abs=1e-4)
    assert found.boundary_distance_m == pytest.approx(distance / SCALE**0.5, rel=0.003)


def test_degrees_measure_as_metres_do(compare):
    pair = PAIRS["shifted by 10 m"][:2]
    metres, degrees = compare(*pair), compare(*pair, QgsCoordinateReferenceSystem("EPSG:4326"))
    assert degrees.area_km2 == pytest.approx(metres.area_km2, rel=1e-5)
    assert degrees.area_km2 == pytest.approx(0.01 / SCALE, rel=1e-4)
    assert degrees.boundary_distance_m == pytest.approx(metres.boundary_distance_m, rel=1e-4)
    assert degrees.iou == pytest.approx(metres.iou, rel=1e-4)


def test_without_a_reference_only_the_area_is_known(compare):
    found = compare(at(0, 0), "POLYGON EMPTY")
    assert found.area_km2 == pytest.approx(0.01 / SCALE, rel=1e-4)
    assert all(map(math.isnan, (found.iou, found.area_deviation, found.boundary_distance_m)))


def test_nothing_is_known_of_no_outline(compare):
    assert math.isnan(compare("POLYGON EMPTY", at(0, 0)).area_km2)


def test_a_boundary_that_crosses_itself_is_measured(compare):
    bow_tie = "POLYGON((500000 3100000,500100 3100100,500100 3100000,500000 3100100,500000 3100000))"
    assert compare(bow_tie, at(0, 0)).iou == pytest.approx(0.5, abs=1e-6)

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
from qgis.PyQt.QtCore import Qt
from qgis.PyQt.QtTest import QTest

from tests.plugin.canvas import items
from tests.plugin.reviews import make_review
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


# the slider

SLOWEST_MS = 10_000


@pytest.fixture
def session(module, tmp_path, qgis_new_project):
    opened = []

    def open_session(**given):
        review = module("dialogs.review.session").Review(make_review(tmp_path, **given), "Ann", QgsProject.instance())
        opened.append(review)
        return review

    yield open_session
    for review in opened:
        review.close()
    QgsProject.instance().clear()


@pytest.fixture
def control_of(module, qgis_canvas, qtbot):
    """The slider of a review, which looks at its first outline, on the screen."""

    def of(review, waits=True):
        review.show(review.queue.uid_at(0))
        control = module("dialogs.review.level_control").LevelControl(review, qgis_canvas)
        qtbot.addWidget(control)
        control.show()
        if waits:
            qtbot.waitUntil(control._slider.isEnabled, timeout=SLOWEST_MS)
        return control

    return of


def drag(control, steps):
    """As with the mouse: take the handle, move it, and keep hold of it."""
    control._slider.setSliderDown(True)
    control._slider.setValue(control._slider.value() + steps)


def test_the_slider_stands_at_the_level_of_the_outline(session, control_of):
    control = control_of(session())
    assert control._level() == pytest.approx(0.5, abs=0.03)  # the sessions' probability is 0.5 on predicted boundaries
    assert "0.040" in control._text.text()


def test_the_outline_changes_once_when_the_slider_is_let_go(session, control_of):
    review = session()
    control = control_of(review)
    uid, before = review.current, review.outline(review.current).area()
    changes = []
    review.changed.connect(changes.append)
    for _ in range(5):
        drag(control, 2)
        assert review.outline(uid).area() == before
        assert not control._band.asGeometry().isEmpty()
    control._slider.setSliderDown(False)
    assert changes == [[uid]]
    assert review.outline(uid).area() < before
    assert review.feature(uid)["status"] == "edited"
    review.undo()
    assert review.outline(uid).area() == before


def test_the_slider_goes_back_with_undo(session, control_of, qtbot):
    review = session()
    control = control_of(review)
    at = control._slider.value()
    drag(control, 10)
    control._slider.setSliderDown(False)
    assert control._slider.value() == at + 10
    review.undo()
    qtbot.waitUntil(lambda: control._slider.value() == at, timeout=SLOWEST_MS)


def test_arrow_keys_step_and_are_kept_together_after_a_pause(session, control_of, qtbot):
    review = session()
    control = control_of(review)
    before = review.outline(review.current).area()
    for _ in range(3):
        QTest.keyClick(control._slider, Qt.Key.Key_Right)
    assert review.outline(review.current).area() == before
    qtbot.waitUntil(lambda: review.outline(review.current).area() < before, timeout=SLOWEST_MS)
    review.undo()
    assert review.outline(review.current).area() == before


def test_enter_keeps_at_once(session, control_of):
    review = session()
    control = control_of(review)
    before = review.outline(review.current).area()
    QTest.keyClick(control._slider, Qt.Key.Key_Left)
    QTest.keyClick(control._slider, Qt.Key.Key_Return)
    assert review.outline(review.current).area() > before


@pytest.mark.parametrize("by", ["mouse", "keys"])
def test_escape_gives_the_outline_back(session, control_of, by, qtbot):
    review = session()
    control = control_of(review)
    at, before = control._slider.value(), review.outline(review.current).asWkt()
    if by == "mouse":
        drag(control, 20)
    else:
        QTest.keyClick(control._slider, Qt.Key.Key_Right)
    QTest.keyClick(control._slider, Qt.Key.Key_Escape)
    qtbot.wait(control._settling.interval() + 50)
    assert control._slider.value() == at
    assert control._band.asGeometry().isEmpty()
    assert review.outline(review.current).asWkt() == before


def test_a_step_is_not_lost_when_the_person_goes_on(session, control_of):
    review = session()
    control = control_of(review)
    first = review.current
    before, other = review.outline(first).area(), review.outline(review.queue.uid_at(1)).asWkt()
    QTest.keyClick(control._slider, Qt.Key.Key_Right)
    review.show(review.queue.uid_at(1))
    assert review.outline(first).area() < before
    assert review.outline(review.current).asWkt() == other


def test_the_neighbour_keeps_its_ground(session, control_of):
    review = session()
    uid = review.queue.uid_at(0)
    review.show(uid)
    box = review.outline(uid).boundingBox()
    neighbour = review.add(
        QgsGeometry.fromWkt(
            f"POLYGON(({box.xMaximum() + 20} {box.yMinimum()},{box.xMaximum() + 90} {box.yMinimum()},"
            f"{box.xMaximum() + 90} {box.yMaximum()},{box.xMaximum() + 20} {box.yMaximum()},{box.xMaximum() + 20} {box.yMinimum()}))"
        )
    )
    control = control_of(review)
    drag(control, -control._slider.value())
    control._slider.setSliderDown(False)
    assert review.outline(uid).intersection(review.outline(neighbour)).area() == pytest.approx(0, abs=1e-6)
    assert review.outline(uid).boundingBox().xMinimum() < box.xMinimum() - PIXEL


def test_without_a_probability_raster_it_says_why(session, control_of):
    control = control_of(session(probability=False), waits=False)
    assert not control.isEnabled()
    assert "probability" in control.toolTip()


def test_what_nobody_sees_is_not_read(session, module, qgis_canvas, qtbot):
    review = session()
    review.show(review.queue.uid_at(0))
    control = module("dialogs.review.level_control").LevelControl(review, qgis_canvas)
    qtbot.addWidget(control)
    qtbot.wait(control._preparing.interval() + 50)
    assert control._levels is None


def test_nothing_stays_on_the_map_when_the_review_closes(session, control_of, qgis_canvas):
    review = session()
    before = items(qgis_canvas)
    control = control_of(review)
    drag(control, 10)
    assert items(qgis_canvas) == before + 1
    review.close()
    assert items(qgis_canvas) == before
    assert not control.isEnabled()

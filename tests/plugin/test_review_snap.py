"""Snap to edge: paths along known edges, stretches of boundary that give way, and the tool on the map."""

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
from qgis.gui import QgsFloatingWidget
from qgis.PyQt.QtCore import Qt
from qgis.PyQt.QtWidgets import QComboBox

from tests.plugin.canvas import click, items, look_at, move, press
from tests.plugin.reviews import make_review
from tests.plugin.samples import square, write_raster

UTM, DEGREES = QgsCoordinateReferenceSystem("EPSG:32645"), QgsCoordinateReferenceSystem("EPSG:4326")
LEFT, TOP, PIXEL, SIZE = 600000.0, 3100000.0, 10.0, 200
MIDDLE_X, MIDDLE_Y, RADIUS = LEFT + 1000, TOP - 1000, 500.0
X = LEFT + PIXEL * (np.arange(SIZE) + 0.5)[None, :]
Y = TOP - PIXEL * (np.arange(SIZE) + 0.5)[:, None]
AWAY = np.hypot(X - MIDDLE_X, Y - MIDDLE_Y)


@pytest.fixture
def edge_path(module):
    return module("dialogs.review.edge_path")


@pytest.fixture
def raster(tmp_path, qgis_new_project):
    """A raster layer of bands (bands, rows, cols); ``degrees``: warped to longitude and latitude."""

    def of(values, degrees=False):
        path = write_raster(tmp_path / "raster.tif", np.asarray(values, np.float32))
        if degrees:
            path = tmp_path / "degrees.tif"
            gdal.Warp(str(path), str(tmp_path / "raster.tif"), dstSRS="EPSG:4326", resampleAlg="bilinear", dstNodata=math.nan)
        layer = QgsRasterLayer(str(path), "raster")
        QgsProject.instance().addMapLayer(layer)
        return layer

    return of


def off_the_circle(edge_path, strength, window):
    """Largest distance, metres, from the circle of a path between two places on it that are a quarter of it apart."""
    ends = [window.cell_of(QgsPointXY(MIDDLE_X + RADIUS * math.cos(a), MIDDLE_Y + RADIUS * math.sin(a))) for a in (0.0, math.pi / 2)]
    path = edge_path.smoothed(window.places(edge_path.EdgePaths(strength, ends[0]).to(ends[1])))
    length = np.hypot(*np.diff(path, axis=0).T).sum()
    assert length == pytest.approx(math.pi / 2 * RADIUS, rel=0.1)
    return np.abs(np.hypot(*(path - [MIDDLE_X, MIDDLE_Y]).T) - RADIUS).max()


@pytest.fixture
def window(edge_path):
    return edge_path.Window(UTM, QgsPointXY(MIDDLE_X, MIDDLE_Y), PIXEL)


@pytest.mark.parametrize("degrees", [False, True], ids=["same map", "raster in degrees"])
def test_a_path_keeps_to_an_edge_of_the_image(edge_path, raster, window, degrees):
    image = raster([np.where(AWAY < RADIUS, 180, 60), np.where(AWAY < RADIUS, 90, 80)], degrees)
    strength = edge_path.edges(image, None, window)
    assert off_the_circle(edge_path, strength, window) <= PIXEL * (1.5 if degrees else 1.0)


def test_a_path_keeps_to_a_break_of_slope(edge_path, raster, window):
    dem = raster([4000 + np.clip(RADIUS - AWAY, 0, None) * math.tan(math.radians(30))])
    strength = edge_path.edges(None, dem, window)
    assert off_the_circle(edge_path, strength, window) <= PIXEL


def test_edges_that_both_show_are_the_strongest(edge_path, raster, window):
    """The image has an edge on the circle and one elsewhere, the slope breaks on the circle alone."""
    image = np.where(AWAY < RADIUS, 180.0, 60.0) + np.where(X > LEFT + 1750, 120.0, 0.0)
    strength = edge_path.edges(raster([image]), None, window)
    row = window.side // 2
    on_circle, elsewhere = row + round(RADIUS / PIXEL), row + 75
    assert strength[row, elsewhere - 1 : elsewhere + 2].max() == pytest.approx(strength[row, on_circle - 1 : on_circle + 2].max())
    dem = raster([4000 + np.clip(RADIUS - AWAY, 0, None)])
    both = (strength + edge_path.edges(None, dem, window)) / 2
    assert both[row, on_circle - 1 : on_circle + 2].max() > 1.5 * both[row, elsewhere - 1 : elsewhere + 2].max()


def test_snow_that_outshines_everything_does_not_hide_an_edge(edge_path, raster, window):
    image = np.where(AWAY < RADIUS, 180.0, 60.0)
    image[:3, :3] = 60_000
    assert off_the_circle(edge_path, edge_path.edges(raster([image]), None, window), window) <= PIXEL


def test_unknown_ground_has_no_edge(edge_path):
    image = np.full((1, 20, 20), 5.0)
    image[:, :, 10:] = np.nan
    assert not edge_path.image_edges(image).any()


def test_a_path_over_even_ground_is_straight(edge_path):
    path = edge_path.EdgePaths(np.zeros((11, 11)), (5, 0)).to((5, 10))
    assert path.tolist() == [[5, column] for column in range(11)]


def test_a_raster_elsewhere_says_so(edge_path, raster):
    far = edge_path.Window(UTM, QgsPointXY(LEFT + 90_000, TOP), PIXEL)
    with pytest.raises(edge_path.NoEdges):
        edge_path.edges(raster([np.ones((SIZE, SIZE))]), None, far)


def test_smoothing_keeps_the_ends_and_stays_within_a_cell(edge_path):
    stairs = np.array([(n // 2, (n + 1) // 2) for n in range(20)], float)
    smooth = edge_path.smoothed(stairs)
    assert smooth[[0, -1]].tolist() == stairs[[0, -1]].tolist()
    assert np.hypot(*(smooth - stairs).T).max() < 1
    assert np.abs(np.diff(smooth[2:-2, 0] - smooth[2:-2, 1])).max() < np.abs(np.diff(stairs[:, 0] - stairs[:, 1])).max()


# a stretch of boundary gives way


@pytest.fixture
def boundary(module):
    redraw = module("dialogs.review.redraw")
    same = QgsCoordinateTransform(UTM, UTM, QgsCoordinateTransformContext())

    def of(wkt, near):
        return redraw.Boundary(QgsGeometry.fromWkt(wkt), same, QgsPointXY(*near))

    return of


HOLED = "POLYGON((0 0,100 0,100 100,0 100,0 0),(40 40,60 40,60 60,40 60,40 40))"
TWO = "MULTIPOLYGON(((0 0,100 0,100 100,0 100,0 0)),((200 0,250 0,250 50,200 50,200 0)))"
SQUARE = square(0, 0, 100)
# outline, start and end, places of the new line, whether the longer stretch goes, area
STRETCHES = {
    "a tip on one side": (SQUARE, (100, 20), (100, 80), [(130, 50)], False, 1e4 + 60 * 30 / 2),
    "a dent in one side": (SQUARE, (100, 20), (100, 80), [(70, 50)], False, 1e4 - 60 * 30 / 2),
    "over a corner": (SQUARE, (50, 100), (0, 50), [], False, 1e4 - 50 * 50 / 2),
    "backwards over a corner": (SQUARE, (0, 50), (50, 100), [], False, 1e4 - 50 * 50 / 2),
    "across the ring's first vertex": (SQUARE, (0, 40), (40, 0), [], False, 1e4 - 40 * 40 / 2),
    "the longer stretch": (SQUARE, (50, 100), (0, 50), [], True, 50 * 50 / 2),
    "beside a hole": (HOLED, (100, 20), (100, 80), [(130, 50)], False, 1e4 - 400 + 60 * 30 / 2),
    "of the hole": (HOLED, (60, 40), (60, 60), [(70, 50)], False, 1e4 - 400 - 20 * 10 / 2),
    "of one part of two": (TWO, (250, 0), (250, 50), [(260, 25)], False, 1e4 + 2500 + 50 * 10 / 2),
    "crossing what is left": (SQUARE, (100, 20), (100, 80), [(150, 20), (150, 90), (90, 110)], False, None),
}


@pytest.mark.parametrize(("wkt", "first", "last", "line", "longer", "area"), STRETCHES.values(), ids=STRETCHES)
def test_a_stretch_gives_way(boundary, wkt, first, last, line, longer, area):
    ring = boundary(wkt, first)
    start, end = (ring.nearest(QgsPointXY(*place)) for place in (first, last))
    outline = ring.redrawn(start, end, [QgsPointXY(*place) for place in line], longer)
    assert outline.isGeosValid()
    if area is not None:
        assert outline.area() == pytest.approx(area)


def test_the_stretch_that_would_go_is_shown(boundary):
    ring = boundary(SQUARE, (50, 100))
    start, end = ring.nearest(QgsPointXY(50, 100)), ring.nearest(QgsPointXY(0, 50))
    assert ring.stretch(start, end).length() == pytest.approx(100)
    assert ring.stretch(start, end, True).length() == pytest.approx(300)


# the tool

DENTED = (
    "POLYGON((600100 3099600,600300 3099600,600300 3099650,600270 3099680,600260 3099700,600270 3099720,600300 3099750,"
    "600300 3099800,600100 3099800,600100 3099600))"
)
"""The first predicted box of the test sessions (its boundary is an edge of the imagery) with a dent of 40 m in its east side."""
EAST, BELOW, ABOVE = 600300.0, 3099640.0, 3099760.0


@pytest.fixture
def session(module, tmp_path, qgis_new_project):
    opened = []

    def open_session(**given):
        review = module("dialogs.review.session").Review(make_review(tmp_path, **given), "Ann", QgsProject.instance())
        opened.append(review)
        uid = review.queue.uid_at(0)
        review.show(uid)
        review.set_outline(uid, QgsGeometry.fromWkt(DENTED), "edit")
        return review

    yield open_session
    for review in opened:
        review.close()
    QgsProject.instance().clear()


@pytest.fixture
def start_tool(module, qgis_canvas, monkeypatch):
    for name in ("edge_path", "snap_tool"):
        monkeypatch.setattr(module(f"dialogs.review.{name}"), "REACH", 30)  # a small window is quick, and enough

    def start(review):
        look_at(qgis_canvas, UTM, review.outline(review.current))
        tool = module("dialogs.review.snap_tool").SnapTool(review, qgis_canvas)
        qgis_canvas.setMapTool(tool)
        return tool

    yield start
    if qgis_canvas.mapTool() is not None:
        qgis_canvas.unsetMapTool(qgis_canvas.mapTool())


def test_two_clicks_redraw_the_dent_along_the_edge(session, start_tool, qgis_canvas):
    review = session()
    uid = review.current
    start_tool(review)
    click(qgis_canvas, EAST, BELOW)
    click(qgis_canvas, EAST, ABOVE)
    found = review.outline(uid)
    box = QgsGeometry.fromWkt(square(600100, 3099600, 200))
    assert found.isGeosValid()
    assert found.symDifference(box).area() < 120 * PIXEL
    assert QgsGeometry.fromWkt(DENTED).symDifference(box).area() > 2 * found.symDifference(box).area()
    review.undo()
    assert review.outline(uid).symDifference(QgsGeometry.fromWkt(DENTED)).area() == pytest.approx(0)


def test_a_map_in_another_reference_system(session, start_tool, qgis_canvas):
    review = session()
    start_tool(review)
    mercator = QgsCoordinateReferenceSystem("EPSG:3857")
    place = QgsGeometry.fromWkt(DENTED)
    place.transform(QgsCoordinateTransform(UTM, mercator, QgsCoordinateTransformContext()))
    look_at(qgis_canvas, mercator, place)
    click(qgis_canvas, EAST, BELOW, crs=UTM)
    click(qgis_canvas, EAST, ABOVE, crs=UTM)
    assert review.outline(review.current).symDifference(QgsGeometry.fromWkt(square(600100, 3099600, 200))).area() < 120 * PIXEL


def test_what_a_click_would_make_is_shown_before(session, start_tool, qgis_canvas):
    review = session()
    tool = start_tool(review)
    click(qgis_canvas, EAST, BELOW)
    move(qgis_canvas, EAST, ABOVE)
    shown = tool._band.asGeometry()
    assert shown.boundingBox().yMinimum() == pytest.approx(BELOW, abs=qgis_canvas.mapUnitsPerPixel())
    assert shown.boundingBox().yMaximum() == pytest.approx(ABOVE, abs=qgis_canvas.mapUnitsPerPixel())
    assert review.outline(review.current).area() == pytest.approx(QgsGeometry.fromWkt(DENTED).area())


def test_a_third_click_goes_on_from_the_second(session, start_tool, qgis_canvas):
    review = session()
    start_tool(review)
    click(qgis_canvas, EAST, BELOW)
    click(qgis_canvas, EAST, 3099700)
    once = review.outline(review.current)
    click(qgis_canvas, EAST, ABOVE)
    box = QgsGeometry.fromWkt(square(600100, 3099600, 200))
    assert review.outline(review.current).symDifference(box).area() < once.symDifference(box).area()
    review.undo()
    assert review.outline(review.current).symDifference(once).area() == pytest.approx(0)


@pytest.mark.parametrize("way_out", ["Escape", "right click", "another outline"])
def test_the_first_click_can_be_taken_back(session, start_tool, qgis_canvas, way_out):
    review = session()
    uid = review.current
    start_tool(review)
    click(qgis_canvas, EAST, BELOW)
    if way_out == "Escape":
        press(qgis_canvas, Qt.Key.Key_Escape)
    elif way_out == "right click":
        click(qgis_canvas, EAST, BELOW, Qt.MouseButton.RightButton)
    else:
        review.show(review.queue.uid_at(1))
        review.show(uid)
    click(qgis_canvas, EAST, ABOVE)
    assert review.outline(uid).area() == pytest.approx(QgsGeometry.fromWkt(DENTED).area())


def test_shift_redraws_the_longer_stretch(session, start_tool, qgis_canvas):
    review = session()
    start_tool(review)
    click(qgis_canvas, EAST, BELOW)
    click(qgis_canvas, EAST, ABOVE, modifier=Qt.KeyboardModifier.ShiftModifier)
    assert review.outline(review.current).area() < 120 * 40


def test_ground_of_a_neighbour_is_not_taken(session, start_tool, qgis_canvas):
    review = session()
    uid = review.current
    neighbour = review.add(QgsGeometry.fromWkt("POLYGON((600275 3099690,600400 3099690,600400 3099710,600275 3099710,600275 3099690))"))
    review.show(uid)
    start_tool(review)
    click(qgis_canvas, EAST, BELOW)
    click(qgis_canvas, EAST, ABOVE)
    assert review.outline(uid).intersection(review.outline(neighbour)).area() == pytest.approx(0, abs=1e-6)
    assert review.outline(uid).area() > QgsGeometry.fromWkt(DENTED).area() + 10 * PIXEL


def test_too_far_is_said_and_changes_nothing(session, start_tool, qgis_canvas, qtbot):
    review = session()
    strip = QgsGeometry.fromWkt("POLYGON((600050 3099600,601950 3099600,601950 3099800,600050 3099800,600050 3099600))")
    review.set_outline(review.current, strip, "edit")
    start_tool(review)
    look_at(qgis_canvas, UTM, QgsGeometry.fromWkt(square(600000, 3099600, 200)))
    click(qgis_canvas, 600100, 3099600)
    look_at(qgis_canvas, UTM, strip)
    with qtbot.waitSignal(review.said):
        click(qgis_canvas, 601900, 3099600)
    assert review.outline(review.current).symDifference(strip).area() == pytest.approx(0)


def test_nothing_stays_on_the_map(session, start_tool, qgis_canvas):
    review = session()
    before = items(qgis_canvas)
    tool = start_tool(review)
    click(qgis_canvas, EAST, BELOW)
    move(qgis_canvas, EAST, ABOVE)
    assert items(qgis_canvas) > before
    qgis_canvas.unsetMapTool(tool)
    assert items(qgis_canvas) == before
    review.show(review.queue.uid_at(1))
    assert items(qgis_canvas) == before


def test_a_review_that_closes_takes_the_tool_away(session, start_tool, qgis_canvas):
    review = session()
    before = items(qgis_canvas)
    tool = start_tool(review)
    click(qgis_canvas, EAST, BELOW)
    review.close()
    assert qgis_canvas.mapTool() is not tool
    assert items(qgis_canvas) == before


def test_slope_alone_where_there_is_no_imagery(session, start_tool):
    tool = start_tool(session(imagery=False))
    assert tool.evidence == "slope" and tool.why_not() == ""
    assert tool._choice is None


def test_without_rasters_it_says_why(session, start_tool, qgis_canvas, qtbot):
    review = session(imagery=False, dem=False)
    with qtbot.waitSignal(review.said):
        tool = start_tool(review)
    assert tool.why_not().endswith(".")
    before = review.outline(review.current).asWkt()
    click(qgis_canvas, EAST, BELOW)
    click(qgis_canvas, EAST, ABOVE)
    assert review.outline(review.current).asWkt() == before


def test_what_is_followed_is_chosen_on_the_map_and_remembered(session, start_tool, module, qgis_canvas):
    review = session()
    tool = start_tool(review)
    box = tool._choice.findChild(QComboBox)
    box.setCurrentIndex(box.findData("image"))
    assert module("dialogs.review.snap_tool").SnapTool(review, qgis_canvas).evidence == "image"
    box.setCurrentIndex(box.findData("both"))
    qgis_canvas.unsetMapTool(tool)
    assert tool._choice is None
    assert not any(choice.isVisibleTo(qgis_canvas) for choice in qgis_canvas.findChildren(QgsFloatingWidget))

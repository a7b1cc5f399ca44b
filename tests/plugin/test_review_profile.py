"""The elevation profile of a review: along which line, what is written to it, and what happens without an engine or elevation."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from osgeo import ogr, osr
from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsGeometry,
    QgsPointXY,
    QgsProfilePoint,
    QgsProject,
    QgsRasterLayer,
    QgsTask,
)
from qgis.gui import QgsDockWidget, QgsMapCanvas
from qgis.PyQt.QtCore import QObject
from qgis.PyQt.QtWidgets import QMainWindow

from tests.plugin.reviews import make_review

UTM = QgsCoordinateReferenceSystem("EPSG:32645")


@pytest.fixture
def profile_view(module, monkeypatch):
    module_ = module("dialogs.review.profile_view")
    monkeypatch.setattr(module_, "PATIENCE_MS", 0)
    return module_


@pytest.fixture
def window(qtbot):
    window = QMainWindow()
    qtbot.addWidget(window)
    window.resize(800, 700)
    canvas = QgsMapCanvas()
    canvas.setDestinationCrs(UTM)
    window.setCentralWidget(canvas)
    window.show()
    return window


@pytest.fixture
def view(profile_view, review, window):
    view = profile_view.ProfileView(review, window.centralWidget(), window)
    view.show_in(window)
    yield view
    view.release()


class FalseTask(QObject):
    """The engine's answer at once: a line due south through the outline's middle, or a failure."""

    failure = ""
    started: list[FalseTask] = []

    def __init__(self, _description, job, on_result, on_failure):
        super().__init__()
        self._job, self._on_result, self._on_failure = job, on_result, on_failure
        self.is_cancelled = False

    def start(self):
        self.started.append(self)
        return self

    def cancel(self):
        self.is_cancelled = True

    def answer(self):
        if self.failure:
            self._on_failure(self.failure)
            return
        source = ogr.Open(self._job.input)
        left, right, bottom, top = source.GetLayer(0).GetExtent()
        dataset = ogr.GetDriverByName("GPKG").CreateDataSource(self._job.output)
        crs = osr.SpatialReference()
        crs.ImportFromEPSG(32645)
        layer = dataset.CreateLayer("fall_lines", crs, ogr.wkbLineString)
        feature = ogr.Feature(layer.GetLayerDefn())
        middle = (left + right) / 2
        feature.SetGeometry(ogr.CreateGeometryFromWkt(f"LINESTRING ({middle} {top}, {middle} {bottom})"))
        layer.CreateFeature(feature)
        del layer, dataset
        self._on_result({}, [])


@pytest.fixture
def tasks(profile_view, monkeypatch):
    """Engine tasks that were started, and answer when told to."""
    FalseTask.started, FalseTask.failure = [], ""
    monkeypatch.setattr(profile_view, "EngineTask", FalseTask)
    return FalseTask.started


def uid_of(review, source_id):
    return next(review.outlines.getFeatures(f"source = 'predicted' AND source_id = '{source_id}'"))["uid"]


def show(view, review, uid, qtbot, tasks):
    """Make an outline the current one and have the engine answer."""
    review.show(uid)
    qtbot.waitUntil(lambda: not view._timer.isActive())
    if tasks:
        tasks[-1].answer()


def test_along_the_fall_line_and_beyond_both_ends(view, review, qtbot, tasks, profile_view):
    show(view, review, uid_of(review, 2), qtbot, tasks)  # 300 m on a slope of 600 m in 1990 m
    shown = view.shown
    assert shown.front - shown.roots == pytest.approx(300, rel=0.01)
    assert shown.roots == pytest.approx(300 * profile_view.BEYOND, rel=0.01)
    assert shown.line.length() == pytest.approx(300 * (1 + 2 * profile_view.BEYOND), rel=0.01)
    start, end = (shown.line.interpolate(distance).asPoint() for distance in (0, shown.line.length()))
    assert start.y() > end.y()
    assert view.text.startswith("Fall line, 300 m from 4") and f"mean slope {math.degrees(math.atan(600 / 1990)):.1f}" in view.text
    assert view.profile.crs() == shown.crs and not shown.crs.isGeographic()
    assert view.profile.layers()[0].source() == review.dem.source() and view.profile.layers()[0] != review.dem


def test_the_project_s_elevation_model_stays_as_it_is(view, review):
    assert not review.dem.elevationProperties().isEnabled()


def test_a_line_is_found_once_until_the_geometry_changes(view, review, qtbot, tasks):
    first, second = uid_of(review, 1), uid_of(review, 2)
    for uid in (first, second):
        show(view, review, uid, qtbot, tasks)
    review.show(first)
    qtbot.waitUntil(lambda: view.shown is not None and not view._timer.isActive())
    assert len(tasks) == 2
    review.set_outline(
        first, QgsGeometry.fromWkt("POLYGON((600100 3099600,600400 3099600,600400 3099900,600100 3099900,600100 3099600))"), "edit"
    )
    qtbot.waitUntil(lambda: len(tasks) == 3)
    assert view.shown is None and "being found" in view.text
    tasks[-1].answer()
    assert view.shown.front - view.shown.roots == pytest.approx(300, rel=0.01)


def test_who_goes_on_to_the_next_outline_cancels_the_search(view, review, qtbot, tasks):
    review.show(uid_of(review, 1))
    qtbot.waitUntil(lambda: len(tasks) == 1)
    review.show(uid_of(review, 2))
    qtbot.waitUntil(lambda: len(tasks) == 2)
    assert tasks[0].is_cancelled and not tasks[1].is_cancelled


def test_who_leaves_qgis_is_not_asked_about_the_search(module):
    """QGIS asks about every task that does not say otherwise, and waits for the answer."""
    task = module("dialogs.review.engine_task").EngineTask("", None, None, None)
    assert task.flags() & QgsTask.Flag.CancelWithoutPrompt and task.flags() & QgsTask.Flag.CanCancel


@pytest.mark.parametrize("failure", ["", "no way down"])
def test_files_for_the_engine_go_when_it_has_answered(view, review, qtbot, tasks, failure):
    FalseTask.failure = failure
    show(view, review, uid_of(review, 1), qtbot, tasks)
    assert view.shown is not None and not Path(tasks[0]._job.input).parent.exists()


def test_a_temporary_folder_that_cannot_be_written_is_said(view, review, qtbot, tasks, module, monkeypatch, tmp_path):
    utils = module("dialogs.review.engine_task").QgsProcessingUtils
    monkeypatch.setattr(utils, "generateTempFilename", lambda name: str(tmp_path / "not there" / name))
    show(view, review, uid_of(review, 1), qtbot, tasks)
    assert tasks == [] and view.shown.substitute and str(tmp_path / "not there") in view.text


def test_without_an_engine_a_straight_line_that_is_called_so(view, review, qtbot, tasks):
    FalseTask.failure = "The engine is not installed."
    show(view, review, uid_of(review, 3), qtbot, tasks)  # 200 m wide, 300 m long to the south
    assert view.text.startswith("Straight line along the longer axis, 300 m") and "no fall line: The engine is not installed" in view.text
    assert view.shown.line.interpolate(0).asPoint().y() > 0 > view.shown.line.interpolate(view.shown.line.length()).asPoint().y()
    assert [word.text() for _, word in view._marks] == ["upper end", "lower end"]


def test_without_elevation_there_is_no_profile(profile_view, module, tmp_path, qgis_new_project, window, qtbot):
    review = module("dialogs.review.session").Review(make_review(tmp_path, dem=False), "Ann", QgsProject.instance())
    view = profile_view.ProfileView(review, window.centralWidget(), window)
    view.show_in(window)
    review.show(uid_of(review, 1))
    qtbot.waitUntil(lambda: "no elevation model" in view.text)
    assert view.shown is None
    view.release()
    review.close()


@pytest.mark.parametrize("crs", ["EPSG:32645", "EPSG:4326"])
def test_the_place_under_the_cursor_is_on_the_map(view, review, qtbot, tasks, window, crs):
    canvas = window.centralWidget()
    canvas.setDestinationCrs(QgsCoordinateReferenceSystem(crs))
    uid = uid_of(review, 2)
    show(view, review, uid, qtbot, tasks)
    view.profile.canvasPointHovered.emit(QgsPointXY(0, 0), QgsProfilePoint(view.shown.front, 4500))
    box = review.outline(uid).boundingBox()
    front = QgsPointXY(box.center().x(), box.yMinimum())
    found = QgsCoordinateTransform(QgsCoordinateReferenceSystem(crs), UTM, QgsProject.instance()).transform(view._place.center())
    assert view._place.isVisible() and found.distance(front) < 1
    view.profile.canvasPointHovered.emit(QgsPointXY(0, 0), QgsProfilePoint())
    assert not view._place.isVisible()


def test_roots_and_front_stand_in_the_plot(view, review, qtbot, tasks):
    show(view, review, uid_of(review, 2), qtbot, tasks)
    qtbot.waitUntil(lambda: view.profile.visibleDistanceRange().upper() > view.shown.front and view._marks[1][0].isVisible())
    roots, front = (rule.line().x1() for rule, _ in view._marks)
    area = view.profile.plotArea()
    assert area.left() < roots < front < area.right()
    assert "vertical exaggeration" in view.text


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:3857"])
def test_distances_are_metres_on_the_ground_in_any_session(profile_view, tmp_path, qgis_new_project, crs):
    make_review(tmp_path)
    dem = QgsRasterLayer(str(tmp_path / "dem.tif"), "dem")
    QgsProject.instance().addMapLayer(dem)
    outline = QgsGeometry.fromWkt("POLYGON((600100 3099100,600200 3099100,600200 3099600,600100 3099600,600100 3099100))")
    there = QgsCoordinateReferenceSystem(crs)
    outline.transform(QgsCoordinateTransform(UTM, there, QgsProject.instance()))
    line = profile_view.straight_line(outline, there, QgsProject.instance(), dem, "a reason")
    assert line.front - line.roots == pytest.approx(500, rel=0.005)
    high, low = (
        profile_view.elevation_at(dem, line.line.interpolate(at).asPoint(), line.crs, QgsProject.instance())
        for at in (line.roots, line.front)
    )
    assert high - low == pytest.approx(500 * 600 / 1990, abs=7)


def test_outside_the_elevation_model_it_is_unknown(profile_view, tmp_path, qgis_new_project):
    make_review(tmp_path)
    dem = QgsRasterLayer(str(tmp_path / "dem.tif"), "dem")
    QgsProject.instance().addMapLayer(dem)
    assert math.isnan(profile_view.elevation_at(dem, QgsPointXY(700000, 3100000), UTM, QgsProject.instance()))


def test_nothing_stays_when_the_session_is_closed(profile_view, review, window, qtbot, tasks):
    canvas = window.centralWidget()
    before = len(canvas.scene().items())
    view = profile_view.ProfileView(review, canvas, window)
    view.show_in(window)
    review.show(uid_of(review, 1))
    qtbot.waitUntil(lambda: len(tasks) == 1)
    review.close()
    assert tasks[0].is_cancelled
    qtbot.waitUntil(lambda: not window.findChildren(QgsDockWidget))
    assert len(canvas.scene().items()) == before


def test_the_real_engine_finds_the_line(view, review, engine, qtbot):
    review.show(uid_of(review, 3))
    qtbot.waitUntil(lambda: view.shown is not None, timeout=60_000)
    assert not view.shown.substitute and view.shown.front - view.shown.roots == pytest.approx(300, rel=0.05)

"""The second map of a review: what it can show, and that it moves with the main one without end."""

from __future__ import annotations

import math

import numpy as np
import pytest
from osgeo import gdal
from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsMapThemeCollection,
    QgsPointXY,
    QgsProject,
    QgsRasterLayer,
    QgsRectangle,
    QgsSettings,
)
from qgis.gui import QgsDockWidget, QgsMapCanvas
from qgis.PyQt.QtCore import QEvent, Qt
from qgis.PyQt.QtWidgets import QApplication, QComboBox, QDockWidget, QMainWindow, QWidget

from tests.plugin.reviews import make_review
from tests.plugin.samples import write_raster

STACK = ("red", "green", "blue", "nir", "evi", "savi")
HOME = QgsRectangle(600000, 3098000, 602000, 3100000)


@pytest.fixture
def second_view(module):
    return module("dialogs.review.second_view")


@pytest.fixture
def window(qtbot):
    window = QMainWindow()
    qtbot.addWidget(window)
    window.resize(900, 500)
    canvas = QgsMapCanvas()
    canvas.setDestinationCrs(QgsCoordinateReferenceSystem("EPSG:32645"))
    window.setCentralWidget(canvas)
    window.show()
    canvas.setExtent(HOME)
    return window


@pytest.fixture
def main(window):
    return window.centralWidget()


@pytest.fixture
def view(second_view, review, window, main):
    QgsSettings().remove(second_view.CHOICE_SETTING)
    view = second_view.SecondView(review, main, window)
    view.show_in(window)
    QApplication.processEvents()
    yield view
    view.release()
    QgsSettings().remove(second_view.CHOICE_SETTING)


def raster(path, bands, names=()):
    layer = QgsRasterLayer(str(write_raster(path, np.random.default_rng(1).random((bands, 20, 20)).astype(np.float32), names)), path.stem)
    QgsProject.instance().addMapLayer(layer)
    return layer


@pytest.mark.parametrize(
    ("bands", "names", "shown", "words"),
    [
        (6, STACK, (4, 5, 6), "NIR-EVI-SAVI"),
        (4, ("blue", "green", "red", "nir"), (4, 3, 2), "NIR-red-green"),
        (4, (), (4, 1, 2), "infrared, bands 4, 1, 2"),
        (3, (), None, ""),
        (6, (), None, ""),
    ],
    ids=["spectral stack", "named bands", "four bands", "three bands", "six unknown bands"],
)
def test_infrared_by_the_names_of_the_bands(second_view, tmp_path, qgis_new_project, bands, names, shown, words):
    layer = raster(tmp_path / "imagery.tif", bands, names)
    assert second_view.infrared_bands(layer) == shown
    if shown:
        assert second_view.band_words(layer, shown) == words
        second_view.show_infrared(layer)
        assert (layer.renderer().redBand(), layer.renderer().greenBand(), layer.renderer().blueBand()) == shown


def test_what_can_be_shown_comes_from_the_session_and_the_project(view, review, tmp_path, window):
    assert view.choices() == ["hillshade", "slope", "probability", "imagery"]
    other = raster(tmp_path / "other_date.tif", 3)
    assert f"layer:{other.id()}" in view.choices()
    themes = QgsProject.instance().mapThemeCollection()
    themes.insert("winter", QgsMapThemeCollection.MapThemeRecord())
    assert view.choices()[-1] == "theme:winter"
    view.choose("theme:winter")
    assert view.canvas.theme() == "winter"
    view.choose(f"layer:{other.id()}")
    assert view.canvas.theme() == "" and view.canvas.layers()[-1] == other
    QgsProject.instance().removeMapLayer(other.id())
    assert view.chosen in ("hillshade", "theme:winter") and len(view.canvas.layers()) == 3


def test_layers_of_the_project_keep_their_styles(view, review):
    before = (review.dem.renderer().type(), review.probability.renderer().type(), review.imagery.renderer().type())
    for key in ("hillshade", "slope", "probability"):
        view.choose(key)
        shown = view.canvas.layers()[-1]
        assert shown not in (review.dem, review.probability)
        assert shown.source() in (review.dem.source(), review.probability.source())
        assert view.canvas.layers()[0] == review.outlines
    assert (review.dem.renderer().type(), review.probability.renderer().type(), review.imagery.renderer().type()) == before


def test_the_choice_is_remembered(second_view, view, review, window, main):
    view.choose("probability")
    again = second_view.SecondView(review, main, window)
    assert again.chosen == "probability"
    again.release()


def test_it_takes_its_room_from_the_main_map_alone_and_stands_beside_it(second_view, review, window, main, qtbot):
    docks = [QDockWidget(name, window) for name in ("left", "right")]
    window.resize(1400, 500)
    for dock, area in zip(docks, (Qt.DockWidgetArea.LeftDockWidgetArea, Qt.DockWidgetArea.RightDockWidgetArea)):
        dock.setWidget(QWidget())
        window.addDockWidget(area, dock)
    window.resizeDocks(docks, [250, 250], Qt.Orientation.Horizontal)
    QApplication.processEvents()
    widths, room = [dock.width() for dock in docks], main.width()
    view = second_view.SecondView(review, main, window)
    view.show_in(window)
    qtbot.waitUntil(lambda: abs(view.width() - 2 * room / 5) < 10)
    assert [dock.width() for dock in docks] == widths
    assert docks[0].x() < main.x() < view.x() < docks[1].x()
    view.release()


def test_it_moves_with_the_main_map(view, main):
    main.setExtent(QgsRectangle(600400, 3098400, 601000, 3098800))
    assert view.canvas.extent().contains(QgsRectangle(600400, 3098400, 601000, 3098800))
    main.setRotation(30)
    assert view.canvas.rotation() == 30


def test_the_main_map_moves_with_it_and_neither_drifts(view, main):
    scale, centre = main.scale(), main.center()
    for _ in range(10):
        view.canvas.zoomScale(view.canvas.scale() / 2)
        view.canvas.zoomScale(view.canvas.scale() * 2)
    assert main.scale() == pytest.approx(scale, rel=1e-6) and main.center().distance(centre) < 0.01
    view.canvas.zoomScale(view.canvas.scale() / 4)
    assert main.scale() == pytest.approx(scale / 4, rel=1e-6)
    view.canvas.setCenter(QgsPointXY(600500, 3099500))
    assert main.center().distance(QgsPointXY(600500, 3099500)) < 0.01


def test_another_map_projection_is_taken_over(view, review, main):
    review.show(next(review.outlines.getFeatures())["uid"])
    main.setDestinationCrs(QgsCoordinateReferenceSystem("EPSG:4326"))
    assert view.canvas.mapSettings().destinationCrs().authid() == "EPSG:4326"
    box = view._current.asGeometry().boundingBox()
    assert 87 < box.xMinimum() < 89 and 27 < box.yMinimum() < 29


def test_the_cursor_is_shown_on_the_other_map_until_it_leaves(view, main):
    main.xyCoordinates.emit(QgsPointXY(601000, 3099000))
    assert view._here.isVisible() and not view._there.isVisible()
    assert view._here.center() == QgsPointXY(601000, 3099000)
    view.canvas.xyCoordinates.emit(QgsPointXY(601100, 3099000))
    assert view._there.isVisible() and not view._here.isVisible()
    QApplication.sendEvent(view.canvas.viewport(), QEvent(QEvent.Type.Leave))
    assert not view._there.isVisible()


def test_hidden_it_leaves_the_main_map_alone_and_catches_up(view, main):
    view.hide()
    place = main.center()
    view.canvas.setCenter(QgsPointXY(600100, 3098100))
    assert main.center() == place
    main.setExtent(QgsRectangle(601000, 3099000, 601500, 3099400))
    view.show()
    assert view.canvas.center().distance(main.center()) < 1


def test_no_raster_no_picture(second_view, module, tmp_path, qgis_new_project, window, main):
    path = make_review(tmp_path, imagery=False, dem=False, probability=False)
    review = module("dialogs.review.session").Review(path, "Ann", QgsProject.instance())
    view = second_view.SecondView(review, main, window)
    assert view.choices() == [""] and "No imagery" in view.findChild(QComboBox).currentText()
    assert view.canvas.layers() == [review.outlines, review.reference]
    view.release()
    review.close()


def test_a_closed_session_takes_it_along(second_view, review, window, main, qtbot):
    before = len(main.scene().items())
    second_view.SecondView(review, main, window).show_in(window)
    review.close()
    qtbot.waitUntil(lambda: not window.findChildren(QgsDockWidget))
    assert len(main.scene().items()) == before
    main.setExtent(QgsRectangle(0, 0, 10, 10))


def brightness(layer):
    block = layer.renderer().block(1, layer.extent(), 20, 20)
    return [block.color(row, column) & 0xFF for row, column in ((10, 5), (10, 15))]


@pytest.mark.parametrize("steep", [0.2, 1.0])
def test_slope_is_dark_where_it_is_steep_whatever_its_direction(second_view, tmp_path, qgis_new_project, steep):
    columns = np.arange(20) * 10.0
    ridge = np.abs(columns - 100) * steep  # down to the west and down to the east
    layer = QgsRasterLayer(str(write_raster(tmp_path / "dem.tif", np.tile(ridge.astype(np.float32), (1, 20, 1)))), "dem")
    QgsProject.instance().addMapLayer(layer)
    second_view.show_slope(layer)
    expected = 255 * math.cos(math.atan(second_view.SLOPE_EXAGGERATION * steep))
    assert brightness(layer) == [pytest.approx(expected, abs=3)] * 2


def test_relief_in_degrees_is_as_steep_as_in_metres(second_view, tmp_path, qgis_new_project):
    """Half the metres to a degree of longitude at 60 degrees: the mean of both directions is taken."""
    path = write_raster(tmp_path / "dem.tif", np.zeros((1, 20, 20), np.float32))
    layer = QgsRasterLayer(str(path), "dem")
    QgsProject.instance().addMapLayer(layer)
    assert second_view.metres_per_unit(layer) == 1
    dataset = gdal.Open(str(path), gdal.GA_Update)
    dataset.SetGeoTransform((88.0, 0.001, 0.0, 60.01, 0.0, -0.001))
    dataset.SetProjection(QgsCoordinateReferenceSystem("EPSG:4326").toWkt())
    del dataset
    in_degrees = QgsRasterLayer(str(path), "dem in degrees")
    QgsProject.instance().addMapLayer(in_degrees)
    assert second_view.metres_per_unit(in_degrees) == pytest.approx(1 / (111_320 * math.sqrt(0.5)), rel=1e-3)

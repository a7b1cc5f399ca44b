"""The area tile by tile: order, visits, progress, and what is left on the map."""

from __future__ import annotations

import pytest
from qgis.core import QgsCoordinateReferenceSystem, QgsFeature, QgsGeometry, QgsProject, QgsRectangle
from qgis.gui import QgsMapCanvas
from qgis.PyQt.QtWidgets import QCheckBox, QLabel, QPushButton


@pytest.fixture
def canvas(qtbot):
    canvas = QgsMapCanvas()
    qtbot.addWidget(canvas)
    canvas.resize(500, 500)
    canvas.show()
    canvas.setDestinationCrs(QgsCoordinateReferenceSystem("EPSG:32645"))
    canvas.setExtent(QgsRectangle(0, 0, 10, 10))
    return canvas


@pytest.fixture
def drawn():
    return []


@pytest.fixture
def navigator(module, review, canvas, drawn, qtbot):
    navigator = module("dialogs.review.navigator").Navigator(review, canvas, lambda: drawn.append("outline"))
    qtbot.addWidget(navigator)
    yield navigator
    navigator.release()


def place(review, navigator):
    """Row and column of the tile that is looked at."""
    tile = review.tiles.getFeature(navigator.tile)
    return tile["row"], tile["col"]


def progress(navigator):
    return next(label.text() for label in navigator.findChildren(QLabel))


def visits(review):
    return {(tile["row"], tile["col"]): tile["visited_by"] for tile in review.tiles.getFeatures() if tile["visited_at"]}


def test_row_by_row_every_second_one_backwards(navigator, review):
    assert navigator.tile is None and progress(navigator) == "0 of 4 tiles visited, 0.0 %"
    walked = []
    for _ in range(4):
        navigator.next_tile()
        walked.append(place(review, navigator))
    assert walked == [(0, 0), (0, 1), (1, 1), (1, 0)]
    assert progress(navigator) == "3 of 4 tiles visited, 75.0 %" and visits(review) == {(0, 0): "Ann", (0, 1): "Ann", (1, 1): "Ann"}


def test_back_and_forth_without_a_visit_and_round_the_end(navigator, review):
    navigator.show_next()
    navigator.show_previous()
    assert place(review, navigator) == (1, 0)
    navigator.show_next()
    assert place(review, navigator) == (0, 0) and not visits(review)


def test_visited_tiles_are_passed_over_and_a_visit_can_be_taken_back(navigator, review):
    navigator.show_next()
    navigator.next_tile()
    navigator.show_previous()
    assert place(review, navigator) == (1, 0)
    box = navigator.findChild(QCheckBox)
    box.setChecked(True)
    assert set(visits(review)) == {(0, 0), (1, 0)} and progress(navigator) == "2 of 4 tiles visited, 50.0 %"
    box.setChecked(False)
    assert set(visits(review)) == {(0, 0)}


def test_at_the_end_everything_is_visited_and_the_buttons_rest(navigator, review):
    for _ in range(6):
        navigator.next_tile()
    assert progress(navigator) == "4 of 4 tiles visited, 100.0 %" and len(visits(review)) == 4
    assert [button.isEnabled() for button in navigator.findChildren(QPushButton)] == [False, True]


def test_visits_are_known_again_in_the_next_session(module, navigator, review, canvas, qtbot):
    navigator.next_tile()
    navigator.next_tile()
    path = review.path
    review.close()
    again = module("dialogs.review.session").Review(path, "Bob", QgsProject.instance())
    second = module("dialogs.review.navigator").Navigator(again, canvas, lambda: None)
    qtbot.addWidget(second)
    assert progress(second) == "1 of 4 tiles visited, 25.0 %"
    second.next_tile()
    assert place(again, second) == (0, 1)
    again.close()


@pytest.mark.parametrize("crs", ["EPSG:32645", "EPSG:4326"])
def test_the_map_shows_the_whole_tile_and_its_edge(navigator, review, canvas, crs):
    canvas.setDestinationCrs(QgsCoordinateReferenceSystem(crs))
    navigator.show_next()
    outlined = navigator._band.asGeometry().boundingBox()
    assert canvas.extent().contains(outlined) and canvas.extent().width() < 1.6 * outlined.width()


def test_the_layer_of_tiles_is_shown_while_walking_and_as_before_at_the_end(navigator, review, canvas):
    before = len(canvas.scene().items())
    node = QgsProject.instance().layerTreeRoot().findLayer(review.tiles.id())
    node.setItemVisibilityChecked(False)
    navigator.show_next()
    assert node.itemVisibilityChecked()
    navigator.release()
    assert not node.itemVisibilityChecked() and len(canvas.scene().items()) == before - 1


def test_a_closed_session_leaves_nothing_on_the_map(navigator, review, canvas):
    before = len(canvas.scene().items())
    navigator.show_next()
    review.close()
    assert len(canvas.scene().items()) == before - 1


def test_an_outline_that_is_drawn_enters_the_queue_as_added(navigator, review, drawn):
    draw = navigator.findChildren(QPushButton)[-1]
    draw.click()
    assert drawn == ["outline"]
    feature = QgsFeature(review.outlines.fields())
    feature.setGeometry(QgsGeometry.fromWkt("MULTIPOLYGON(((600000 3098000,600100 3098000,600100 3098100,600000 3098000)))"))
    review.outlines.beginEditCommand("by QGIS's own tool")
    review.outlines.addFeature(feature)
    review.outlines.endEditCommand()
    assert review.queue.counts()["added"] == 1


def test_no_tiles(module, review, canvas, qtbot):
    review.tiles.dataProvider().truncate()
    navigator = module("dialogs.review.navigator").Navigator(review, canvas, lambda: None)
    qtbot.addWidget(navigator)
    navigator.next_tile()
    assert navigator.tile is None and "no tiles" in progress(navigator)
    navigator.release()

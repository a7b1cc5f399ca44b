"""The main map in a review: where it flies, and what it draws of the outline and its counterpart."""

from __future__ import annotations

import pytest
from qgis.core import QgsCoordinateReferenceSystem, QgsCoordinateTransform, QgsGeometry, QgsProject, QgsRectangle, QgsSettings
from qgis.gui import QgsMapCanvas, QgsMapTool
from qgis.PyQt.QtWidgets import QLabel

from tests.plugin.reviews import make_review


@pytest.fixture
def canvas(qtbot):
    """600 x 400 pixels, in the session's CRS, looking at another place."""
    canvas = QgsMapCanvas()
    qtbot.addWidget(canvas)
    canvas.resize(600, 400)
    canvas.show()
    canvas.setDestinationCrs(QgsCoordinateReferenceSystem("EPSG:32645"))
    canvas.setExtent(QgsRectangle(500000, 3000000, 503000, 3002000))
    return canvas


@pytest.fixture
def map_view(module):
    return module("dialogs.review.map_view")


@pytest.fixture
def view(map_view, review, canvas):
    QgsSettings().remove(map_view.MODE_SETTING)
    view = map_view.MapView(review, canvas)
    yield view
    view.release()
    QgsSettings().remove(map_view.MODE_SETTING)


def uid_of(review, source_id, source="predicted"):
    return next(review.outlines.getFeatures(f"source = '{source}' AND source_id = '{source_id}'"))["uid"]


def areas(view):
    """Square metres in each of the three fills."""
    return {part: round(band.asGeometry().area()) for part, band in view._bands.items()}


def in_map(review, canvas, uid):
    to_map = QgsCoordinateTransform(review.crs, canvas.mapSettings().destinationCrs(), QgsProject.instance())
    return to_map.transformBoundingBox(review.outline(uid).boundingBox())


@pytest.mark.parametrize("crs", ["EPSG:32645", "EPSG:3857", "EPSG:4326"])
def test_it_flies_to_an_outline_and_its_surroundings_on_any_map(view, review, canvas, crs):
    canvas.setDestinationCrs(QgsCoordinateReferenceSystem(crs))
    uid = uid_of(review, 2)
    review.show(uid)
    assert canvas.extent().contains(in_map(review, canvas, uid))
    assert canvas.extent().width() < 12 * in_map(review, canvas, uid).width()


def test_the_counterpart_is_seen_too(view, review, canvas):
    review.show(uid_of(review, 6))  # the first of two predicted outlines in one manual outline
    assert canvas.extent().contains(review.reference_ground(review.current).boundingBox())


def test_a_small_outline_keeps_its_surroundings(map_view, view, review, canvas):
    review.show(next(f["uid"] for f in review.outlines.getFeatures() if f.geometry().area() < 4000))
    assert canvas.scale() == pytest.approx(map_view.LARGEST_SCALE, rel=0.01)


def test_pan_keeps_the_scale_and_stay_the_place(view, review, canvas):
    before, scale = canvas.extent(), canvas.scale()
    view.set_mode("stay")
    review.show(uid_of(review, 1))
    assert canvas.extent() == before
    view.set_mode("pan")
    review.show(uid_of(review, 2))
    assert canvas.scale() == pytest.approx(scale)
    assert canvas.center().distance(in_map(review, canvas, review.current).center()) < 1


def test_what_the_map_does_is_remembered_and_can_be_asked_for_once(map_view, view, review, canvas):
    view.set_mode("stay")
    assert map_view.MapView(review, canvas).mode == "stay"
    review.show(uid_of(review, 1))
    view.show_current()
    assert canvas.extent().contains(in_map(review, canvas, review.current))


@pytest.mark.parametrize(
    ("source_id", "source", "expected"),
    [
        (1, "predicted", {"common": 36000, "ours": 4000, "theirs": 4000}),
        (2, "predicted", {"common": 90000, "ours": 0, "theirs": 0}),
        (3, "predicted", {"common": 40000, "ours": 20000, "theirs": 0}),
        (4, "predicted", {"common": 76000, "ours": 4000, "theirs": 0}),
        (6, "predicted", {"common": 38000, "ours": 0, "theirs": 42000}),
        (12, "predicted", {"common": 0, "ours": 90000, "theirs": 0}),
        (12, "manual", {"common": 0, "ours": 0, "theirs": 40000}),
    ],
    ids=["shifted", "the same", "too long", "two manual ones in it", "part of a manual one", "false", "missed"],
)
def test_common_only_this_and_only_manual(view, review, source_id, source, expected):
    review.show(uid_of(review, source_id, source))
    assert areas(view) == expected


def test_edits_and_undo_are_followed_wherever_they_come_from(view, review):
    uid = uid_of(review, 1)
    review.show(uid)
    review.outlines.beginEditCommand("by a tool of QGIS")
    review.outlines.changeGeometry(review.feature(uid).id(), review.reference_ground(uid))
    review.outlines.endEditCommand()
    assert areas(view) == {"common": 40000, "ours": 0, "theirs": 0}
    review.undo()
    assert areas(view) == {"common": 36000, "ours": 4000, "theirs": 4000}


def test_compared_with_the_prediction_it_shows_what_was_edited(view, review):
    uid = uid_of(review, 2)
    review.show(uid)
    view.set_comparison("predicted")
    assert areas(view) == {"common": 90000, "ours": 0, "theirs": 0}
    review.set_outline(uid, review.outline(uid).intersection(QgsGeometry.fromRect(QgsRectangle(600000, 3099600, 600750, 3099900))), "edit")
    assert areas(view) == {"common": 45000, "ours": 0, "theirs": 45000}


def test_without_a_manual_layer_the_prediction_is_compared_with(map_view, module, tmp_path, qgis_new_project, canvas):
    review = module("dialogs.review.session").Review(make_review(tmp_path, manual=False), "Ann", QgsProject.instance())
    view = map_view.MapView(review, canvas)
    review.show(uid_of(review, 2))
    assert view.comparison == "predicted" and areas(view) == {"common": 90000, "ours": 0, "theirs": 0}
    review.close()


def test_an_invalid_outline_and_a_sliver_are_drawn(view, review):
    uid = uid_of(review, 1)
    review.show(uid)
    bow_tie = "MULTIPOLYGON(((600100 3099600,600300 3099800,600300 3099600,600100 3099800,600100 3099600)))"
    sliver = "MULTIPOLYGON(((600100 3099600,600300 3099600,600200 3099600.001,600100 3099600)))"
    for wkt, area in ((bow_tie, 20000), (sliver, 0)):
        review.outlines.changeGeometry(review.feature(uid).id(), QgsGeometry.fromWkt(wkt))
        view.redraw()
        found = areas(view)
        assert found["common"] + found["ours"] == area


class EditTool(QgsMapTool):
    """Stands in for the vertex tool."""

    def flags(self):
        return QgsMapTool.Flag.EditTool


def test_fills_step_back_while_the_boundary_is_edited(view, review, canvas):
    review.show(uid_of(review, 1))
    tool = EditTool(canvas)
    canvas.setMapTool(tool)
    assert not view._boundary.isVisible() and not view._bands["common"].isVisible()
    assert view._bands["ours"].isVisible() and view._bands["ours"].opacity() < 0.5
    view.redraw()
    assert not view._boundary.isVisible() and not view._bands["common"].isVisible(), "drawn anew after an edit"
    canvas.unsetMapTool(tool)
    assert view._boundary.isVisible() and view._bands["common"].isVisible() and view._bands["ours"].opacity() == 1
    view.set_shows_fills(False)
    review.show(uid_of(review, 2))
    assert view._boundary.isVisible() and not any(band.isVisible() for band in view._bands.values())


def test_nothing_stays_on_the_map(map_view, review, canvas):
    before = len(canvas.scene().items())
    view = map_view.MapView(review, canvas)
    review.show(uid_of(review, 1))
    view.release()
    assert len(canvas.scene().items()) == before
    place = canvas.extent()
    review.show(uid_of(review, 2))
    assert canvas.extent() == place


def test_the_legend_says_what_is_compared(map_view, view, review, qtbot):
    legend = map_view.LegendLine(view)
    qtbot.addWidget(legend)

    def words():
        return [label.text() for label in legend.findChildren(QLabel) if label.text()]

    review.show(uid_of(review, 1))
    assert words() == ["in common", "only outline", "only manual"]
    view.set_comparison("predicted")
    assert words() == ["as predicted", "only now", "only predicted"]
    review.show(uid_of(review, 12, "manual"))
    assert words() == ["in common", "only predicted", "only manual"]
    assert legend.minimumSizeHint().width() <= 300

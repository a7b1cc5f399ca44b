"""Learning from the session: what is missing is said, and a new detection is taken in without touching decisions."""

from __future__ import annotations

import shutil
import sqlite3

import pytest
from qgis.core import QgsProject, QgsRasterLayer, QgsSettings, QgsVectorLayer
from qgis.PyQt.QtCore import Qt
from qgis.PyQt.QtWidgets import QDialog, QLabel

import jobs
from tests.plugin.interface import Interface
from tests.plugin.reviews import make_review

SLOWEST_MS = 60_000


@pytest.fixture
def adapt(module):
    return module("dialogs.review.adapt")


@pytest.fixture
def review(module, tmp_path, qgis_new_project):
    review = module("dialogs.review.session").Review(make_review(tmp_path), "Ada", QgsProject.instance())
    yield review
    review.close()


def uids(review):
    return [review.queue.uid_at(position) for position in range(len(review.queue))]


def second_detection(folder):
    """What a second run found: the first predicted outline has moved, the last is gone."""
    path = folder / "second.gpkg"
    shutil.copy(folder / "predicted.gpkg", path)
    layer = QgsProject.instance().addMapLayer(QgsVectorLayer(f"{path}|layername=predicted", "Second detection", "ogr"))
    assert layer.startEditing()
    features = sorted(layer.getFeatures(), key=lambda feature: feature.id())
    moved = features[0].geometry()
    moved.translate(60, 0)
    layer.changeGeometry(features[0].id(), moved)
    layer.deleteFeature(features[-1].id())
    assert layer.commitChanges()
    return layer


def test_the_engine_has_no_such_command_yet():
    """When it has, ``AdaptDialog`` is to run it."""
    assert "adapt" not in jobs.JOB_TYPES


def test_it_says_what_is_missing(adapt, review):
    lacks = adapt.missing(review)
    assert len(lacks) == 3
    assert "is not in it" in lacks[0] and "at least 3 outlines; the session has 0" in lacks[1] and "no spectral stack" in lacks[2]
    review.accept(uids(review)[:3])
    assert len(adapt.missing(review)) == 2


def test_it_says_how_many_examples_there_are_and_what_can_be_done_now(adapt, review, qtbot):
    review.accept(uids(review)[:3])
    review.reject(uids(review)[3:5], "talus")
    done = []
    dialog = adapt.AdaptDialog(review, lambda: done.append("training"), lambda: done.append("detection"))
    qtbot.addWidget(dialog)
    labels = " ".join(label.text() for label in dialog.findChildren(type(dialog.lacks)))
    assert "3 outlines of rock glaciers, 2 rejected ones" in labels and "is not in it" in labels
    for button in dialog.findChildren(type(dialog.findChild(adapt.QDialogButtonBox).buttons()[0])):
        if button.text().replace("&", "") in ("Make training data…", "Take in a new detection…"):
            button.click()
    assert done == ["training", "detection"]


class TestTakeIn:
    """A new detection."""

    @pytest.fixture
    def detection(self, tmp_path, review):
        return second_detection(tmp_path)

    def test_the_chosen_layers_become_the_job(self, adapt, review, detection, tmp_path, qtbot):
        raster = QgsProject.instance().addMapLayer(QgsRasterLayer(str(tmp_path / "probability.tif"), "second probability"))
        dialog = adapt.TakeInDialog(review)
        qtbot.addWidget(dialog)
        assert dialog.predicted.currentLayer() is detection and dialog.predicted.count() == 1
        assert dialog.probability.currentText() == "as before"
        dialog.probability.setLayer(raster)
        job, told = dialog.job()
        assert told == "" and (job.session, job.output) == (str(review.path), str(review.path))
        assert (job.predicted, job.predicted_layer, job.probability) == (
            str(tmp_path / "second.gpkg"),
            "predicted",
            str(tmp_path / "probability.tif"),
        )
        assert job.manual is None

    def test_lost_outlines_leave_the_queue_and_only_in_the_area_that_was_looked_at(self, adapt, review, detection, tmp_path, qtbot):
        detection.setName("detection")
        area = QgsProject.instance().addMapLayer(QgsVectorLayer(f"{tmp_path / 'manual.gpkg'}|layername=manual", "area", "ogr"))
        dialog = adapt.TakeInDialog(review)
        qtbot.addWidget(dialog)
        assert any("leave the queue" in label.text() for label in dialog.findChildren(QLabel))
        dialog.predicted.setLayer(detection)
        assert dialog.job()[0].area_of_interest is None
        dialog.area_of_interest.setLayer(area)
        job, _told = dialog.job()
        assert (job.area_of_interest, job.area_of_interest_layer) == (str(tmp_path / "manual.gpkg"), "manual")
        area.setSubsetString("fid < 3")
        job, told = dialog.job()
        assert job.area_of_interest == str(tmp_path / "review_area.gpkg") and "copied" in told

    def test_without_a_layer_there_is_nothing_to_take_in(self, adapt, review, qtbot):
        dialog = adapt.TakeInDialog(review)
        qtbot.addWidget(dialog)
        assert not dialog.findChild(adapt.QDialogButtonBox).button(adapt.QDialogButtonBox.StandardButton.Ok).isEnabled()

    def test_for_real_no_decision_changes(self, engine, module, qgis_parent, qgis_new_project, tmp_path, qtbot):
        QgsSettings().remove("rock_glacier_mapper/review")
        interface = Interface()
        qtbot.addWidget(interface.mainWindow())
        dock = module("dialogs.review.dock").ReviewDock(interface, lambda: None)
        interface.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, dock)
        dock.start_page._operator.setText("Ada")
        path = make_review(tmp_path)
        dock.open_session(path)
        decided = uids(dock.review)[1:4]
        dock.review.accept(decided[:2])
        dock.review.reject(decided[2:], "snow")
        detection = second_detection(tmp_path)
        dock.commands["take_in"].trigger()
        dialog = next(dialog for dialog in dock.findChildren(QDialog) if dialog.isVisible())
        assert dialog.predicted.currentLayer() is detection
        dialog.accept()
        qtbot.waitUntil(lambda: dock.review is not None, timeout=SLOWEST_MS)
        assert [dock.review.queue.get(uid)["status"] for uid in decided] == ["accepted", "accepted", "rejected"]
        assert any("0 outlines found, 1 lost, 1 moved." in text for text in interface.texts()), interface.texts()
        dock.commands["changes"].trigger()
        changes = {dock.review.queue.row_at(position)["change"] for position in range(len(dock.review.queue))}
        assert changes == {"moved"}
        dock.release()
        with sqlite3.connect(path) as connection:
            assert connection.execute("SELECT count(*) FROM outlines").fetchone()[0] >= 15
        connection.close()

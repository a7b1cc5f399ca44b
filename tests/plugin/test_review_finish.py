"""What comes out of a session: the dialogs for results and for training data."""

from __future__ import annotations

import json

import numpy as np
import pytest
from qgis.core import QgsProject, QgsRasterLayer
from qgis.PyQt import sip
from qgis.PyQt.QtCore import QUrl
from qgis.PyQt.QtGui import QDesktopServices

from tests.plugin.reviews import make_review
from tests.plugin.samples import write_raster

SLOWEST_MS = 60_000
BANDS = ("red", "green", "blue", "nir", "evi", "savi")


@pytest.fixture
def review(module, tmp_path, qgis_new_project):
    review = module("dialogs.review.session").Review(make_review(tmp_path), "Ada", QgsProject.instance())
    uids = [review.queue.uid_at(position) for position in range(len(review.queue))]
    review.accept(uids[:3])
    review.mark_uncertain(uids[3:4])
    review.reject(uids[4:6], "moraine")
    yield review
    review.close()


@pytest.fixture
def spectral(tmp_path):
    """A spectral stack of the session's ground, in the project."""
    values = np.random.default_rng(1).uniform(0.05, 0.4, (6, 200, 200)).astype(np.float32)
    path = write_raster(tmp_path / "stack.tif", values, BANDS)
    layer = QgsProject.instance().addMapLayer(QgsRasterLayer(str(path), "Spectral stack"))
    assert layer.isValid()
    return path


@pytest.fixture
def shown(monkeypatch):
    """What was opened with another program."""
    shown = []
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: shown.append(QUrl(url).toLocalFile()))
    return shown


@pytest.fixture
def finish(module, review, qtbot):
    dialog = module("dialogs.review.finish_dialog").FinishDialog(review)
    qtbot.addWidget(dialog)
    return dialog


def texts(dialog):
    return [button.text().replace("&", "") for button in dialog.buttons.buttons()]


def press(dialog, text):
    next(button for button in dialog.buttons.buttons() if button.text().replace("&", "") == text).click()


class TestFinish:
    """Finish the review."""

    def test_says_what_will_be_there_and_what_is_open(self, finish, tmp_path):
        assert "4 outlines are kept, 2 rejected. 10 are still undecided" in finish._said.text()
        assert finish._folder.filePath() == str(tmp_path / "review_finished") and finish._operator.text() == "Ada"

    def test_the_engine_is_told_what_the_form_says(self, finish, review, qtbot, false_engine, tmp_path):
        false_engine("error")
        finish._form.setCurrentIndex(finish._form.findData("tprogi"))
        finish._accuracy.setChecked(False)
        finish._imagery.setText("Sentinel-2, 2024-08-12")
        finish.run_button.click()
        qtbot.waitUntil(lambda: not finish.bar.is_busy, timeout=SLOWEST_MS)
        job = json.loads((tmp_path / "job.json").read_text())
        assert (job["command"], job["session"], job["folder"]) == ("finish_review", str(review.path), str(tmp_path / "review_finished"))
        assert (job["form"], job["accuracy"], job["stacks"], job["imagery"]) == ("tprogi", False, [], "Sentinel-2, 2024-08-12")
        assert not review.outlines.isModified() and "no coordinate reference system" in finish._outcome.text()

    def test_without_a_folder_it_does_not_start(self, finish):
        finish._folder.setFilePath("")
        finish.run_button.click()
        assert "Choose the folder" in finish._outcome.text() and not finish.bar.is_busy

    def test_for_real(self, engine, finish, qtbot, shown, tmp_path, review):
        finish.run_button.click()
        qtbot.waitUntil(lambda: not finish.bar.is_busy, timeout=SLOWEST_MS)
        assert "4 outlines are in the inventory, 2 were rejected." in finish._outcome.text()
        assert review.is_open and review.outlines.isEditable()
        for name in ("Accuracy report", "Effort report", "Open folder"):
            press(finish, name)
        folder = tmp_path / "review_finished"
        assert shown == [str(folder / "accuracy.html"), str(folder / "effort.html"), str(folder)]
        press(finish, "Load inventory")
        group = QgsProject.instance().layerTreeRoot().children()[0]
        counts = {node.name(): node.layer().featureCount() for node in group.findLayers()}
        assert "Inventory review_finished" in group.name() and 4 in counts.values()

    def test_again_it_offers_nothing_twice(self, finish, qtbot):
        finish.offer("Load inventory", lambda: None)
        finish._folder.setFilePath("")
        finish.run_button.click()
        assert "Load inventory" not in texts(finish)

    def test_it_goes_with_the_session(self, finish, review):
        finish.show()
        review.close()
        assert not finish.isVisible()


class TestTrainingData:
    """One click."""

    @pytest.fixture
    def dialog(self, module, review, spectral, qtbot):
        dialog = module("dialogs.review.training_dialog").TrainingDialog(review)
        qtbot.addWidget(dialog)
        return dialog

    def test_says_how_many_examples_there_are(self, dialog):
        assert "3 outlines of rock glaciers and 2 rejected" in dialog._outcome.text()

    def test_only_spectral_stacks_are_offered_and_none_is_taken_unasked(self, dialog, spectral):
        names = [dialog._stacks._list.item(row).text() for row in range(dialog._stacks._list.count())]
        assert names == ["Spectral stack"] and dialog._stacks.paths() == ()
        dialog.run_button.click()
        assert "Check the spectral stacks" in dialog._outcome.text() and not dialog.bar.is_busy

    def test_the_sessions_own_imagery_is_checked(self, module, review, spectral, qtbot):
        review._layers["imagery"] = QgsProject.instance().mapLayersByName("Spectral stack")[0]
        dialog = module("dialogs.review.training_dialog").TrainingDialog(review)
        qtbot.addWidget(dialog)
        assert dialog._stacks.paths() == (str(spectral),)

    def test_for_real(self, engine, dialog, spectral, qtbot, shown, tmp_path):
        dialog._stacks._add("stack", str(spectral), checked=True)
        dialog.run_button.click()
        qtbot.waitUntil(lambda: not dialog.bar.is_busy, timeout=SLOWEST_MS)
        assert "samples of rock glaciers" in dialog._outcome.text(), dialog._outcome.text()
        press(dialog, "Look at the samples")
        assert (tmp_path / "review_samples" / "contact_sheet.png").is_file() and len(shown) == 1


def test_progress_that_comes_after_the_window_was_closed_disturbs_nobody(module, qtbot, monkeypatch):
    job_bar = module("dialogs.review.job_bar")
    monkeypatch.setattr(job_bar._Task, "start", lambda task: task)
    bar = job_bar.JobBar()
    bar.run("Working", None, lambda *_: None, lambda _text: None)
    task = bar._task
    task.progressChanged.emit(30)
    assert bar._progress.value() == 30
    sip.delete(bar)
    with qtbot.capture_exceptions() as raised:
        task.progressChanged.emit(60)
    assert raised == []

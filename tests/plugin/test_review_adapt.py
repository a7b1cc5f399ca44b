"""Learning from the session: adapting a model and detecting anew, and taking a new detection in, without touching decisions."""

from __future__ import annotations

import json
import shutil
import sqlite3

import numpy as np
import pytest
from osgeo import gdal, osr
from qgis.core import Qgis, QgsProject, QgsRasterLayer, QgsSettings, QgsVectorLayer
from qgis.PyQt.QtCore import Qt
from qgis.PyQt.QtWidgets import QDialog, QLabel, QPushButton

from jobs import STACK_BANDS
from tests.plugin.interface import Interface
from tests.plugin.reviews import make_review
from tests.plugin.samples import write_raster

SLOWEST_MS = 60_000


@pytest.fixture
def adapt(module):
    return module("dialogs.review.adapt")


@pytest.fixture
def review(module, tmp_path, qgis_new_project):
    review = module("dialogs.review.session").Review(make_review(tmp_path), "Ada", QgsProject.instance())
    yield review
    review.close()


def rows(review):
    return [review.queue.row_at(position) for position in range(len(review.queue))]


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


@pytest.fixture
def path(tmp_path, no_engine, false_engine, qgis_new_project):
    """A session with a stack as imagery, a false engine, and no model of a person's own yet."""
    path = make_review(tmp_path, imagery=False)
    surface = np.random.default_rng(1).uniform(0.1, 0.4, (6, 200, 200)).astype(np.float32)
    write_raster(tmp_path / "imagery.tif", surface, STACK_BANDS)
    with sqlite3.connect(path) as connection:
        connection.execute("INSERT INTO settings (key, value) VALUES ('imagery', ?)", (str(tmp_path / "imagery.tif"),))
    connection.close()
    false_engine()
    return path


def begin(review):
    """Three outlines are accepted, the two upper tiles of four visited."""
    review.accept(uids(review)[:3])
    for tile in review.tiles.getFeatures():
        if tile["row"] == 0:
            review.visit_tile(tile.id(), True)


class TestAsked:
    """What the dialog says and asks."""

    @pytest.fixture
    def session(self, module, path):
        session = module("dialogs.review.session").Review(path, "Ada", QgsProject.instance())
        begin(session)
        yield session
        session.close()

    def test_what_is_missing(self, adapt, review, monkeypatch):
        monkeypatch.setattr(adapt, "why_no_training", lambda: "Training needs more packages")
        lacks = adapt.missing(review)
        assert len(lacks) == 3 and lacks[0] == "Training needs more packages"
        assert "at least 3 outlines; the session has 0" in lacks[1] and "no spectral stack" in lacks[2]
        review.accept(uids(review)[:3])
        assert len(adapt.missing(review)) == 2

    def test_a_session_with_a_stack_and_three_outlines_lacks_nothing(self, adapt, session):
        assert adapt.missing(session) == []

    def test_what_is_missing_is_told_and_what_can_be_done_now(self, adapt, review, qtbot):
        review.accept(uids(review)[:3])
        review.reject(uids(review)[3:5], "talus")
        done = []
        dialog = adapt.AdaptDialog(review, lambda: done.append("training"), lambda: done.append("detection"))
        qtbot.addWidget(dialog)
        labels = " ".join(label.text() for label in dialog.findChildren(QLabel))
        assert "3 outlines of rock glaciers, 2 rejected ones. 4 of 4 tiles are not visited yet." in labels
        assert "no spectral stack" in dialog.lacks.text() and not dialog.run_button.isEnabled()
        for button in dialog.findChildren(QPushButton):
            if button.text().replace("&", "") in ("Make training data…", "Take in a new detection…"):
                button.click()
        assert done == ["training", "detection"]

    def test_a_name_that_none_has_is_suggested_and_another_can_be_given(self, adapt, session, module, qtbot):
        home = module("processing_provider.engine_home")
        dialog = adapt.AdaptDialog(session, lambda: None, lambda: None)
        qtbot.addWidget(dialog)
        assert dialog.order() == module("dialogs.review.adaptation").Order("", 10.0, "dednet-compact-adapted")
        assert dialog.run_button.isEnabled()
        (home.models_folder() / "dednet-compact-adapted").mkdir(parents=True)
        dialog._suggest()
        assert dialog.name.text() == "dednet-compact-adapted-2"
        for name in ("dednet-compact-adapted", "dednet-compact", "", "a/b", "..", "a:b"):
            dialog.name.setText(name)
            assert not dialog.run_button.isEnabled() and dialog._problem.text(), name
        dialog.name.clear()
        dialog.name.setModified(True)
        dialog.name.setText("my alps")
        assert dialog.run_button.isEnabled() and dialog._problem.isHidden()

    def test_the_model_of_the_detection_is_the_one_to_start_from(self, adapt, session, module, tmp_path, qtbot):
        folder = module("processing_provider.engine_home").models_folder() / "alps"
        folder.mkdir(parents=True)
        (folder / "model.json").write_text("{}")
        dataset = gdal.OpenEx(str(tmp_path / "probability.tif"), gdal.OF_UPDATE)
        dataset.SetMetadata({"MODEL": "alps"}, "ROCK_GLACIER_MAPPER")
        del dataset
        dialog = adapt.AdaptDialog(session, lambda: None, lambda: None)
        qtbot.addWidget(dialog)
        assert dialog.model.currentData() == "alps" and dialog.name.text() == "alps-adapted"


class TestChain:
    """Adapt, detect, draw, take in: in the dock."""

    @pytest.fixture
    def interface(self, qgis_parent, qtbot):
        QgsSettings().remove("rock_glacier_mapper/review")
        interface = Interface()
        qtbot.addWidget(interface.mainWindow())
        return interface

    @pytest.fixture
    def dock(self, module, interface, path, tmp_path):
        dock = module("dialogs.review.dock").ReviewDock(interface, lambda: None)
        interface.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, dock)
        dock.start_page._operator.setText("Ada")
        shutil.copy(path, tmp_path / "updated.gpkg")
        dock.open_session(path)
        begin(dock.review)
        (tmp_path / "results.json").write_text(json.dumps({"adapt": {"is_worse": False}}))
        yield dock
        dock.release()

    @pytest.fixture
    def start(self, dock, false_engine, tmp_path):
        def start(behaviours=None, polygons=""):
            false_engine("", polygons)
            (tmp_path / "behaviours.json").write_text(json.dumps(behaviours or {}))
            dock.commands["adapt"].trigger()
            dialog = next(dialog for dialog in dock.findChildren(QDialog) if dialog.isVisible())
            dialog.minutes.setValue(2)
            dialog.run_button.click()

        return start

    def jobs(self, folder):
        return [json.loads(line) for line in (folder / "jobs.jsonl").read_text().splitlines()]

    def test_every_job_hands_over_to_the_next_and_the_session_opens_where_it_was(self, dock, start, module, tmp_path, qtbot):
        path, here = dock.review.path, uids(dock.review)[4]
        dock.review.show(here)
        dock.review.save()
        with sqlite3.connect(path) as source, sqlite3.connect(tmp_path / "updated.gpkg") as target:
            source.backup(target)  # what the false engine writes for every layer
        source.close()
        target.close()
        start(polygons=tmp_path / "updated.gpkg")
        assert dock.review.is_open and dock.learning.is_busy and dock.page.isEnabled()
        qtbot.waitUntil(lambda: dock.review is None, timeout=SLOWEST_MS)
        qtbot.waitUntil(lambda: dock.review is not None, timeout=SLOWEST_MS)
        assert dock.review.current == here
        adapt, detect, postprocess, update = self.jobs(tmp_path)
        models = module("processing_provider.engine_home").models_folder()
        assert [adapt[name] for name in ("command", "model", "minutes", "images")] == ["adapt", "", 2.0, None]
        assert adapt["output"] == str(models / "dednet-compact-adapted") and adapt["models_folders"] == [str(models)]
        assert (adapt["stacks"], adapt["outlines"], adapt["outlines_layer"]) == ([str(tmp_path / "imagery.tif")], str(path), "outlines")
        assert (detect["command"], detect["input"], detect["model"]) == ("detect", adapt["stacks"][0], "dednet-compact-adapted")
        assert detect["probability"] == str(tmp_path / "review_dednet-compact-adapted_probability.tif")
        assert (postprocess["command"], postprocess["input"], postprocess["probability"]) == (
            "postprocess",
            detect["output"],
            detect["probability"],
        )
        assert postprocess["dem"] == str(tmp_path / "dem.tif")
        assert (update["command"], update["session"], update["output"]) == ("update_review", str(path), str(path))
        assert update["predicted"] == postprocess["output"] == str(tmp_path / "review_dednet-compact-adapted_outlines.gpkg")
        assert (update["area_of_interest"], update["area_of_interest_layer"]) == (detect["mask"], detect["mask_layer"])
        tiles = QgsVectorLayer(f"{detect['mask']}|layername={detect['mask_layer']}", "", "ogr")
        assert [tile["row"] for tile in tiles.getFeatures()] == [1, 1]  # those of row 0 are visited
        del tiles
        assert "dednet-compact-adapted" in module("processing_provider.engine_home").installed_models()

    @pytest.mark.parametrize("step", ["adapt", "detect", "postprocess"])
    def test_a_failure_leaves_the_session_as_it_was(self, dock, interface, start, tmp_path, qtbot, step):
        before = {row["uid"]: row["status"] for row in rows(dock.review)}
        start({step: "error"})
        qtbot.waitUntil(lambda: not dock.learning.is_busy and bool(interface.texts(Qgis.MessageLevel.Critical)), timeout=SLOWEST_MS)
        assert interface.texts(Qgis.MessageLevel.Critical) == ["scene.tif has no coordinate reference system."]
        assert dock.review.is_open and {row["uid"]: row["status"] for row in rows(dock.review)} == before
        assert self.jobs(tmp_path)[-1]["command"] == step
        assert not list(tmp_path.glob("review_*"))

    def test_an_update_that_fails_leaves_the_session_as_it_was(self, dock, interface, start, qtbot):
        before = {row["uid"]: row["status"] for row in rows(dock.review)}
        start({"update_review": "error"})
        qtbot.waitUntil(lambda: bool(interface.texts(Qgis.MessageLevel.Critical)), timeout=SLOWEST_MS)
        qtbot.waitUntil(lambda: dock.review is not None, timeout=SLOWEST_MS)
        assert {row["uid"]: row["status"] for row in rows(dock.review)} == before

    def test_a_model_that_got_worse_is_not_used_unless_the_person_says_so(self, dock, interface, start, tmp_path, qtbot):
        (tmp_path / "results.json").write_text(json.dumps({"adapt": {"is_worse": True}}))
        start({"detect": "error"})
        qtbot.waitUntil(lambda: not dock.learning.is_busy, timeout=SLOWEST_MS)
        assert [job["command"] for job in self.jobs(tmp_path)] == ["adapt"]
        assert any("A few pixels are brighter" in text for text in interface.texts())  # the false engine's warning
        button = next(
            button for item in interface.messageBar().items() for button in item.findChildren(QPushButton) if "anyway" in button.text()
        )
        button.click()
        qtbot.waitUntil(lambda: bool(interface.texts(Qgis.MessageLevel.Critical)), timeout=SLOWEST_MS)
        assert [job["command"] for job in self.jobs(tmp_path)] == ["adapt", "detect"]

    def test_an_old_offer_does_not_disturb_a_new_adaptation(self, dock, interface, start, tmp_path, qtbot):
        (tmp_path / "results.json").write_text(json.dumps({"adapt": {"is_worse": True}}))
        start()
        qtbot.waitUntil(lambda: not dock.learning.is_busy, timeout=SLOWEST_MS)
        start({"adapt": "slow"})
        qtbot.waitUntil(lambda: len(self.jobs(tmp_path)) == 2, timeout=SLOWEST_MS)
        button = next(
            button for item in interface.messageBar().items() for button in item.findChildren(QPushButton) if "anyway" in button.text()
        )
        button.click()
        dock.learning.cancel()
        qtbot.waitUntil(lambda: not dock.learning.is_busy, timeout=SLOWEST_MS)
        assert [job["command"] for job in self.jobs(tmp_path)] == ["adapt", "adapt"]

    def test_where_all_tiles_are_visited_only_the_model_is_made(self, dock, interface, start, tmp_path, qtbot):
        for tile in dock.review.tiles.getFeatures():
            dock.review.visit_tile(tile.id(), True)
        start()
        qtbot.waitUntil(lambda: any("nothing is detected anew" in text for text in interface.texts()), timeout=SLOWEST_MS)
        assert [job["command"] for job in self.jobs(tmp_path)] == ["adapt"] and not dock.learning.is_busy

    def test_cancelled_nothing_has_changed(self, dock, interface, start, tmp_path, qtbot):
        start({"detect": "slow"})
        qtbot.waitUntil(lambda: (tmp_path / "jobs.jsonl").exists() and len(self.jobs(tmp_path)) == 2, timeout=SLOWEST_MS)
        dock.learning.cancel()
        qtbot.waitUntil(lambda: not dock.learning.is_busy, timeout=SLOWEST_MS)
        assert dock.review.is_open and not interface.texts(Qgis.MessageLevel.Critical)

    def test_it_ends_with_its_session(self, dock, start, tmp_path, qtbot):
        start({"adapt": "slow"})
        qtbot.waitUntil((tmp_path / "job.json").exists, timeout=SLOWEST_MS)
        dock.close_session()
        qtbot.waitUntil(lambda: not dock.learning.is_busy, timeout=SLOWEST_MS)
        qtbot.waitUntil((tmp_path / "cancelled").exists, timeout=SLOWEST_MS)
        assert dock.review is None and len(self.jobs(tmp_path)) == 1

    def test_one_at_a_time_and_no_other_job_takes_the_session_away(self, dock, interface, start, tmp_path, qtbot):
        start({"adapt": "slow"})
        dock.commands["adapt"].trigger()
        assert any("being adapted already" in text for text in interface.texts())
        dock.update_inputs()
        assert dock.review is not None and any("being adapted to this session" in text for text in interface.texts())
        dock.learning.cancel()
        qtbot.waitUntil(lambda: not dock.learning.is_busy, timeout=SLOWEST_MS)

    def test_what_is_half_drawn_is_not_taken_away(self, dock, interface, start, tmp_path, qtbot):
        start(polygons=tmp_path / "updated.gpkg")
        dock.commands["split"].trigger()
        assert not dock.page.is_at_rest
        qtbot.waitUntil(lambda: any("has detected anew" in text for text in interface.texts()), timeout=SLOWEST_MS)
        assert dock.review is not None and not dock.page.is_at_rest
        button = next(
            button for item in interface.messageBar().items() for button in item.findChildren(QPushButton) if button.text() == "Take it in"
        )
        button.click()
        qtbot.waitUntil(lambda: dock.review is not None, timeout=SLOWEST_MS)
        assert self.jobs(tmp_path)[-1]["command"] == "update_review"


class TestForReal:
    """The real engine; adapting itself only where it has the packages for training, else a copy of the bundled model stands in."""

    @pytest.fixture
    def dock(self, engine, module, qgis_parent, qgis_new_project, tmp_path, qtbot, monkeypatch):
        home, adaptation = module("processing_provider.engine_home"), module("dialogs.review.adaptation")
        for place in (home, adaptation):
            monkeypatch.setattr(place, "models_folder", lambda: tmp_path / "models")
        if home.training_state() is not home.EngineState.READY:
            monkeypatch.setattr(module("dialogs.review.adapt"), "why_no_training", lambda: "")
            monkeypatch.setattr(
                module("dialogs.review.engine_task"), "run_job", copying(home.BUNDLED_MODELS / "dednet-compact", run_job(module))
            )
        path = make_review(tmp_path, imagery=False)
        ground = np.random.default_rng(1).uniform(0.1, 0.4, (6, 200, 200)).astype(np.float32)
        write_raster(tmp_path / "imagery.tif", ground, STACK_BANDS)
        with sqlite3.connect(path) as connection:
            connection.execute("INSERT INTO settings (key, value) VALUES ('imagery', ?)", (str(tmp_path / "imagery.tif"),))
        connection.close()
        QgsSettings().remove("rock_glacier_mapper/review")
        interface = Interface()
        qtbot.addWidget(interface.mainWindow())
        dock = module("dialogs.review.dock").ReviewDock(interface, lambda: None)
        interface.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, dock)
        dock.start_page._operator.setText("Ada")
        dock.open_session(path)
        begin(dock.review)
        yield dock
        dock.release()

    def test_what_is_decided_or_visited_stays_and_the_rest_is_detected_anew(self, dock, tmp_path, qtbot):
        before = {row["uid"]: row["status"] for row in rows(dock.review)}
        visited = on_visited_ground(dock.review)
        dock.commands["adapt"].trigger()
        dialog = next(dialog for dialog in dock.findChildren(QDialog) if dialog.isVisible())
        dialog.minutes.setValue(0.5)
        dialog.run_button.click()
        qtbot.waitUntil(lambda: dock.review is None, timeout=20 * SLOWEST_MS)
        qtbot.waitUntil(lambda: dock.review is not None, timeout=SLOWEST_MS)
        after = {row["uid"]: row["status"] for row in rows(dock.review)}
        decided = {uid for uid, status in before.items() if status != "unreviewed"}
        assert len(decided) == 3 and {uid: after[uid] for uid in decided} == {uid: before[uid] for uid in decided}
        assert visited <= set(after) and len(visited) > len(decided)
        assert (tmp_path / "models" / "dednet-compact-adapted" / "model.json").is_file()
        assert dock.review.probability.source().endswith("review_dednet-compact-adapted_probability.vrt")
        dataset = gdal.Open(dock.review.probability.source())
        old = gdal.Open(str(tmp_path / "probability.tif")).ReadAsArray()
        both = dataset.ReadAsArray()
        assert dataset.GetMetadata("ROCK_GLACIER_MAPPER")["MODEL"].startswith("dednet-compact")
        assert (both[:90] == old[:90]).all() and (both[110:] != old[110:]).any()  # visited above, detected anew below
        del dataset


def run_job(module):
    return module("processing_provider.engine_process").run_job


def copying(model, otherwise):
    """An engine in which adapting is copying."""

    def run(job, feedback):
        if job.command != "adapt":
            return otherwise(job, feedback)
        shutil.copytree(model, job.output)
        return {"is_worse": False}

    return run


def on_visited_ground(review):
    """Outlines (uid) in the visited tiles."""
    north = [tile.geometry() for tile in review.tiles.getFeatures() if tile["row"] == 0]
    return {uid for uid in uids(review) if any(tile.contains(review.outline(uid)) for tile in north)}


class TestProbability:
    """The new raster over the one of the session."""

    @pytest.fixture
    def laid_over(self, module):
        return module("dialogs.review.adaptation").laid_over

    def rasters(self, folder):
        old = write_raster(folder / "old.tif", np.full((1, 4, 4), 0.2, np.float32))
        values = np.full((1, 4, 4), np.nan, np.float32)
        values[0, 2:] = 0.9
        new = write_raster(folder / "new.tif", values)
        dataset = gdal.OpenEx(str(new), gdal.OF_UPDATE)
        dataset.GetRasterBand(1).SetNoDataValue(float("nan"))
        dataset.SetMetadata({"MODEL": "mine", "THRESHOLD": "0.4"}, "ROCK_GLACIER_MAPPER")
        del dataset
        return old, new

    def test_where_the_new_one_knows_nothing_the_old_one_stays(self, laid_over, tmp_path):
        old, new = self.rasters(tmp_path)
        both = laid_over(str(old), new)
        assert both == str(tmp_path / "new.vrt")
        dataset = gdal.Open(both)
        assert dataset.ReadAsArray() == pytest.approx(np.repeat([0.2, 0.9], 8).reshape(4, 4))
        assert dataset.GetMetadata("ROCK_GLACIER_MAPPER")["MODEL"] == "mine"
        assert 'relativeToVRT="1"' in (tmp_path / "new.vrt").read_text()  # both may move with the session
        del dataset

    def test_without_an_old_one_it_is_the_new_one(self, laid_over, tmp_path):
        _, new = self.rasters(tmp_path)
        assert laid_over(None, new) == str(new)
        assert laid_over(str(tmp_path / "lost.tif"), new) == str(new)

    def test_one_of_another_reference_system_stays(self, laid_over, tmp_path):
        old, new = self.rasters(tmp_path)
        dataset = gdal.OpenEx(str(old), gdal.OF_UPDATE)
        other = osr.SpatialReference()
        other.ImportFromEPSG(32632)
        dataset.SetProjection(other.ExportToWkt())
        del dataset
        assert laid_over(str(old), new) == str(old)


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

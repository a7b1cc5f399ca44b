"""The dock without a session: guesses, what is wrong in words, a start in the background, recent sessions, the sample."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from qgis.core import Qgis, QgsFeature, QgsGeometry, QgsProject, QgsRasterLayer, QgsSettings, QgsVectorFileWriter, QgsVectorLayer
from qgis.PyQt.QtCore import Qt
from qgis.PyQt.QtWidgets import QFileDialog

from tests.plugin.samples import square, write_raster

SLOWEST_MS = 20_000


@pytest.fixture
def settings():
    for key in ("recent", "operator"):
        QgsSettings().remove(f"rock_glacier_mapper/review/{key}")


@pytest.fixture
def made(module, qtbot, qgis_new_project, settings):
    """Start pages, with what they chose and said."""
    pages = []

    def make():
        page = module("dialogs.review.start_page").StartPage(lambda: None)
        qtbot.addWidget(page)
        page.sessions, page.texts = [], []
        page.chosen.connect(page.sessions.append)
        page.said.connect(lambda text, level: page.texts.append((text, level)))
        pages.append(page)
        return page

    yield make
    for page in pages:
        page.release()


def polygons(name, folder):
    """A polygon layer of a GeoPackage, in the project."""
    path = folder / f"{name.replace(' ', '_').lower()}.gpkg"
    memory = QgsVectorLayer("Polygon?crs=EPSG:32645&field=id:int", name, "memory")
    feature = QgsFeature(memory.fields())
    feature.setGeometry(QgsGeometry.fromWkt(square(600100, 3099000, 300)))
    feature["id"] = 1
    memory.dataProvider().addFeature(feature)
    options = QgsVectorFileWriter.SaveVectorOptions()
    options.driverName, options.layerName = "GPKG", "drawn"
    QgsVectorFileWriter.writeAsVectorFormatV3(memory, str(path), QgsProject.instance().transformContext(), options)
    return added(QgsVectorLayer(f"{path}|layername=drawn", name, "ogr"))


def raster(name, folder, bands):
    path = write_raster(folder / f"{name.replace(' ', '_').lower()}.tif", np.ones((bands, 8, 8), np.float32))
    return added(QgsRasterLayer(str(path), name))


def added(layer):
    assert layer.isValid()
    return QgsProject.instance().addMapLayer(layer)


def chosen(page):
    return {name: box.currentLayer().name() if box.currentLayer() else None for name, box in page._boxes.items()}


class TestGuesses:
    """What the layers of a project are taken for."""

    def test_by_name_and_kind(self, made, tmp_path):
        page = made()
        polygons("Manual outlines", tmp_path)
        polygons("Rock glacier outlines", tmp_path)
        raster("Spectral stack", tmp_path, 6)
        raster("Probability", tmp_path, 1)
        raster("Copernicus DEM", tmp_path, 1)
        assert chosen(page) == {
            "predicted": "Rock glacier outlines",
            "manual": "Manual outlines",
            "imagery": "Spectral stack",
            "probability": "Probability",
            "dem": "Copernicus DEM",
        }
        assert page._file.filePath() == str(tmp_path / "review.gpkg")

    def test_a_lone_layer_is_the_predicted_one_and_the_rest_is_left_empty(self, made, tmp_path):
        page = made()
        polygons("layer 7", tmp_path)
        raster("band", tmp_path, 1)
        assert chosen(page) == {"predicted": "layer 7", "manual": None, "imagery": None, "probability": None, "dem": None}

    def test_what_is_left_empty_says_so(self, made, tmp_path):
        polygons("layer 7", tmp_path)
        raster("band", tmp_path, 1)
        page = made()
        shown = {name: box.currentText() for name, box in page._boxes.items()}
        assert shown == {"predicted": "layer 7", **dict.fromkeys(("manual", "imagery", "probability", "dem"), "none")}

    def test_what_a_person_chose_is_not_guessed_over(self, made, tmp_path):
        page = made()
        first = polygons("layer 7", tmp_path)
        page._boxes["predicted"].setLayer(first)
        page._boxes["predicted"].activated.emit(1)
        polygons("Rock glacier outlines", tmp_path)
        assert chosen(page)["predicted"] == "layer 7"

    def test_so_is_a_place_that_a_person_chose(self, made, tmp_path):
        page = made()
        page._file.setFilePath(str(tmp_path / "mine.gpkg"))
        polygons("Rock glacier outlines", tmp_path)
        assert page._file.filePath() == str(tmp_path / "mine.gpkg")

    def test_a_name_that_is_taken_is_not_offered(self, made, tmp_path):
        (tmp_path / "review.gpkg").touch()
        page = made()
        polygons("layer 7", tmp_path)
        assert page._file.filePath() == str(tmp_path / "review_2.gpkg")


class TestStart:
    """Start review."""

    @pytest.fixture
    def ready(self, made, tmp_path, false_engine):
        """A page with all that is needed, in front of an engine that ``behave`` sets."""
        source = tmp_path / "finished.gpkg"
        source.write_bytes(b"a session")
        false_engine("", source)
        page = made()
        polygons("Rock glacier outlines", tmp_path)
        page._operator.setText("Ada")
        page._show_engine()
        return page

    def test_in_the_background_and_then_it_is_opened(self, ready, qtbot, tmp_path):
        polygons("Manual outlines", tmp_path)
        ready._start.click()
        assert ready.bar.is_busy and not ready._start.isEnabled()
        qtbot.waitUntil(lambda: bool(ready.sessions), timeout=SLOWEST_MS)
        assert ready.sessions == [str(tmp_path / "review.gpkg")] and not ready.bar.is_busy
        job = json.loads((tmp_path / "job.json").read_text())
        assert (job["command"], job["operator"]) == ("start_review", "Ada")
        assert (job["predicted"], job["predicted_layer"]) == (str(tmp_path / "rock_glacier_outlines.gpkg"), "drawn")
        assert job["manual"] == str(tmp_path / "manual_outlines.gpkg") and job["dem"] is None
        assert ready.texts == [("A few pixels are brighter than 1.", Qgis.MessageLevel.Warning)]

    @pytest.mark.parametrize("change", ["filter", "edit", "memory"])
    def test_what_its_file_does_not_show_is_copied_beside_the_session_and_said(self, ready, qtbot, tmp_path, change):
        layer = ready._boxes["predicted"].currentLayer()
        if change == "filter":
            layer.setSubsetString("id = 1")
        elif change == "edit":
            layer.startEditing()
            layer.changeGeometry(1, QgsGeometry.fromWkt(square(600000, 3099000, 100)))
        else:
            layer = QgsVectorLayer("Polygon?crs=EPSG:32645", "scratch", "memory")
            ready._boxes["predicted"].setLayer(added(layer))
        ready.start()
        qtbot.waitUntil(lambda: bool(ready.sessions), timeout=SLOWEST_MS)
        job = json.loads((tmp_path / "job.json").read_text())
        assert job["predicted"] == str(tmp_path / "review_predicted.gpkg") and job["predicted_layer"] == "review_predicted"
        assert "was copied to" in ready.texts[0][0]
        copy = QgsVectorLayer(job["predicted"], "copy", "ogr")
        areas = [round(feature.geometry().area()) for feature in copy.getFeatures()]
        assert areas == {"filter": [90_000], "edit": [10_000], "memory": []}[change]
        if change == "edit":
            layer.rollBack()

    def test_cancelled_nothing_is_opened(self, ready, qtbot, false_engine, tmp_path):
        false_engine("slow")
        ready.start()
        qtbot.waitUntil((tmp_path / "job.json").exists, timeout=SLOWEST_MS)
        ready.bar.cancel()
        qtbot.waitUntil(lambda: not ready.bar.is_busy, timeout=SLOWEST_MS)
        assert ready.sessions == [] and ready.texts == [] and ready._start.isEnabled()

    def test_a_failure_is_said(self, ready, qtbot, false_engine):
        false_engine("error")
        ready.start()
        qtbot.waitUntil(lambda: bool(ready.texts), timeout=SLOWEST_MS)
        assert ready.texts == [("scene.tif has no coordinate reference system.", Qgis.MessageLevel.Critical)] and ready.sessions == []

    @pytest.mark.parametrize(
        ("spoil", "told"),
        [
            (lambda page: page._boxes["predicted"].setLayer(None), "Choose the layer of predicted outlines"),
            (lambda page: page._boxes["manual"].setLayer(page._boxes["predicted"].currentLayer()), "are the same layer"),
            (lambda page: page._operator.setText(" "), "Write your name"),
            (lambda page: page._file.setFilePath(""), "Choose where the session is kept"),
            (lambda page: page._file.setFilePath("/no/such/folder/review.gpkg"), "does not exist or cannot be written to"),
        ],
        ids=["no layer", "same layer", "no name", "no file", "no folder"],
    )
    def test_what_is_wrong_is_said_before_the_engine_starts(self, ready, spoil, told):
        spoil(ready)
        ready.start()
        assert told in ready.texts[0][0] and not ready.bar.is_busy

    def test_a_session_is_a_geopackage(self, ready, qtbot, tmp_path):
        ready._file.setFilePath(str(tmp_path / "mine.v2"))
        ready.start()
        qtbot.waitUntil(lambda: bool(ready.sessions), timeout=SLOWEST_MS)
        assert ready.sessions == [str(tmp_path / "mine.gpkg")]

    def test_a_session_is_never_written_over(self, ready, tmp_path):
        (tmp_path / "review.gpkg").write_text("decisions")
        ready._file.setFilePath(str(tmp_path / "review.gpkg"))
        ready.start()
        assert "exists already" in ready.texts[0][0] and (tmp_path / "review.gpkg").read_text() == "decisions"

    def test_without_the_engine_it_says_what_to_do(self, made, no_engine):
        page = made()
        assert not page._start.isEnabled()
        assert "is not installed yet" in page._engine.text() and not page._engine.isHidden() and not page._set_up.isHidden()


class TestSessions:
    """Sessions that are there already."""

    def test_the_last_ones_are_offered_and_those_gone_are_not(self, made, tmp_path, module):
        page = made()
        paths = [tmp_path / f"{number}.gpkg" for number in range(8)]
        for path in paths:
            path.touch()
            page.remember(path)
        page.remember(paths[3])
        paths[7].unlink()
        fresh = made()
        names = [Path(fresh._recent.item(row).data(Qt.ItemDataRole.UserRole)).name for row in range(fresh._recent.count())]
        assert names == ["3.gpkg", "6.gpkg", "5.gpkg", "4.gpkg", "2.gpkg"]
        fresh._recent.itemActivated.emit(fresh._recent.item(1))
        assert fresh.sessions == [str(paths[6])]

    def test_another_one_is_found_by_its_file(self, made, tmp_path, monkeypatch):
        page = made()
        monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(tmp_path / "other.gpkg"), ""))
        page.ask_for_session()
        monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: ("", ""))
        page.ask_for_session()
        assert page.sessions == [str(tmp_path / "other.gpkg")]

    @pytest.fixture
    def sample(self, module, monkeypatch, tmp_path):
        """A sample and a user's folder of the test's own."""
        start_page = module("dialogs.review.start_page")
        shipped = tmp_path / "shipped"
        (shipped / "review").mkdir(parents=True)
        (shipped / "review" / "review.gpkg").write_text("as shipped")
        (shipped / "scene.tif").write_text("scene")
        monkeypatch.setattr(start_page, "SAMPLE", shipped)
        monkeypatch.setattr(start_page, "user_folder", lambda: tmp_path / "mine")
        return shipped

    def test_the_sample_is_copied_with_its_rasters_and_goes_on_where_it_was(self, made, sample, tmp_path):
        page = made()
        page.open_sample()
        copy = tmp_path / "mine" / "sample" / "review" / "review.gpkg"
        assert page.sessions == [str(copy)] and (tmp_path / "mine" / "sample" / "scene.tif").is_file()
        copy.write_text("decided")
        page.open_sample()
        assert copy.read_text() == "decided" and (sample / "review" / "review.gpkg").read_text() == "as shipped"

    def test_a_copy_of_the_plugin_without_the_sample_says_so(self, made, sample):
        (sample / "review" / "review.gpkg").unlink()
        page = made()
        page.open_sample()
        assert page.sessions == [] and "holds no sample session" in page.texts[0][0]

"""The windows: set-up of the engine, the choice of a model, the sample."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from processing.gui.AlgorithmDialog import AlgorithmDialog
from processing.gui.BatchAlgorithmDialog import BatchAlgorithmDialog
from processing.modeler.ModelerParametersDialog import ModelerParametersDialog
from qgis.core import QgsProcessingContext, QgsProcessingModelAlgorithm, QgsProject, QgsRasterLayer, QgsSettings, QgsVectorLayer
from qgis.gui import QgsProcessingModelerParameterWidget
from qgis.PyQt.QtWidgets import QComboBox, QMessageBox

from tests.plugin.samples import save, tile_polygon_layer, write_raster

SLOWEST_MS = 20_000

# A program in environment.py's place: it speaks the same protocol.
INSTALLER = """
import json, pathlib, shutil, sys
folder = pathlib.Path(sys.argv[sys.argv.index("--folder") + 1])
if "--remove" in sys.argv:
    shutil.rmtree(folder)
    print(json.dumps({"type": "result", "result": {"folder": str(folder)}}), flush=True)
    sys.exit()
print(json.dumps({"type": "progress", "percent": 40.0, "text": "Downloading numpy"}), flush=True)
if "yes" in sys.argv:
    print("pip said something odd", file=sys.stderr, flush=True)
    print(json.dumps({"type": "error", "code": "no_internet", "text": "The package index could not be reached."}), flush=True)
    sys.exit(1)
if "no" in sys.argv:
    sys.stdin.read()
    print(json.dumps({"type": "error", "code": "cancelled", "text": "Cancelled."}), flush=True)
    sys.exit(130)
shutil.rmtree(folder, ignore_errors=True)
(folder / "bin").mkdir(parents=True)
(folder / "bin" / "python").symlink_to(sys.executable)
engine = pathlib.Path(REQUIREMENTS)
(folder / "requirements.txt").write_text(engine.read_text())
if "--training" in sys.argv:
    training = (engine.parent / "training.txt").read_text().replace("-r engine.txt\\n", engine.read_text())
    (folder / "training.txt").write_text(training)
print(json.dumps({"type": "result", "result": {"folder": str(folder)}}), flush=True)
"""


@pytest.fixture
def dialog(module, no_engine, tmp_path, monkeypatch, qtbot):
    """The set-up dialog on a machine without the engine, one Python found, a false installer."""
    setup, home = module("dialogs.engine_setup"), module("processing_provider.engine_home")
    installer = tmp_path / "installer.py"
    installer.write_text(INSTALLER.replace("REQUIREMENTS", repr(str(home.REQUIREMENTS))))
    monkeypatch.setattr(setup, "ENVIRONMENT_SCRIPT", installer)
    monkeypatch.setattr(setup, "python_candidates", lambda: iter([Path(sys.executable), Path("/bin/true")]))
    dialog = setup.EngineSetupDialog()
    qtbot.addWidget(dialog)
    qtbot.waitUntil(lambda: dialog._pythons.count() == 1, timeout=SLOWEST_MS)
    yield dialog
    QgsSettings().remove(home.INTERPRETER_SETTING)


def wait_until_done(qtbot, dialog):
    qtbot.waitUntil(lambda: dialog._process is None, timeout=SLOWEST_MS)


def text_of(dialog):
    return dialog._log.toPlainText()


def test_on_a_fresh_machine_it_offers_to_install(dialog):
    assert "Not installed" in dialog._state.text()
    assert dialog._install_button.isEnabled() and dialog._install_button.text() == "Install"
    assert not dialog._check_button.isEnabled() and not dialog._remove_button.isEnabled()
    assert dialog._pythons.currentData() == sys.executable


def test_install_then_remove(dialog, qtbot, no_engine, monkeypatch):
    checked = []
    monkeypatch.setattr(dialog, "_check", lambda: checked.append(True))
    dialog._install_button.click()
    assert not dialog._install_button.isEnabled() and dialog._cancel_button.isEnabled()
    wait_until_done(qtbot, dialog)
    assert "Downloading numpy" in text_of(dialog) and checked == [True]
    assert "of this plugin's version" in dialog._state.text() and dialog._install_button.text() == "Update"
    monkeypatch.setattr(QMessageBox, "question", lambda *_: QMessageBox.StandardButton.Yes)
    dialog._remove_button.click()
    wait_until_done(qtbot, dialog)
    assert not no_engine.exists() and "Not installed" in dialog._state.text()


def test_what_training_needs_comes_when_ticked_and_goes_when_not(dialog, qtbot, no_engine, monkeypatch):
    monkeypatch.setattr(dialog, "_check", lambda: None)
    assert not dialog._training.isChecked() and "GB" in dialog._training.text()
    assert dialog._training_state.text() == "Not installed."
    dialog._training.setChecked(True)
    dialog._install_button.click()
    assert not dialog._training.isEnabled()
    wait_until_done(qtbot, dialog)
    assert dialog._training_state.text() == "Installed." and dialog._training.isEnabled()
    (no_engine / "training.txt").write_text("torch==1.0\n")
    dialog._show_state()
    assert "another version" in dialog._training_state.text() and "of this plugin's version" in dialog._state.text()
    dialog._training.setChecked(False)
    dialog._install_button.click()
    wait_until_done(qtbot, dialog)
    assert dialog._training_state.text() == "Not installed." and not (no_engine / "training.txt").exists()


def test_the_tick_shows_what_is_installed(dialog, module, no_engine, qtbot):
    no_engine.mkdir(parents=True)
    (no_engine / "training.txt").write_text("torch==1.0\n")
    another = module("dialogs.engine_setup").EngineSetupDialog()
    qtbot.addWidget(another)
    assert another._training.isChecked()
    qtbot.waitUntil(lambda: another._pythons.count() == 1, timeout=SLOWEST_MS)


def test_a_failed_installation_says_why(dialog, qtbot):
    dialog._cuda.setCurrentIndex(dialog._cuda.findData("yes"))
    dialog._install_button.click()
    wait_until_done(qtbot, dialog)
    assert "Error: The package index could not be reached." in text_of(dialog)
    assert "pip said something odd" in text_of(dialog)
    assert dialog._install_button.isEnabled()


def test_an_installation_can_be_cancelled(dialog, qtbot):
    dialog._cuda.setCurrentIndex(dialog._cuda.findData("no"))
    dialog._install_button.click()
    qtbot.waitUntil(lambda: "Downloading" in text_of(dialog), timeout=SLOWEST_MS)
    dialog._cancel_button.click()
    wait_until_done(qtbot, dialog)
    assert "Cancelled." in text_of(dialog)


def test_closing_while_it_installs_asks_first(dialog, qtbot, monkeypatch):
    dialog._cuda.setCurrentIndex(dialog._cuda.findData("no"))
    dialog._install_button.click()
    qtbot.waitUntil(lambda: "Downloading" in text_of(dialog), timeout=SLOWEST_MS)
    answers = iter([QMessageBox.StandardButton.No, QMessageBox.StandardButton.Yes])
    monkeypatch.setattr(QMessageBox, "question", lambda *_: next(answers))
    dialog.show()
    dialog.reject()
    assert dialog.isVisible() and dialog._process is not None
    dialog.reject()
    assert not dialog.isVisible() and dialog._process is None


def test_check_shows_what_doctor_finds(dialog, qtbot, false_engine, tmp_path):
    false_engine()
    dialog._show_state()
    assert "Python chosen below" in dialog._state.text()
    assert "Python chosen below" in dialog._training_state.text() and not dialog._training.isEnabled()
    dialog._check_button.click()
    wait_until_done(qtbot, dialog)
    assert json.loads((tmp_path / "job.json").read_text())["command"] == "doctor"
    assert "device_used: CPU" in text_of(dialog)


def test_a_chosen_interpreter_is_kept_and_cleared(dialog, module):
    home = module("processing_provider.engine_home")
    dialog._interpreter.setFilePath(sys.executable)
    assert home.chosen_interpreter() == Path(sys.executable)
    assert not dialog._install_button.isEnabled()
    dialog._interpreter.setFilePath("")
    assert home.chosen_interpreter() is None


def test_candidates_are_pythons_and_come_once(module):
    candidates = list(module("dialogs.engine_setup").python_candidates())
    assert candidates and len({candidate.resolve() for candidate in candidates}) == len(candidates)
    assert all(candidate.is_file() and candidate.name.startswith("python") for candidate in candidates)


@pytest.mark.parametrize(
    ("value", "lines"),
    [
        ({"version": "0.1.0", "cuda": False, "missing": []}, ["version: 0.1.0", "cuda: no", "missing: none"]),
        ({"models": [{"name": "a", "scores": None}]}, ["models:", "    -", "        name: a", "        scores: -"]),
        ({"packages": {"numpy": "2"}}, ["packages:", "    numpy: 2"]),
    ],
)
def test_results_as_text(module, value, lines):
    assert list(module("dialogs.engine_setup").readable(value)) == lines


class TestModelChoice:
    """The widget of the parameter MODEL."""

    @pytest.fixture
    def detect_dialog(self, algorithm, module, no_engine, qtbot, monkeypatch):
        monkeypatch.setattr("processing.gui.ParametersPanel.iface", None)  # a stub would be no browser
        home = module("processing_provider.engine_home")
        folder = home.models_folder() / "alps"
        folder.mkdir(parents=True)
        (folder / "model.json").write_text(json.dumps({"title": "Alps at 4 m"}))
        dialog = AlgorithmDialog(algorithm("detectrockglaciers").create())
        qtbot.addWidget(dialog)
        return dialog

    def test_it_offers_the_installed_models(self, detect_dialog):
        wrapper = detect_dialog.mainWidget().wrappers["MODEL"]
        combo = wrapper.widget.findChild(QComboBox)
        assert combo.itemText(0) == "Bundled model" and wrapper.value() == ""
        combo.setCurrentIndex(combo.findData("alps"))
        assert combo.currentText() == "alps: Alps at 4 m" and wrapper.value() == "alps"

    def test_in_batch_runs_it_is_there_too(self, algorithm, no_engine, qtbot, monkeypatch):
        monkeypatch.setattr("processing.gui.BatchPanel.iface", None)
        dialog = BatchAlgorithmDialog(algorithm("detectrockglaciers").create())
        qtbot.addWidget(dialog)
        panel = dialog.mainWidget()
        wrapper = panel.wrappers[0][panel.parameter_to_column["MODEL"]]
        wrapper.setValue("alps")
        assert wrapper.value() == "alps"

    def test_in_the_model_designer_it_is_qgis_own_widget(self, algorithm, no_engine, qtbot, monkeypatch):
        monkeypatch.setattr("processing.modeler.ModelerParametersDialog.iface", None)
        model = QgsProcessingModelAlgorithm()
        dialog = ModelerParametersDialog(algorithm("detectrockglaciers").create(), model)
        qtbot.addWidget(dialog)
        assert isinstance(dialog.widget.widget.wrappers["MODEL"], QgsProcessingModelerParameterWidget)

    def test_it_takes_a_folder(self, detect_dialog):
        wrapper = detect_dialog.mainWidget().wrappers["MODEL"]
        wrapper.setValue("/home/me/my model")
        assert wrapper.value() == "/home/me/my model"


class TestDialogs:
    """The dialogs take what a person chooses in them."""

    @pytest.fixture
    def values(self, algorithm, qtbot, monkeypatch, qgis_new_project):
        """What an algorithm's dialog hands over after it was filled in."""
        monkeypatch.setattr("processing.gui.ParametersPanel.iface", None)

        def fill_in(name, parameters):
            dialog = AlgorithmDialog(algorithm(name).create())
            qtbot.addWidget(dialog)
            dialog.setParameters(parameters)
            return dialog.createProcessingParameters()

        return fill_in

    def test_a_raster_as_permafrost_map(self, values, stack, tmp_path):
        polygons = QgsVectorLayer(str(save(tile_polygon_layer(), tmp_path / "tiles.gpkg")), "tiles", "ogr")
        permafrost = QgsRasterLayer(str(stack), "permafrost")
        QgsProject.instance().addMapLayers([polygons, permafrost])
        found = values("postprocesspolygons", {"INPUT": polygons.id(), "PERMAFROST": permafrost.id()})
        assert found["PERMAFROST"] in (permafrost.id(), permafrost.source())

    def test_numbers_left_empty_stay_empty(self, values, stack):
        found = values("detectrockglaciers", {"INPUT": str(stack)})
        assert found.get("THRESHOLD") is None and found.get("OVERLAP") is None
        assert not found.get("MODEL")

    def test_a_training_that_is_left_as_it_comes(self, values, algorithm, false_engine, tmp_path):
        false_engine()
        (tmp_path / "samples.csv").touch()
        found = values("trainnetwork", {"SAMPLES": str(tmp_path), "OUTPUT": str(tmp_path / "t")})
        assert found["START"] == "imagenet" and not found.get("NETWORK") and not found.get("LOSS") and found.get("EPOCHS") is None
        assert algorithm("trainnetwork").checkParameterValues(found, QgsProcessingContext()) == (True, "")

    def test_what_lists_of_training_offer_and_what_is_typed_into_them(self, values, stack, tmp_path):
        files = {"SAMPLES": str(tmp_path), "OUTPUT": str(tmp_path / "t")}
        for start, network in (("random", "msnet"), ("/my/training", "dednet-drn")):
            found = values("trainnetwork", {**files, "START": start, "NETWORK": network})
            assert (found["START"], found["NETWORK"]) == (start, network)
        for model in ("dednet-compact", ""):
            assert (values("minehardnegatives", {**files, "STACKS": [str(stack)], "MODEL": model}).get("MODEL") or "") == model

    def test_a_scale_keeps_its_decimals(self, values, stack):
        found = values("preparespectralstack", {"INPUT": str(stack), "SENSOR": "custom", "SCALE": 2.75e-5, "OFFSET": -0.2})
        assert (found["SCALE"], found["OFFSET"]) == (2.75e-5, -0.2)

    @pytest.mark.parametrize(("bands", "nir"), [(4, 4), (3, None)])
    def test_the_near_infrared_band_of_a_scene_with_and_without_one(self, values, tmp_path, bands, nir):
        scene = write_raster(tmp_path / "scene.tif", np.ones((bands, 8, 8), np.uint8))
        found = values("preparespectralstack", {"INPUT": str(scene)})
        assert found.get("NIR", 4) == nir


class TestSample:
    """Raster > Rock Glacier Mapper > Open sample."""

    def test_layers_say_that_they_are_simulated(self, module, qgis_iface, qgis_new_project):
        sample = module("dialogs.sample")
        sample.open_sample(qgis_iface)
        (group,) = QgsProject.instance().layerTreeRoot().children()
        assert "simulated" in group.name()
        assert [layer.name() for layer in group.children()] == [
            "Outlines of the simulation",
            "Scene (simulated)",
            "Permafrost (simulated), 1 = permafrost",
        ]

    def test_a_copy_without_the_sample_says_so(self, module, qgis_iface, qgis_new_project, monkeypatch, tmp_path):
        sample = module("dialogs.sample")
        monkeypatch.setattr(sample, "SAMPLE", tmp_path)
        sample.open_sample(qgis_iface)
        assert not QgsProject.instance().mapLayers()
        assert any("holds no sample" in text for texts in qgis_iface.messageBar().messages.values() for text in texts)

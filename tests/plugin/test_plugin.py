"""The plugin loads, registers, unregisters and loads again, with and without a window."""

from __future__ import annotations

import configparser
from pathlib import Path

import processing
import pytest
from qgis.core import QgsApplication, QgsCoordinateReferenceSystem, QgsProject, QgsVectorLayer
from qgis.gui import QgsGui
from qgis.PyQt.QtWidgets import QDialog

from tests.plugin.interface import Interface

ALGORITHMS = {
    "preparespectralstack",
    "detectrockglaciers",
    "postprocesspolygons",
    "addattributes",
    "falllines",
    "exportinventory",
    "importinventory",
    "compareinventories",
    "assessaccuracy",
    "designsample",
    "estimatearea",
    "mergereviews",
    "finishreview",
    "rockglacierchain",
    "splitoutlines",
    "startreview",
    "updatereview",
    "preparetrainingsamples",
    "evaluatenetwork",
    "trainnetwork",
    "minehardnegatives",
    "exportnetwork",
    "adaptmodel",
}
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def interface(qgis_parent, qtbot):
    interface = Interface()
    qtbot.addWidget(interface.mainWindow())
    return interface


def registered():
    return QgsApplication.processingRegistry().providerById("rockglacier")


def test_without_a_window_the_algorithms_are_there_and_go_again(package):
    plugin = package.classFactory(None)
    plugin.initProcessing()
    assert {algorithm.name() for algorithm in registered().algorithms()} == ALGORITHMS
    plugin.unload()
    assert registered() is None


def test_load_unload_and_reload_leave_nothing_behind(package, interface):
    for _ in range(2):
        plugin = package.classFactory(interface)
        plugin.initGui()
        (menu,) = interface.rasterMenu().actions()
        assert menu.text() == "Rock Glacier Mapper"
        texts = [action.text() for action in menu.menu().actions() if not action.isSeparator()]
        assert texts == [
            "Prepare spectral stack…",
            "Detect rock glaciers…",
            "Post-process polygons…",
            "Map rock glaciers (scene to outlines)…",
            "Split outlines…",
            "Add attributes…",
            "Fall lines…",
            "Export inventory…",
            "Import inventory…",
            "Compare inventories…",
            "Assess accuracy…",
            "Design sample…",
            "Estimate area…",
            "Start review…",
            "Update review…",
            "Merge reviews…",
            "Finish review…",
            "Prepare training samples…",
            "Train network…",
            "Mine hard negatives…",
            "Evaluate network…",
            "Export network…",
            "Adapt model to your area…",
            "Rock Glacier Review",
            "Open sample (simulated landscape)",
            "Training curves",
            "Set up engine…",
        ]
        assert registered() is not None
        assert [button.text() for button in interface.buttons] == ["Rock Glacier Review"]
        plugin.unload()
        assert registered() is None
        assert interface.rasterMenu().actions() == [] and interface.buttons == [] and interface.docks == []


def test_unload_before_anything_was_registered(package):
    package.classFactory(None).unload()


def test_a_refresh_of_the_toolbox_keeps_all_algorithms(plugin):
    registered().refreshAlgorithms()
    assert {algorithm.name() for algorithm in registered().algorithms()} == ALGORITHMS


def test_the_review_is_shown_and_hidden_and_goes_with_the_plugin(package, interface, qtbot):
    with qtbot.waitExposed(interface.mainWindow()):
        interface.mainWindow().show()
    plugin = package.classFactory(interface)
    plugin.initGui()
    (button,) = interface.buttons
    button.trigger()
    (dock,) = interface.docks
    assert dock.isVisible() and button.isChecked()
    button.trigger()
    assert not dock.isVisible() and not button.isChecked()
    button.trigger()
    dock.close()
    assert not button.isChecked()
    registered_keys = {action.objectName() for action in QgsGui.shortcutsManager().listActions()}
    assert "rockGlacierReviewAccept" in registered_keys
    plugin.unload()
    assert interface.docks == []
    assert not any(action.objectName().startswith("rockGlacierReview") for action in QgsGui.shortcutsManager().listActions())


def test_the_curves_are_one_window_that_goes_with_the_plugin(package, interface):
    plugin = package.classFactory(interface)
    plugin.initGui()
    (action,) = [action for action in plugin._menu.actions() if action.text() == "Training curves"]
    action.trigger()
    (window,) = interface.mainWindow().findChildren(QDialog)
    assert window.isVisible() and not window.isModal()
    window.close()
    action.trigger()
    assert interface.mainWindow().findChildren(QDialog) == [window] and window.isVisible()
    plugin.unload()
    assert not window.isVisible()


def test_the_menu_opens_the_algorithms_by_id(package, interface, monkeypatch):
    opened = []
    monkeypatch.setattr(processing, "execAlgorithmDialog", opened.append)
    plugin = package.classFactory(interface)
    plugin.initGui()
    for action in plugin._menu.actions():
        if action.text().endswith("…") and "engine" not in action.text():
            action.trigger()
    plugin.unload()
    assert len(opened) == len(ALGORITHMS)
    assert {algorithm_id.split(":")[1] for algorithm_id in opened} == ALGORITHMS


@pytest.mark.parametrize(
    "key",
    ["name", "description", "version", "qgisMinimumVersion", "author", "email", "about", "tracker", "repository", "hasProcessingProvider"],
)
def test_metadata_has_what_the_repository_of_plugins_asks_for(key):
    assert metadata()[key]


def test_metadata_names_files_and_versions_that_are_so():
    assert (ROOT / metadata()["icon"]).is_file()
    assert metadata()["qgisMaximumVersion"] == "4.99"
    version = {line.split("=")[0].strip(): line for line in (ROOT / "engine" / "__init__.py").read_text().splitlines() if "=" in line}
    assert f'"{metadata()["version"]}"' in version["__version__"]


def metadata():
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str
    parser.read(ROOT / "metadata.txt", encoding="utf-8")
    return parser["general"]


def test_the_sample_leaves_the_coordinate_reference_system_of_a_project_alone(module, qgis_iface, qgis_new_project):
    project, canvas = QgsProject.instance(), qgis_iface.mapCanvas()
    project.addMapLayer(QgsVectorLayer("Polygon?crs=EPSG:32633", "the person's own", "memory"))
    own = QgsCoordinateReferenceSystem("EPSG:32633")
    project.setCrs(own)
    canvas.setDestinationCrs(own)
    module("dialogs.sample").open_sample(qgis_iface)
    (scene,) = project.mapLayersByName("Scene (simulated)")
    assert project.crs() == own and canvas.mapSettings().destinationCrs() == own
    assert canvas.extent().contains(canvas.mapSettings().layerExtentToOutputExtent(scene, scene.extent()).center())


def test_the_sample_gives_an_empty_project_its_coordinate_reference_system(module, qgis_iface, qgis_new_project):
    module("dialogs.sample").open_sample(qgis_iface)
    (scene,) = QgsProject.instance().mapLayersByName("Scene (simulated)")
    assert QgsProject.instance().crs() == scene.crs()

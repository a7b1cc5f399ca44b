"""The person's editing options come back as they were, whatever happened in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from qgis.core import Qgis, QgsProject, QgsSnappingConfig, QgsTolerance, QgsVectorLayer
from qgis.gui import QgsMapToolPan, QgsMapToolZoom

KINDS = Qgis.SnappingTypes(Qgis.SnappingType.Area)


@pytest.fixture
def layers(qgis_iface: Any) -> Iterator[tuple[QgsVectorLayer, ...]]:
    """Two layers of the person's and one of the review's, in the project."""
    names = ("theirs", "other", "review")
    yield tuple(QgsProject.instance().addMapLayer(QgsVectorLayer("Polygon?crs=EPSG:32645", name, "memory")) for name in names)
    QgsProject.instance().clear()


@pytest.fixture
def options(module: Callable[[str], Any], layers: tuple[QgsVectorLayer, ...], qgis_iface: Any) -> Callable[[], Any]:
    """Take the picture, after the person has set everything to something unusual."""
    project, (theirs, other, _review) = QgsProject.instance(), layers
    snapping = QgsSnappingConfig(project)
    snapping.setEnabled(False)
    snapping.setMode(Qgis.SnappingMode.AdvancedConfiguration)
    snapping.setTolerance(7)
    settings = QgsSnappingConfig.IndividualLayerSettings(True, KINDS, 33, QgsTolerance.UnitType.ProjectUnits, 0.0, 0.0)
    snapping.setIndividualLayerSettings(theirs, settings)
    project.setSnappingConfig(snapping)
    project.setTopologicalEditing(True)
    project.setAvoidIntersectionsMode(Qgis.AvoidIntersectionsMode.AvoidIntersectionsLayers)
    project.setAvoidIntersectionsLayers([theirs, other])
    qgis_iface.setActiveLayer(theirs)
    return lambda: module("dialogs.review.editing_options").EditingOptions(project, qgis_iface)


def state(layers: tuple[QgsVectorLayer, ...], iface: Any) -> tuple[Any, ...]:
    """All that the review may touch."""
    project, config = QgsProject.instance(), QgsProject.instance().snappingConfig()
    own = [(layer.name(), settings.enabled(), settings.tolerance()) for layer, settings in config.individualLayerSettings().items()]
    return (
        config.enabled(), config.mode(), config.tolerance(), sorted(own), project.topologicalEditing(), project.avoidIntersectionsMode(),
        {layer.name() for layer in project.avoidIntersectionsLayers()}, iface.activeLayer(), iface.mapCanvas().mapTool(),
    )  # fmt: skip


def test_given_back_after_an_edit(options: Any, layers: Any, qgis_iface: Any) -> None:
    canvas = qgis_iface.mapCanvas()
    theirs, ours = QgsMapToolPan(canvas), QgsMapToolZoom(canvas, False)
    canvas.setMapTool(theirs)
    before = state(layers, qgis_iface)
    kept = options()
    kept.edit(layers[2], (layers[1],))
    config = QgsProject.instance().snappingConfig()
    assert config.enabled()
    assert [config.individualLayerSettings(layer).enabled() for layer in layers] == [False, True, True]
    assert qgis_iface.activeLayer() is layers[2]
    canvas.setMapTool(ours)
    QgsProject.instance().setTopologicalEditing(False)
    QgsProject.instance().setAvoidIntersectionsMode(Qgis.AvoidIntersectionsMode.AllowIntersections)
    kept.restore()
    assert state(layers, qgis_iface) == before
    canvas.unsetMapTool(theirs)


def test_the_project_counts_as_saved_all_the_while(options: Any, layers: Any, qgis_iface: Any) -> None:
    kept = options()
    QgsProject.instance().setDirty(False)
    kept.edit(layers[2], (layers[1],))
    assert not QgsProject.instance().isDirty()
    kept.restore()
    assert not QgsProject.instance().isDirty()


def test_given_back_only_once(options: Any, layers: Any, qgis_iface: Any) -> None:
    before = state(layers, qgis_iface)
    kept = options()
    kept.edit(layers[2])
    kept.restore()
    assert state(layers, qgis_iface) == before
    QgsProject.instance().setTopologicalEditing(False)  # the person's own doing now
    kept.restore()
    assert not QgsProject.instance().topologicalEditing()


def test_what_is_gone_is_left_out(options: Any, layers: Any, qgis_iface: Any) -> None:
    kept = options()
    kept.edit(layers[2])
    QgsProject.instance().removeMapLayer(layers[0].id())
    kept.restore()
    config = QgsProject.instance().snappingConfig()
    assert not config.enabled()
    assert [layer.name() for layer in QgsProject.instance().avoidIntersectionsLayers()] == ["other"]


def test_cleared_project(options: Any, layers: Any, qgis_iface: Any) -> None:
    kept = options()
    kept.edit(layers[2])
    QgsProject.instance().clear()
    kept.restore()
    assert QgsProject.instance().avoidIntersectionsLayers() == []

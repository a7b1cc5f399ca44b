"""The simulated landscape that ships with the plugin, on the map."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qgis.core import Qgis, QgsProject, QgsRasterLayer, QgsVectorLayer

from ..processing_provider.layers import REFERENCE_OUTLINES, TRUE_COLOUR
from ..processing_provider.translation import tr

SAMPLE = Path(__file__).resolve().parent.parent / "resources" / "sample"


def open_sample(iface: Any) -> None:
    """Load the scene, its permafrost map (hidden) and the simulation's own outlines, in a group that says what they are."""
    scene = QgsRasterLayer(str(SAMPLE / "sample_scene.tif"), tr("Scene (simulated)"))
    permafrost = QgsRasterLayer(str(SAMPLE / "sample_permafrost.tif"), tr("Permafrost (simulated), 1 = permafrost"))
    outlines = QgsVectorLayer(str(SAMPLE / "sample_outlines.gpkg"), tr("Outlines of the simulation"))
    if not all(layer.isValid() for layer in (scene, permafrost, outlines)):
        iface.messageBar().pushMessage(
            tr("Rock Glacier Mapper"), tr("This copy of the plugin holds no sample; install the plugin again."), Qgis.MessageLevel.Warning
        )
        return
    TRUE_COLOUR.apply(scene)
    REFERENCE_OUTLINES.apply(outlines)
    project = QgsProject.instance()
    if not project.mapLayers():
        project.setCrs(scene.crs())
    group = project.layerTreeRoot().insertGroup(0, tr("Rock Glacier Mapper sample: simulated, not a real place"))
    for layer in (outlines, scene, permafrost):
        project.addMapLayer(layer, False)
        group.addLayer(layer)
    group.findLayer(permafrost.id()).setItemVisibilityChecked(False)
    canvas = iface.mapCanvas()
    canvas.setExtent(canvas.mapSettings().layerExtentToOutputExtent(scene, scene.extent()))
    canvas.refresh()

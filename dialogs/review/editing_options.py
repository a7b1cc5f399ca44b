"""The person's own editing options, kept while the review needs others and given back on every way out."""

from __future__ import annotations

from typing import Any

from qgis.core import Qgis, QgsMapLayer, QgsProject, QgsSnappingConfig, QgsTolerance, QgsVectorLayer
from qgis.PyQt import sip

TOLERANCE_PIXELS = 12


class EditingOptions:
    """A picture of snapping, topological editing, avoided overlaps, current layer and map tool.

    A saved project counts as saved all the while: QGIS, when it is closed, has nothing to ask about.
    ``restore`` gives them back as they were, once.

    Parameters
    ----------
    project
        Whose options they are.
    interface
        Of QGIS: whose current layer and map tool.
    """

    def __init__(self, project: QgsProject, interface: Any) -> None:
        self._project, self._interface = project, interface
        self._snapping = QgsSnappingConfig(project.snappingConfig())
        self._by_layer = {layer.id(): own for layer, own in self._snapping.individualLayerSettings().items()}
        self._snapping.clearIndividualLayerSettings()  # it holds bare pointers: a layer that goes would be a crash
        self._topological = project.topologicalEditing()
        self._avoid_mode = project.avoidIntersectionsMode()
        self._avoid_layers = [layer.id() for layer in project.avoidIntersectionsLayers()]
        self._layer, self._tool = interface.activeLayer(), interface.mapCanvas().mapTool()
        self._is_kept = True

    def edit(self, layer: QgsVectorLayer, others: tuple[QgsVectorLayer, ...] = ()) -> None:
        """What editing a boundary needs: ``layer`` is current, the pointer snaps to its boundaries and those of ``others``."""
        snapping = self._snapping_now()
        snapping.setEnabled(True)
        snapping.setMode(Qgis.SnappingMode.AdvancedConfiguration)
        kinds = Qgis.SnappingTypes(Qgis.SnappingType.Vertex | Qgis.SnappingType.Segment)
        for known, own in snapping.individualLayerSettings().items():
            own.setEnabled(False)
            snapping.setIndividualLayerSettings(known, own)
        for wanted in (layer, *others):
            settings = QgsSnappingConfig.IndividualLayerSettings(True, kinds, TOLERANCE_PIXELS, QgsTolerance.UnitType.Pixels, 0.0, 0.0)
            snapping.setIndividualLayerSettings(wanted, settings)
        with QgsProject.blockDirtying(self._project):
            self._project.setSnappingConfig(snapping)
        self._interface.setActiveLayer(layer)

    def restore(self) -> None:
        """Give the options back; what is gone meanwhile (a layer, a tool) is left out."""
        if not self._is_kept:
            return
        self._is_kept = False
        layers = [self._project.mapLayer(name) for name in self._avoid_layers]
        with QgsProject.blockDirtying(self._project):
            self._project.setSnappingConfig(self._snapping_now())
            self._project.setTopologicalEditing(self._topological)
            self._project.setAvoidIntersectionsMode(self._avoid_mode)
            self._project.setAvoidIntersectionsLayers([layer for layer in layers if isinstance(layer, QgsVectorLayer)])
        if _is_here(self._layer) and self._project.mapLayer(self._layer.id()) is not None:
            self._interface.setActiveLayer(self._layer)
        canvas = self._interface.mapCanvas()
        if _is_here(self._tool):
            canvas.setMapTool(self._tool)
        elif self._tool is None and canvas.mapTool() is not None:
            canvas.unsetMapTool(canvas.mapTool())

    def _snapping_now(self) -> QgsSnappingConfig:
        """Snapping as it was, for the layers that are in the project now; those that were not there then keep their own."""
        snapping = QgsSnappingConfig(self._snapping)
        for layer, own in self._project.snappingConfig().individualLayerSettings().items():
            snapping.setIndividualLayerSettings(layer, self._by_layer.get(layer.id(), own))
        return snapping


def _is_here(thing: QgsMapLayer | Any | None) -> bool:
    return thing is not None and not sip.isdeleted(thing)

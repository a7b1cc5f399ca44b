"""The person's own editing options, kept while the review needs others and given back on every way out."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from qgis.core import Qgis, QgsMapLayer, QgsProject, QgsSnappingConfig, QgsTolerance, QgsVectorLayer
from qgis.PyQt import sip

TOLERANCE_PIXELS = 12


class EditingOptions:
    """A picture of snapping, topological editing, avoided overlaps, current layer and map tool.

    ``restore`` gives them back as they were, once; as a context it does so at the end of the block, however that ends.

    Parameters
    ----------
    project
        Whose options they are.
    iface
        Of QGIS, or None where there is no window: then the current layer and the map tool are left alone.
    """

    def __init__(self, project: QgsProject, iface: Any | None = None) -> None:
        self._project, self._iface = project, iface
        self._snapping = QgsSnappingConfig(project.snappingConfig())
        self._topological = project.topologicalEditing()
        self._avoid_mode = project.avoidIntersectionsMode()
        self._avoid_layers = [layer.id() for layer in project.avoidIntersectionsLayers()]
        self._was_dirty = project.isDirty()
        self._layer = iface.activeLayer() if iface is not None else None
        self._tool = iface.mapCanvas().mapTool() if iface is not None else None
        self._is_kept = True

    def __enter__(self) -> EditingOptions:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.restore()

    def edit(self, layer: QgsVectorLayer, others: tuple[QgsVectorLayer, ...] = ()) -> None:
        """What editing a boundary needs: ``layer`` is current, the pointer snaps to its boundaries and those of ``others``."""
        snapping = QgsSnappingConfig(self._snapping)
        snapping.setEnabled(True)
        snapping.setMode(Qgis.SnappingMode.AdvancedConfiguration)
        kinds = Qgis.SnappingTypes(Qgis.SnappingType.Vertex | Qgis.SnappingType.Segment)
        for known in snapping.individualLayerSettings():
            own = snapping.individualLayerSettings(known)
            own.setEnabled(known in (layer, *others))
            snapping.setIndividualLayerSettings(known, own)
        for wanted in (layer, *others):
            settings = QgsSnappingConfig.IndividualLayerSettings(True, kinds, TOLERANCE_PIXELS, QgsTolerance.UnitType.Pixels, 0.0, 0.0)
            snapping.setIndividualLayerSettings(wanted, settings)
        self._project.setSnappingConfig(snapping)
        if self._iface is not None:
            self._iface.setActiveLayer(layer)

    def restore(self) -> None:
        """Give the options back; what is gone meanwhile (a layer, a tool) is left out."""
        if not self._is_kept:
            return
        self._is_kept = False
        snapping = QgsSnappingConfig(self._snapping)
        here = {layer.id() for layer in self._project.mapLayers().values()}
        current = self._project.snappingConfig()
        fresh = {layer: current.individualLayerSettings(layer) for layer in current.individualLayerSettings()}
        kept = {layer: own for layer, own in snapping.individualLayerSettings().items() if not sip.isdeleted(layer) and layer.id() in here}
        snapping.clearIndividualLayerSettings()
        for layer, own in {**fresh, **kept}.items():
            snapping.setIndividualLayerSettings(layer, own)
        self._project.setSnappingConfig(snapping)
        self._project.setTopologicalEditing(self._topological)
        self._project.setAvoidIntersectionsMode(self._avoid_mode)
        layers = [self._project.mapLayer(name) for name in self._avoid_layers]
        self._project.setAvoidIntersectionsLayers([layer for layer in layers if isinstance(layer, QgsVectorLayer)])
        if not self._was_dirty:
            self._project.setDirty(False)
        if self._iface is None:
            return
        if _is_here(self._layer) and self._project.mapLayer(self._layer.id()) is not None:
            self._iface.setActiveLayer(self._layer)
        canvas = self._iface.mapCanvas()
        if _is_here(self._tool):
            canvas.setMapTool(self._tool)
        elif self._tool is None and canvas.mapTool() is not None:
            canvas.unsetMapTool(canvas.mapTool())


def _is_here(thing: QgsMapLayer | Any | None) -> bool:
    return thing is not None and not sip.isdeleted(thing)

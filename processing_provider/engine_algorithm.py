"""What the algorithms share: parameters in one line each, the run in the engine, outputs that become layers."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from qgis.core import (
    Qgis,
    QgsFeature,
    QgsFeatureSink,
    QgsFields,
    QgsProcessingAlgorithm,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingLayerPostProcessorInterface,
    QgsProcessingOutputLayerDefinition,
    QgsProcessingParameterDefinition,
    QgsProcessingUtils,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import QUrl
from qgis.PyQt.QtGui import QIcon

from ..jobs import Job
from .engine_process import EngineFailed, run_job
from .layers import LOADED_IN_ORDER
from .translation import tr

RESOURCES = Path(__file__).resolve().parent.parent / "resources"

Parameters = dict[str, Any]


class EngineAlgorithm(QgsProcessingAlgorithm):
    """An algorithm that the engine carries out. Subclasses say what goes in and out; ``NAME`` is the algorithm's id."""

    NAME = ""
    GROUP = "mapping"
    """Fixed id of the heading in the toolbox."""
    COMPATIBLE_POLYGONS = ("gpkg", "geojson", "fgb", "shp")
    """Vector formats that the engine reads as they are; other layers reach it as a temporary GeoPackage."""

    def name(self) -> str:
        """The fixed part of the id."""
        return self.NAME

    def group(self) -> str:
        """The heading in the toolbox."""
        return {"mapping": tr("Mapping"), "inventory": tr("Inventory"), "accuracy": tr("Accuracy")}[self.GROUP]

    def groupId(self) -> str:
        """The fixed id of the heading."""
        return self.GROUP

    def icon(self) -> QIcon:
        """The icon in the toolbox."""
        return QIcon(self.svgIconPath())

    def svgIconPath(self) -> str:
        """The icon's file."""
        return str(RESOURCES / "icons" / f"{self.NAME}.svg")

    def helpUrl(self) -> str:
        """The page behind the Help button; it ships with the plugin, so it fits the version and needs no connection."""
        return QUrl.fromLocalFile(str(RESOURCES / "help" / f"{self.NAME}.html")).toString()

    def createInstance(self) -> EngineAlgorithm:
        """A fresh one for a run."""
        return type(self)()

    def ask_for(
        self, parameter: QgsProcessingParameterDefinition, help_text: str, advanced: bool = False, decimals: int | None = None
    ) -> None:
        """Declare a parameter with its help; ``decimals`` is how many its widget shows and keeps."""
        parameter.setHelp(help_text)
        if decimals is not None:
            parameter.setMetadata({"widget_wrapper": {"decimals": decimals}})
        if advanced:
            parameter.setFlags(parameter.flags() | Qgis.ProcessingParameterFlag.Advanced)
        self.addParameter(parameter)

    def run_in_engine(self, job: Job, feedback: QgsProcessingFeedback) -> dict[str, Any]:
        """The job's result.

        Raises
        ------
        QgsProcessingException
            in the engine's words, where it failed or was cancelled.
        """
        try:
            return run_job(job, feedback)
        except EngineFailed as error:
            raise QgsProcessingException(error.text) from error

    def optional_number(self, parameters: Parameters, name: str, context: QgsProcessingContext) -> float | None:
        """A number, or None where it was left empty."""
        if parameters.get(name) in (None, ""):
            return None
        return self.parameterAsDouble(parameters, name, context)

    def polygons_path(
        self, parameters: Parameters, name: str, context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> tuple[str | None, str | None]:
        """File and layer name of a polygon parameter, its filter and selection applied; None, None where it is empty."""
        path, layer = self.parameterAsCompatibleSourceLayerPathAndLayerName(
            parameters, name, context, list(self.COMPATIBLE_POLYGONS), "gpkg", feedback
        )
        return path or None, layer or None

    def temporary_polygons(self, name: str, context: QgsProcessingContext) -> str:
        """Where the engine writes polygons before they go to the output."""
        return QgsProcessingUtils.generateTempFilename(f"{name}.gpkg", context)

    def polygons_to_output(self, path: str, parameters: Parameters, name: str, context: QgsProcessingContext) -> str:
        """Copy the engine's finished polygons to the output that the person asked for, and return its id.

        Raises
        ------
        QgsProcessingException
            when the output cannot be written; it says where the finished polygons are.
        """
        self._check_room(path, parameters.get(name))
        destination, problem = self._copy_polygons(path, parameters, name, context)
        if problem:
            raise QgsProcessingException(f"{problem} {_still_there(path)}")
        return destination

    def _copy_polygons(self, path: str, parameters: Parameters, name: str, context: QgsProcessingContext) -> tuple[str, str]:
        """The output's id, and what went wrong. Nothing is raised here: the exception would keep the layer open for good."""
        polygons = QgsVectorLayer(path, name, "ogr")
        positions = [index for index, field in enumerate(polygons.fields()) if field.name() != "fid"]
        fields = QgsFields()
        for index in positions:
            fields.append(polygons.fields()[index])
        try:
            sink, destination = self.parameterAsSink(parameters, name, context, fields, polygons.wkbType(), polygons.crs())
        except QgsProcessingException as error:
            return "", str(error)
        if sink is None:
            return "", self.invalidSinkError(parameters, name)
        for polygon in polygons.getFeatures():
            feature = QgsFeature(fields)
            feature.setGeometry(polygon.geometry())
            feature.setAttributes([polygon.attribute(index) for index in positions])
            if not sink.addFeature(feature, QgsFeatureSink.Flag.FastInsert):
                return "", self.writeFeatureError(sink, parameters, name)
        return destination, "" if sink.flushBuffer() else self.writeFeatureError(sink, parameters, name)

    def check_geotiff(self, parameters: Parameters, name: str) -> tuple[bool, str]:
        """Whether a raster output is named as what the engine writes."""
        suffix = Path(_destination(parameters.get(name))).suffix.lower()
        if suffix in ("", ".tif", ".tiff"):
            return True, ""
        return False, tr("{}: rasters are written as GeoTIFF; give the file the ending .tif instead of {}.").format(name, suffix)

    def style(self, context: QgsProcessingContext, output: str | None, style: QgsProcessingLayerPostProcessorInterface) -> None:
        """Have an output styled and put in its place on the map, where QGIS loads it."""
        if output and context.willLoadLayerOnCompletion(output):
            details = context.layerToLoadOnCompletionDetails(output)
            details.setPostProcessor(style)
            details.layerSortKey = LOADED_IN_ORDER.index(style) + 1

    def _check_room(self, path: str, output: Any) -> None:
        """A full disk is noticed before an existing output is replaced by half a new one."""
        destination = Path(_destination(output))
        folder = destination.parent
        if destination.suffix and folder.is_dir() and shutil.disk_usage(folder).free < 2 * Path(path).stat().st_size:
            raise QgsProcessingException(
                tr("The disk of {} is full. Free some space or choose another folder.").format(folder) + " " + _still_there(path)
            )


def _destination(output: Any) -> str:
    """The text in an output's value: a file name, mostly."""
    return str((output.sink.staticValue() if isinstance(output, QgsProcessingOutputLayerDefinition) else output) or "")


def _still_there(path: str) -> str:
    return tr("The finished polygons are in {} until QGIS is closed.").format(path)

"""What the algorithms share: parameters in one line each, the run in the engine, outputs that become layers."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
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
    QgsProcessingOutputLayerDefinition,
    QgsProcessingParameterDefinition,
    QgsProcessingUtils,
    QgsProperty,
    QgsRasterLayer,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import QUrl
from qgis.PyQt.QtGui import QIcon

from ..jobs import Job
from .engine_process import EngineFailed, run_job
from .layers import LOADED_IN_ORDER, Style, StyleOnLoading, raster_path, why_unreadable
from .translation import tr

RESOURCES = Path(__file__).resolve().parent.parent / "resources"

Parameters = dict[str, Any]


class EngineAlgorithm(QgsProcessingAlgorithm):
    """An algorithm that the engine carries out. Subclasses say what goes in and out; ``NAME`` is the algorithm's id."""

    NAME = ""
    GROUP = "mapping"
    """Fixed id of the heading in the toolbox."""
    COMPATIBLE_LAYERS = ("gpkg", "geojson", "fgb", "shp")
    """Vector formats that the engine reads as they are; other layers reach it as a temporary GeoPackage."""

    def name(self) -> str:
        """The fixed part of the id."""
        return self.NAME

    def group(self) -> str:
        """The heading in the toolbox."""
        return {
            "mapping": tr("Mapping"),
            "inventory": tr("Inventory"),
            "accuracy": tr("Accuracy"),
            "review": tr("Review"),
            "training": tr("Training"),
        }[self.GROUP]

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
        self,
        parameter: QgsProcessingParameterDefinition,
        help_text: str,
        advanced: bool = False,
        decimals: int | None = None,
        choice: str = "",
    ) -> None:
        """Declare a parameter with its help; ``decimals`` its widget shows and keeps, ``choice`` is a widget of dialogs/choices.py."""
        parameter.setHelp(help_text)
        if decimals is not None:
            parameter.setMetadata({"widget_wrapper": {"decimals": decimals}})
        if choice:
            parameter.setMetadata({"widget_wrapper": {"class": f"{__package__.rpartition('.')[0]}.dialogs.choices.{choice}"}})
        if advanced:
            parameter.setFlags(parameter.flags() | Qgis.ProcessingParameterFlag.Advanced)
        self.addParameter(parameter)

    def first_refusal(self, *checks: Callable[[], tuple[bool, str]]) -> tuple[bool, str]:
        """The answer of the first check that refuses; the ones after it are not asked."""
        return next((answer for answer in (check() for check in checks) if not answer[0]), (True, ""))

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

    def optional_whole_number(self, parameters: Parameters, name: str, context: QgsProcessingContext) -> int | None:
        """A whole number, or None where it was left empty."""
        value = self.optional_number(parameters, name, context)
        return None if value is None else int(value)

    def optional_input(self, parameters: Parameters, name: str, context: QgsProcessingContext) -> str | None:
        """The path of a parameter for a file or a folder, None where it was left empty."""
        return self.parameterAsFile(parameters, name, context) or None

    def layer_path(
        self, parameters: Parameters, name: str, context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> tuple[str | None, str | None]:
        """File and layer name of a vector parameter, its filter and selection applied; None, None where it is empty."""
        path, layer = self.parameterAsCompatibleSourceLayerPathAndLayerName(
            parameters, name, context, list(self.COMPATIBLE_LAYERS), "gpkg", feedback
        )
        return path or None, layer or None

    def raster_path(self, parameters: Parameters, name: str, context: QgsProcessingContext) -> str | None:
        """What the engine opens a raster parameter by, None where it is empty."""
        layer = self.parameterAsRasterLayer(parameters, name, context)
        return None if layer is None else raster_path(layer)

    def map_path(
        self, parameters: Parameters, name: str, context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> tuple[str | None, str | None]:
        """File and layer name of a parameter that takes a raster or polygons; None, None where it is empty."""
        layer = self.parameterAsLayer(parameters, name, context)
        if isinstance(layer, QgsRasterLayer):
            return raster_path(layer), None
        return self.layer_path(parameters, name, context, feedback)

    def check_maps(self, parameters: Parameters, names: Iterable[str], context: QgsProcessingContext) -> tuple[bool, str]:
        """Whether the engine can read what some parameters for rasters, or for rasters or polygons, name; empty ones are fine."""
        for name in names:
            layer = self.parameterAsLayer(parameters, name, context)
            if layer is None and parameters.get(name):
                return False, tr("{} could not be read: {}.").format(name, parameters[name])
            if isinstance(layer, QgsRasterLayer) and (why := why_unreadable(layer)):
                return False, why
        return True, ""

    def temporary_layer(self, name: str, context: QgsProcessingContext) -> str:
        """Where the engine writes a layer or a table before it goes to the output."""
        return QgsProcessingUtils.generateTempFilename(f"{name}.gpkg", context)

    def optional_layer(self, parameters: Parameters, name: str, context: QgsProcessingContext) -> str | None:
        """As :meth:`temporary_layer` for an optional output, None where the person does not want it."""
        return self.temporary_layer(name.lower(), context) if destination_text(parameters.get(name), context) else None

    def optional_file(self, parameters: Parameters, name: str, context: QgsProcessingContext) -> str | None:
        """The file of an optional file output (text, HTML, JSON), None where the person does not want it."""
        return self.parameterAsFileOutput(parameters, name, context) or None

    def layers_to_outputs(self, layers: dict[str, str | None], parameters: Parameters, context: QgsProcessingContext) -> dict[str, Any]:
        """:meth:`layer_to_output` for several, output's name -> file; the ids of those that the person wants."""
        return {name: self.layer_to_output(path, parameters, name, context) for name, path in layers.items() if path}

    def layer_to_output(self, path: str, parameters: Parameters, name: str, context: QgsProcessingContext) -> str:
        """Copy the engine's finished layer of any geometry, or table, to the output that the person asked for, and return its id.

        Raises
        ------
        QgsProcessingException
            when the output cannot be written; it says where the finished layer is.
        """
        self._check_room(path, parameters.get(name), context)
        destination, problem = self._copy_layer(path, parameters, name, context)
        if problem:
            raise QgsProcessingException(f"{problem} {_still_there(path)}")
        return destination

    def _copy_layer(self, path: str, parameters: Parameters, name: str, context: QgsProcessingContext) -> tuple[str, str]:
        """The output's id, and what went wrong. Nothing is raised here: the exception would keep the layer open for good."""
        layer = QgsVectorLayer(path, name, "ogr")
        positions = [index for index, field in enumerate(layer.fields()) if field.name() != "fid"]
        fields = QgsFields()
        for index in positions:
            fields.append(layer.fields()[index])
        try:
            sink, destination = self.parameterAsSink(parameters, name, context, fields, layer.wkbType(), layer.crs())
        except QgsProcessingException as error:
            return "", str(error)
        if sink is None:
            return "", self.invalidSinkError(parameters, name)
        for row in layer.getFeatures():
            feature = QgsFeature(fields)
            feature.setGeometry(row.geometry())
            feature.setAttributes([row.attribute(index) for index in positions])
            if not sink.addFeature(feature, QgsFeatureSink.Flag.FastInsert):
                return "", self.writeFeatureError(sink, parameters, name)
        return destination, "" if sink.flushBuffer() else self.writeFeatureError(sink, parameters, name)

    def check_geotiff(self, parameters: Parameters, name: str, context: QgsProcessingContext) -> tuple[bool, str]:
        """Whether a raster output is named as what the engine writes."""
        suffix = Path(destination_text(parameters.get(name), context)).suffix.lower()
        if suffix in ("", ".tif", ".tiff"):
            return True, ""
        return False, tr("{}: rasters are written as GeoTIFF; give the file the ending .tif instead of {}.").format(name, suffix)

    def check_session(self, parameters: Parameters, name: str, context: QgsProcessingContext) -> tuple[bool, str]:
        """Whether an output is named as a review session."""
        suffix = Path(destination_text(parameters.get(name), context)).suffix.lower()
        if suffix in ("", ".gpkg"):
            return True, ""
        return False, tr("{}: a review session is a GeoPackage; give the file the ending .gpkg instead of {}.").format(name, suffix)

    def style(self, context: QgsProcessingContext, output: str | None, style: Style) -> None:
        """Have an output styled and put in its place on the map, where QGIS loads it."""
        if output and context.willLoadLayerOnCompletion(output):
            details = context.layerToLoadOnCompletionDetails(output)
            details.setPostProcessor(StyleOnLoading(style))
            details.layerSortKey = LOADED_IN_ORDER.index(style) + 1

    def _check_room(self, path: str, output: Any, context: QgsProcessingContext) -> None:
        """A full disk is noticed before an existing output is replaced by half a new one."""
        destination = Path(destination_text(output, context))
        folder = destination.parent
        if destination.suffix and folder.is_dir() and shutil.disk_usage(folder).free < 2 * Path(path).stat().st_size:
            raise QgsProcessingException(
                tr("The disk of {} is full. Free some space or choose another folder.").format(folder) + " " + _still_there(path)
            )


def session_filter() -> str:
    """What file dialogs of a review session show."""
    return f"{tr('Review session')} (*.gpkg)"


def destination_text(output: Any, context: QgsProcessingContext) -> str:
    """The text in an output's value: a file name, mostly; empty where the person does not want the output."""
    if isinstance(output, QgsProcessingOutputLayerDefinition):
        output = output.sink
    if isinstance(output, QgsProperty):
        output = output.valueAsString(context.expressionContext())[0]
    return str(output or "")


def _still_there(path: str) -> str:
    return tr("What was computed is in {} until QGIS is closed.").format(path)

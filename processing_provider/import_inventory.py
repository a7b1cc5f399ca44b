"""An inventory in a published form to outlines."""

from __future__ import annotations

from typing import Any

from qgis.core import (
    Qgis,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingOutputNumber,
    QgsProcessingOutputString,
    QgsProcessingParameterFeatureSink,
    QgsProcessingParameterFeatureSource,
    QgsWkbTypes,
)

from ..jobs import ImportInventoryJob
from .engine_algorithm import EngineAlgorithm, Parameters
from .field_mapping import field_mapping_parameter, mapping_entries, why_half_a_row
from .layers import OUTLINES, RESTRICTED_FOOTPRINTS
from .translation import tr


class ImportInventory(EngineAlgorithm):
    """Processing algorithm ``rockglacier:importinventory``."""

    NAME = "importinventory"
    GROUP = "inventory"
    INPUT, FIELD_MAPPING, OUTPUT, RESTRICTED, MARKERS = "INPUT", "FIELD_MAPPING", "OUTPUT", "RESTRICTED", "MARKERS"
    COUNT, FORM = "COUNT", "FORM"

    def displayName(self) -> str:
        """The name in the toolbox."""
        return tr("Import inventory")

    def shortHelpString(self) -> str:
        """What the help panel and ``qgis_process help`` show."""
        return tr(
            "Reads an inventory in a published form (RGIK with and without dots in the field names, rogi_ch, TPRoGI, RGI 7, the global "
            "inventory of 2026; GeoPackage, GeoJSON or Shapefile, also with names that a Shapefile cut) as outlines with the field names "
            "of this plugin. Primary markers of the same file, or of the file beside it, are joined by PrimaryID; codes of aspect classes "
            "become letters; fields that the form does not know travel on."
        )

    def tags(self) -> list[str]:
        """Words that the toolbox search finds it by."""
        return tr("rock glacier,inventory,RGIK,RoGI,PrimaryID,primary marker,TPRoGI,RGI,read,reference").split(",")

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:
        """Declare parameters and outputs."""
        polygons, nothing = Qgis.ProcessingSourceType.VectorPolygon, {"optional": True, "createByDefault": False}
        self.ask_for(
            QgsProcessingParameterFeatureSource(self.INPUT, tr("Inventory"), [Qgis.ProcessingSourceType.Vector]),
            tr(
                "The inventory's file, or its layer of outlines. Of a layer with a filter or a selection, only the outlines are read, "
                "not the primary markers."
            ),
        )
        self.ask_for(
            field_mapping_parameter(self.FIELD_MAPPING),
            tr("TO: the field of the outlines; FROM: the field of the inventory that it takes its values from."),
            advanced=True,
        )
        self.ask_for(
            QgsProcessingParameterFeatureSink(self.OUTPUT, tr("Rock glacier outlines"), polygons),
            tr("One polygon per outline, with what the inventory says of it. outline_type tells restricted from extended ones."),
        )
        self.ask_for(
            QgsProcessingParameterFeatureSink(self.RESTRICTED, tr("Restricted outlines"), polygons, **nothing),
            tr("The restricted outlines, apart. Empty: they stay among the others."),
        )
        self.ask_for(
            QgsProcessingParameterFeatureSink(
                self.MARKERS, tr("Primary markers without an outline"), Qgis.ProcessingSourceType.VectorPoint, **nothing
            ),
            tr("Points of rock glaciers that were identified and not outlined."),
        )
        self.addOutput(QgsProcessingOutputNumber(self.COUNT, tr("Number of outlines")))
        self.addOutput(QgsProcessingOutputString(self.FORM, tr("Form that was recognised")))

    def checkParameterValues(self, parameters: Parameters, context: QgsProcessingContext) -> tuple[bool, str]:
        """What can be said before the run."""
        fine, message = super().checkParameterValues(parameters, context)
        if fine and (why := why_half_a_row(self, parameters, self.FIELD_MAPPING, context)):
            return False, why
        return fine, message

    def prepareAlgorithm(self, parameters: Parameters, context: QgsProcessingContext, feedback: QgsProcessingFeedback) -> bool:
        """Look at the project's layers, in the main thread."""
        self._path, self._layer = self.layer_path(parameters, self.INPUT, context, feedback)
        source = self.parameterAsSource(parameters, self.INPUT, context)
        if self._path is None or source is None:
            raise QgsProcessingException(self.invalidSourceError(parameters, self.INPUT))
        if QgsWkbTypes.geometryType(source.wkbType()) != Qgis.GeometryType.Polygon:
            self._layer = None  # the file's first layer, or its markers: the engine finds the outlines
        return True

    def processAlgorithm(self, parameters: Parameters, context: QgsProcessingContext, feedback: QgsProcessingFeedback) -> dict[str, Any]:
        """Run the job and hand its outputs over."""
        layers = {
            self.OUTPUT: self.temporary_layer("outlines", context),
            self.RESTRICTED: self.optional_layer(parameters, self.RESTRICTED, context),
            self.MARKERS: self.optional_layer(parameters, self.MARKERS, context),
        }
        job = ImportInventoryJob(
            input=self._path,
            input_layer=self._layer,
            output=layers[self.OUTPUT],
            restricted=layers[self.RESTRICTED],
            markers=layers[self.MARKERS],
            field_mapping=mapping_entries(self, parameters, self.FIELD_MAPPING, context),
        )
        result = self.run_in_engine(job, feedback)
        outputs = self.layers_to_outputs(layers, parameters, context)
        self.style(context, outputs[self.OUTPUT], OUTLINES)
        self.style(context, outputs.get(self.RESTRICTED), RESTRICTED_FOOTPRINTS)
        return {**outputs, self.COUNT: result["count"], self.FORM: result["form"]}

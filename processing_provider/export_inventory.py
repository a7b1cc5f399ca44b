"""Outlines to an inventory in a published form."""

from __future__ import annotations

from typing import Any

from qgis.core import (
    Qgis,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingOutputNumber,
    QgsProcessingParameterEnum,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterFileDestination,
    QgsProcessingParameterString,
)

from ..jobs import INVENTORY_FORMS, ExportInventoryJob
from .engine_algorithm import EngineAlgorithm, Parameters
from .field_mapping import field_mapping_parameter, mapping_entries, why_half_a_row
from .translation import tr


class ExportInventory(EngineAlgorithm):
    """Processing algorithm ``rockglacier:exportinventory``."""

    NAME = "exportinventory"
    GROUP = "inventory"
    INPUT, FORM, RESTRICTED, AREA_OF_INTEREST, MARKERS = "INPUT", "FORM", "RESTRICTED", "AREA_OF_INTEREST", "MARKERS"
    OPERATOR, IMAGERY, FIELD_MAPPING, OUTPUT, COUNT = "OPERATOR", "IMAGERY", "FIELD_MAPPING", "OUTPUT", "COUNT"

    def displayName(self) -> str:
        """The name in the toolbox."""
        return tr("Export inventory")

    def shortHelpString(self) -> str:
        """What the help panel and ``qgis_process help`` show."""
        return tr(
            "Writes outlines as an inventory in a published form: RGIK with and without dots in the field names, the Swiss rogi_ch, "
            "TPRoGI, RGI 7, the global inventory of 2026. In the RGIK forms there are primary markers (PM), extended and restricted "
            "outlines (GO) and the area of interest (AOI), and QGIS shows drop-down lists with exactly the values of the form. Activity "
            "and kinematics are never guessed: they are Uncertain and undefined until a person says. What the outlines already hold, "
            "under this project's names or those of a form, is carried over. Moving areas (MA) are drawn from radar interferometry and "
            "are not written."
        )

    def tags(self) -> list[str]:
        """Words that the toolbox search finds it by."""
        return tr("rock glacier,inventory,RGIK,RoGI,PrimaryID,primary marker,TPRoGI,RGI,GeoPackage,publish,drop-down").split(",")

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:
        """Declare parameters and outputs."""
        job = ExportInventoryJob("", "")
        polygons = [Qgis.ProcessingSourceType.VectorPolygon]
        self.ask_for(
            QgsProcessingParameterFeatureSource(self.INPUT, tr("Outlines"), polygons),
            tr("The outlines, with what is known of them. Outlines that the review rejected are left out."),
        )
        self.ask_for(
            QgsProcessingParameterEnum(self.FORM, tr("Form"), list(INVENTORY_FORMS), False, job.form, usesStaticStrings=True),
            tr(
                "rgik: the template of RGIK, names with dots; rgik_release: the names of the published RoGI data; rogi_ch: the Swiss "
                "model; tprogi, rgi7, global2026: fields as those inventories have them."
            ),
        )
        self.ask_for(
            QgsProcessingParameterFeatureSource(self.RESTRICTED, tr("Restricted outlines"), polygons, optional=True),
            tr("Restricted footprints, with the id or PrimaryID of the outline that each belongs to."),
        )
        self.ask_for(
            QgsProcessingParameterFeatureSource(self.AREA_OF_INTEREST, tr("Area of interest"), polygons, optional=True),
            tr("The area that was mapped; it becomes the layer AOI."),
        )
        self.ask_for(
            QgsProcessingParameterFeatureSource(
                self.MARKERS, tr("Primary markers without an outline"), [Qgis.ProcessingSourceType.VectorPoint], optional=True
            ),
            tr("Points of rock glaciers that were identified and not outlined; they join the layer of primary markers."),
            advanced=True,
        )
        self.ask_for(
            QgsProcessingParameterString(self.OPERATOR, tr("Operator"), job.operator, optional=True),
            tr("Who mapped; for outlines whose field operator is empty."),
        )
        self.ask_for(
            QgsProcessingParameterString(self.IMAGERY, tr("Imagery"), job.imagery, optional=True),
            tr("Scenes and dates that were mapped from; for outlines whose field imagery is empty."),
        )
        self.ask_for(
            field_mapping_parameter(self.FIELD_MAPPING),
            tr("TO: a field of the form to fill otherwise, or a new one; FROM: the field of the outlines that holds the values."),
            advanced=True,
        )
        self.ask_for(
            QgsProcessingParameterFileDestination(
                self.OUTPUT,
                tr("Inventory"),
                f"{tr('GeoPackage with all layers')} (*.gpkg);;{tr('GeoJSON, a file for each layer')} (*.geojson);;"
                f"{tr('Shapefile, a file for each layer')} (*.shp)",
            ),
            tr("GeoPackage: all layers in one file, with their styles. GeoJSON and Shapefile: NAME_GO, NAME_PM, NAME_AOI, side by side."),
        )
        self.addOutput(QgsProcessingOutputNumber(self.COUNT, tr("Number of rock glaciers")))

    def checkParameterValues(self, parameters: Parameters, context: QgsProcessingContext) -> tuple[bool, str]:
        """What can be said before the run."""
        fine, message = super().checkParameterValues(parameters, context)
        if fine and (why := why_half_a_row(self, parameters, self.FIELD_MAPPING, context)):
            return False, why
        return fine, message

    def prepareAlgorithm(self, parameters: Parameters, context: QgsProcessingContext, feedback: QgsProcessingFeedback) -> bool:
        """Look at the project's layers, in the main thread."""
        names = (self.INPUT, self.RESTRICTED, self.AREA_OF_INTEREST, self.MARKERS)
        self._layers = {name: self.layer_path(parameters, name, context, feedback) for name in names}
        if self._layers[self.INPUT][0] is None:
            raise QgsProcessingException(self.invalidSourceError(parameters, self.INPUT))
        return True

    def processAlgorithm(self, parameters: Parameters, context: QgsProcessingContext, feedback: QgsProcessingFeedback) -> dict[str, Any]:
        """Run the job."""
        outlines, restricted, area_of_interest, markers = self._layers.values()
        job = ExportInventoryJob(
            input=outlines[0],
            input_layer=outlines[1],
            output=self.parameterAsFileOutput(parameters, self.OUTPUT, context),
            form=self.parameterAsEnumString(parameters, self.FORM, context),
            restricted=restricted[0],
            restricted_layer=restricted[1],
            area_of_interest=area_of_interest[0],
            area_of_interest_layer=area_of_interest[1],
            markers=markers[0],
            markers_layer=markers[1],
            operator=self.parameterAsString(parameters, self.OPERATOR, context),
            imagery=self.parameterAsString(parameters, self.IMAGERY, context),
            field_mapping=mapping_entries(self, parameters, self.FIELD_MAPPING, context),
        )
        result = self.run_in_engine(job, feedback)
        for file in result["files"]:
            feedback.pushInfo(file)
        return {self.OUTPUT: result["output"], self.COUNT: result["count"]}

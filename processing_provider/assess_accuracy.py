"""Accuracy of predicted against reference outlines."""

from __future__ import annotations

from typing import Any

from qgis.core import (
    Qgis,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingOutputNumber,
    QgsProcessingParameterEnum,
    QgsProcessingParameterFeatureSink,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterFileDestination,
    QgsProcessingParameterFolderDestination,
    QgsProcessingParameterNumber,
    QgsProcessingParameterRasterLayer,
)

from ..jobs import MATCH_RULES, AssessJob
from .engine_algorithm import EngineAlgorithm, Parameters
from .layers import CORRESPONDENCES
from .translation import tr


class AssessAccuracy(EngineAlgorithm):
    """Processing algorithm ``rockglacier:assessaccuracy``."""

    NAME = "assessaccuracy"
    GROUP = "accuracy"
    PREDICTED, REFERENCE, AREA_OF_INTEREST, PROBABILITY, DEM = "PREDICTED", "REFERENCE", "AREA_OF_INTEREST", "PROBABILITY", "DEM"
    MATCH_RULE, MIN_OVERLAP, MIN_IOU, SLIVER, PIXEL_SIZE = "MATCH_RULE", "MIN_OVERLAP", "MIN_IOU", "SLIVER", "PIXEL_SIZE"
    OUTPUT, TABLE, REPORT, JSON, FIGURES = "OUTPUT", "TABLE", "REPORT", "JSON", "FIGURES"
    PRODUCERS_ACCURACY, USERS_ACCURACY, F1, IOU, AREA_DEVIATION = "PRODUCERS_ACCURACY", "USERS_ACCURACY", "F1", "IOU", "AREA_DEVIATION"

    def displayName(self) -> str:
        """The name in the toolbox."""
        return tr("Assess accuracy")

    def shortHelpString(self) -> str:
        """What the help panel and ``qgis_process help`` show."""
        return tr(
            "Compares predicted outlines with reference outlines: how many rock glaciers were found and how many predictions are right, "
            "under three matching rules with confidence intervals; which outlines correspond, also where several were mapped as one; "
            "how areas, pixels and boundaries differ. Everything goes into a report, one page of HTML with figures, that opens from the "
            "results panel. Give the area of interest where the reference does not cover all that was predicted: outside it, an outline "
            "that nobody drew is unknown, not wrong."
        )

    def tags(self) -> list[str]:
        """Words that the toolbox search finds it by."""
        return tr("rock glacier,accuracy,validation,confusion,producer,user,precision,recall,f1,iou,boundary,report,inventory").split(",")

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:
        """Declare parameters and outputs."""
        job = AssessJob("", "")
        decimal, polygons = Qgis.ProcessingNumberParameterType.Double, [Qgis.ProcessingSourceType.VectorPolygon]
        self.ask_for(
            QgsProcessingParameterFeatureSource(self.PREDICTED, tr("Predicted outlines"), polygons),
            tr("The outlines to assess, in any coordinate reference system."),
        )
        self.ask_for(
            QgsProcessingParameterFeatureSource(self.REFERENCE, tr("Reference outlines"), polygons),
            tr("The outlines taken for true, drawn by a person or from an inventory."),
        )
        self.ask_for(
            QgsProcessingParameterFeatureSource(self.AREA_OF_INTEREST, tr("Area of interest"), polygons, optional=True),
            tr(
                "Where both layers are complete. An outline counts when at least half of it lies within, or its partner does. "
                "Empty: everything counts, and the background of the pixel figures is unknown."
            ),
        )
        self.ask_for(
            QgsProcessingParameterRasterLayer(self.PROBABILITY, tr("Probability"), optional=True),
            tr(
                "The probability raster of Detect rock glaciers: pixels are counted in its grid, where it has data. "
                "Empty: areas take the place of pixels."
            ),
        )
        self.ask_for(
            QgsProcessingParameterRasterLayer(self.DEM, tr("Elevation model"), optional=True),
            tr("For boundary distances of front, left and right side and upslope section. Takes a while for thousands of outlines."),
        )
        self.ask_for(
            QgsProcessingParameterEnum(
                self.MATCH_RULE, tr("Rule of the summary"), list(MATCH_RULES), False, job.match_rule, usesStaticStrings=True
            ),
            tr(
                "What counts as found: any intersection; an overlap of at least MIN_OVERLAP of the smaller outline; an intersection over "
                "union of at least MIN_IOU, one partner each. The report has all three."
            ),
        )
        for name, label, text in (
            (self.MIN_OVERLAP, tr("Smallest overlap"), tr("For the rule overlap: shared area over the area of the smaller outline, 0-1.")),
            (self.MIN_IOU, tr("Smallest IoU"), tr("For the rule iou: shared over joint area, 0-1. From 0.5 on partners are unique.")),
            (self.SLIVER, tr("Slivers"), tr("Overlaps below this share of both outlines, 0-1, are ignored.")),
        ):
            default = getattr(job, name.lower())
            self.ask_for(
                QgsProcessingParameterNumber(name, label, decimal, default, minValue=0.0, maxValue=1.0), text, advanced=True, decimals=2
            )
        self.ask_for(
            QgsProcessingParameterNumber(self.PIXEL_SIZE, tr("Pixel size (metres)"), decimal, job.pixel_size, minValue=0.1),
            tr("For boundary distances in pixels, where no probability raster says it."),
            advanced=True,
            decimals=1,
        )
        self.ask_for(
            QgsProcessingParameterFeatureSink(
                self.OUTPUT, tr("Correspondences"), Qgis.ProcessingSourceType.VectorPolygon, optional=True, createByDefault=True
            ),
            tr(
                "Every outline of both layers with its correspondence: component, kind (1-1, n-1, 1-n, n-m, missed, false; reference to "
                "predicted), areas and their deviation, size class, IoU, boundary distances."
            ),
        )
        self.ask_for(
            QgsProcessingParameterFeatureSink(
                self.TABLE, tr("Table of correspondences"), Qgis.ProcessingSourceType.Vector, optional=True, createByDefault=False
            ),
            tr("One row for each pair of overlapping outlines with the overlap both ways, and for each missed and false one."),
        )
        self.ask_for(
            QgsProcessingParameterFileDestination(self.REPORT, tr("Report"), tr("HTML files") + " (*.html)", optional=True),
            tr("One page of HTML with tables and figures, which needs nothing else."),
        )
        self.ask_for(
            QgsProcessingParameterFileDestination(
                self.JSON, tr("Numbers"), tr("JSON files") + " (*.json)", optional=True, createByDefault=False
            ),
            tr("All numbers of the report, for programs."),
        )
        self.ask_for(
            QgsProcessingParameterFolderDestination(self.FIGURES, tr("Folder of figures"), optional=True, createByDefault=False),
            tr("The figures of the report as PNG and SVG."),
        )
        self.addOutput(QgsProcessingOutputNumber(self.PRODUCERS_ACCURACY, tr("Producer's accuracy (0-1)")))
        self.addOutput(QgsProcessingOutputNumber(self.USERS_ACCURACY, tr("User's accuracy (0-1)")))
        self.addOutput(QgsProcessingOutputNumber(self.F1, tr("F1 of the pixels or areas (0-1)")))
        self.addOutput(QgsProcessingOutputNumber(self.IOU, tr("IoU of the pixels or areas (0-1)")))
        self.addOutput(QgsProcessingOutputNumber(self.AREA_DEVIATION, tr("Area deviation of the correspondences (percent)")))

    def checkParameterValues(self, parameters: Parameters, context: QgsProcessingContext) -> tuple[bool, str]:
        """What can be said before the run."""
        fine, message = super().checkParameterValues(parameters, context)
        return self.check_maps(parameters, (self.PROBABILITY, self.DEM), context) if fine else (fine, message)

    def prepareAlgorithm(self, parameters: Parameters, context: QgsProcessingContext, feedback: QgsProcessingFeedback) -> bool:
        """Look at the project's layers, in the main thread."""
        self._layers = {
            name: self.layer_path(parameters, name, context, feedback) for name in (self.PREDICTED, self.REFERENCE, self.AREA_OF_INTEREST)
        }
        for name in (self.PREDICTED, self.REFERENCE):
            if self._layers[name][0] is None:
                raise QgsProcessingException(self.invalidSourceError(parameters, name))
        self._probability = self.raster_path(parameters, self.PROBABILITY, context)
        self._dem = self.raster_path(parameters, self.DEM, context)
        return True

    def processAlgorithm(self, parameters: Parameters, context: QgsProcessingContext, feedback: QgsProcessingFeedback) -> dict[str, Any]:
        """Run the job and hand its outputs over."""
        layers = {name: self.optional_layer(parameters, name, context) for name in (self.OUTPUT, self.TABLE)}
        files = {name: self.optional_file(parameters, name, context) for name in (self.REPORT, self.JSON, self.FIGURES)}
        predicted, reference, area_of_interest = self._layers.values()
        job = AssessJob(
            predicted=predicted[0],
            predicted_layer=predicted[1],
            reference=reference[0],
            reference_layer=reference[1],
            area_of_interest=area_of_interest[0],
            area_of_interest_layer=area_of_interest[1],
            probability=self._probability,
            dem=self._dem,
            match_rule=self.parameterAsEnumString(parameters, self.MATCH_RULE, context),
            min_overlap=self.parameterAsDouble(parameters, self.MIN_OVERLAP, context),
            min_iou=self.parameterAsDouble(parameters, self.MIN_IOU, context),
            sliver=self.parameterAsDouble(parameters, self.SLIVER, context),
            pixel_size=self.parameterAsDouble(parameters, self.PIXEL_SIZE, context),
            output=layers[self.OUTPUT],
            table=layers[self.TABLE],
            report=files[self.REPORT],
            json=files[self.JSON],
            figures=files[self.FIGURES],
        )
        result = self.run_in_engine(job, feedback)
        outputs = self.layers_to_outputs(layers, parameters, context)
        self.style(context, outputs.get(self.OUTPUT), CORRESPONDENCES)
        rule = result["objects"][job.match_rule]
        return {
            **outputs,
            **{name: path for name, path in files.items() if path},
            self.PRODUCERS_ACCURACY: rule["producers_accuracy"],
            self.USERS_ACCURACY: rule["users_accuracy"],
            self.F1: result["pixels"]["rock_glacier"]["f1"],
            self.IOU: result["pixels"]["rock_glacier"]["iou"],
            self.AREA_DEVIATION: result["areas"]["matched"]["deviation_percent"],
        }

"""Outlines that hold several rock glaciers to systems and units."""

from __future__ import annotations

from typing import Any

from qgis.core import (
    Qgis,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingOutputNumber,
    QgsProcessingParameterFeatureSink,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterNumber,
    QgsProcessingParameterRasterLayer,
)

from ..jobs import SplitJob
from .engine_algorithm import EngineAlgorithm, Parameters
from .layers import CUTS, OUTLINES
from .translation import tr


class SplitOutlines(EngineAlgorithm):
    """Processing algorithm ``rockglacier:splitoutlines``."""

    NAME = "splitoutlines"
    INPUT, PROBABILITY, DEM, MIN_AREA, MIN_SCORE = "INPUT", "PROBABILITY", "DEM", "MIN_AREA", "MIN_SCORE"
    OUTPUT, SYSTEMS, CUTS = "OUTPUT", "SYSTEMS", "CUTS"
    COUNT, SYSTEMS_COUNT, CUTS_MADE, CUTS_PROPOSED = "COUNT", "SYSTEMS_COUNT", "CUTS_MADE", "CUTS_PROPOSED"

    def displayName(self) -> str:
        """The name in the toolbox."""
        return tr("Split outlines")

    def shortHelpString(self) -> str:
        """What the help panel and ``qgis_process help`` show."""
        return tr(
            "Parts outlines that hold several rock glaciers. Cuts are proposed at necks of the outline and of the probability, along "
            "furrows and flow divides of the ground, and where two fronts meet; each has a score from 0 to 1. The outline becomes a "
            "system (RGS), its pieces become units (RGU). Touching neighbours mapped as one are the chief error of Lin et al. (2024), "
            "12 % of area; but no cut is certain: look at the layer of cuts before you keep the units. With an elevation model of about "
            "10 m it finds far more than with the probability alone."
        )

    def tags(self) -> list[str]:
        """Words that the toolbox search finds it by."""
        return tr("rock glacier,split,cut,separate,neighbours,merged,system,unit,RGS,RGU,watershed,neck,furrow,front").split(",")

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:
        """Declare parameters and outputs."""
        job = SplitJob("", "")
        decimal = Qgis.ProcessingNumberParameterType.Double
        polygons = Qgis.ProcessingSourceType.VectorPolygon
        self.ask_for(
            QgsProcessingParameterFeatureSource(self.INPUT, tr("Outlines"), [polygons]),
            tr("Rock glacier outlines, of Post-process polygons or of any other source. All their fields are kept."),
        )
        self.ask_for(
            QgsProcessingParameterRasterLayer(self.PROBABILITY, tr("Probability"), optional=True),
            tr("The probability raster of Detect rock glaciers. At least one of probability and elevation model is needed."),
        )
        self.ask_for(
            QgsProcessingParameterRasterLayer(self.DEM, tr("Elevation model"), optional=True),
            tr("In metres, with cells of about 10 m or less: coarser ones do not show the furrow between two rock glaciers."),
        )
        self.ask_for(
            QgsProcessingParameterNumber(self.MIN_AREA, tr("Smallest unit (square metres)"), decimal, job.min_area, minValue=0.0),
            tr("Nothing smaller is cut off. 10000: the smallest rock glacier that the RGIK guidelines recommend to map."),
            decimals=0,
        )
        self.ask_for(
            QgsProcessingParameterNumber(
                self.MIN_SCORE, tr("Score from which a cut is made"), decimal, job.min_score, minValue=0.0, maxValue=1.0
            ),
            tr("0-1. Cuts with a lower score are written to the layer of cuts as proposals, not made."),
            decimals=2,
        )
        self.ask_for(
            QgsProcessingParameterFeatureSink(self.OUTPUT, tr("Units (RGU)"), polygons),
            tr(
                "The pieces, and the outlines that were not split, with system_id, unit_id within the system, type RGU and the score of "
                "the weakest cut around the unit (empty where the outline was not split). Pieces make up their outline exactly."
            ),
        )
        self.ask_for(
            QgsProcessingParameterFeatureSink(self.SYSTEMS, tr("Systems (RGS)"), polygons, optional=True, createByDefault=False),
            tr("The outlines as they were, with type RGS, the number of units, and system_type: mono-unit or multi-unit."),
        )
        self.ask_for(
            QgsProcessingParameterFeatureSink(self.CUTS, tr("Cuts"), Qgis.ProcessingSourceType.VectorLine, optional=True),
            tr("The cuts that were made (made = 1) and those proposed (made = 0), with score, source and the components of the score."),
        )
        self.addOutput(QgsProcessingOutputNumber(self.COUNT, tr("Number of units")))
        self.addOutput(QgsProcessingOutputNumber(self.SYSTEMS_COUNT, tr("Number of outlines that were split")))
        self.addOutput(QgsProcessingOutputNumber(self.CUTS_MADE, tr("Number of cuts made")))
        self.addOutput(QgsProcessingOutputNumber(self.CUTS_PROPOSED, tr("Number of further cuts proposed")))

    def checkParameterValues(self, parameters: Parameters, context: QgsProcessingContext) -> tuple[bool, str]:
        """What can be said before the run."""
        fine, message = super().checkParameterValues(parameters, context)
        if not fine:
            return fine, message
        if not parameters.get(self.PROBABILITY) and not parameters.get(self.DEM):
            return False, tr("Nothing says where to cut. Give PROBABILITY, DEM, or both.")
        return self.check_maps(parameters, (self.PROBABILITY, self.DEM), context)

    def prepareAlgorithm(self, parameters: Parameters, context: QgsProcessingContext, feedback: QgsProcessingFeedback) -> bool:
        """Look at the project's layers, in the main thread."""
        self._input = self.layer_path(parameters, self.INPUT, context, feedback)
        if self._input[0] is None:
            raise QgsProcessingException(self.invalidSourceError(parameters, self.INPUT))
        self._probability = self.raster_path(parameters, self.PROBABILITY, context)
        self._dem = self.raster_path(parameters, self.DEM, context)
        return True

    def processAlgorithm(self, parameters: Parameters, context: QgsProcessingContext, feedback: QgsProcessingFeedback) -> dict[str, Any]:
        """Run the job and hand its outputs over."""
        job = SplitJob(
            input=self._input[0],
            output=self.temporary_layer("units", context),
            input_layer=self._input[1],
            probability=self._probability,
            dem=self._dem,
            systems=self.optional_layer(parameters, self.SYSTEMS, context),
            cuts=self.optional_layer(parameters, self.CUTS, context),
            min_area=self.parameterAsDouble(parameters, self.MIN_AREA, context),
            min_score=self.parameterAsDouble(parameters, self.MIN_SCORE, context),
        )
        result = self.run_in_engine(job, feedback)
        outputs = self.layers_to_outputs({self.OUTPUT: job.output, self.SYSTEMS: job.systems, self.CUTS: job.cuts}, parameters, context)
        self.style(context, outputs[self.OUTPUT], OUTLINES)
        self.style(context, outputs.get(self.CUTS), CUTS)
        counts = (self.COUNT, self.SYSTEMS_COUNT, self.CUTS_MADE, self.CUTS_PROPOSED)
        return {**outputs, **{name: result[name.lower()] for name in counts}}

"""The line downslope through each outline."""

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
    QgsProcessingParameterRasterLayer,
)

from ..jobs import FallLinesJob
from .engine_algorithm import EngineAlgorithm, Parameters
from .layers import FALL_LINES
from .translation import tr


class FallLines(EngineAlgorithm):
    """Processing algorithm ``rockglacier:falllines``."""

    NAME = "falllines"
    GROUP = "inventory"
    INPUT, DEM, OUTPUT, COUNT, WITHOUT = "INPUT", "DEM", "OUTPUT", "COUNT", "WITHOUT"

    def displayName(self) -> str:
        """The name in the toolbox."""
        return tr("Fall lines")

    def shortHelpString(self) -> str:
        """What the help panel and ``qgis_process help`` show."""
        return tr(
            "Draws the fall line of each outline: the longest line downslope within it, from its roots to its front. A tongue is followed "
            "along its bends, a lobe across its contours. Add attributes measures length_m on a line found in the same way; it is a "
            "good one for an elevation profile."
        )

    def tags(self) -> list[str]:
        """Words that the toolbox search finds it by."""
        return tr("rock glacier,fall line,flow line,centreline,axis,length,profile,front,roots,downslope").split(",")

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:
        """Declare parameters and outputs."""
        self.ask_for(
            QgsProcessingParameterFeatureSource(self.INPUT, tr("Outlines"), [Qgis.ProcessingSourceType.VectorPolygon]),
            tr("Rock glacier outlines of any source. All their fields are kept; of an outline with several parts the largest counts."),
        )
        self.ask_for(
            QgsProcessingParameterRasterLayer(self.DEM, tr("Elevation model")),
            tr("In metres, in any coordinate reference system. Outlines of which it knows less than half get no line."),
        )
        self.ask_for(
            QgsProcessingParameterFeatureSink(self.OUTPUT, tr("Fall lines"), Qgis.ProcessingSourceType.VectorLine),
            tr("One line for each outline, drawn from the roots to the front, with length_m, metres on the ellipsoid without the slope."),
        )
        self.addOutput(QgsProcessingOutputNumber(self.COUNT, tr("Number of lines")))
        self.addOutput(QgsProcessingOutputNumber(self.WITHOUT, tr("Number of outlines without a line")))

    def checkParameterValues(self, parameters: Parameters, context: QgsProcessingContext) -> tuple[bool, str]:
        """What can be said before the run."""
        fine, message = super().checkParameterValues(parameters, context)
        return self.check_maps(parameters, (self.DEM,), context) if fine else (fine, message)

    def prepareAlgorithm(self, parameters: Parameters, context: QgsProcessingContext, feedback: QgsProcessingFeedback) -> bool:
        """Look at the project's layers, in the main thread."""
        self._input = self.layer_path(parameters, self.INPUT, context, feedback)
        if self._input[0] is None:
            raise QgsProcessingException(self.invalidSourceError(parameters, self.INPUT))
        self._dem = self.raster_path(parameters, self.DEM, context)
        if self._dem is None:
            raise QgsProcessingException(self.invalidRasterError(parameters, self.DEM))
        return True

    def processAlgorithm(self, parameters: Parameters, context: QgsProcessingContext, feedback: QgsProcessingFeedback) -> dict[str, Any]:
        """Run the job and hand its output over."""
        job = FallLinesJob(
            input=self._input[0], dem=self._dem, output=self.temporary_layer("fall_lines", context), input_layer=self._input[1]
        )
        result = self.run_in_engine(job, feedback)
        output = self.layer_to_output(job.output, parameters, self.OUTPUT, context)
        self.style(context, output, FALL_LINES)
        return {self.OUTPUT: output, self.COUNT: result["count"], self.WITHOUT: result["without"]}

"""Predicted and manual outlines to a review session."""

from __future__ import annotations

from typing import Any

from qgis.core import (
    Qgis,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingOutputNumber,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterFileDestination,
    QgsProcessingParameterNumber,
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterString,
)

from ..jobs import StartReviewJob
from .engine_algorithm import EngineAlgorithm, Parameters, session_filter
from .translation import tr


class StartReview(EngineAlgorithm):
    """Processing algorithm ``rockglacier:startreview``."""

    NAME = "startreview"
    GROUP = "review"
    PREDICTED, MANUAL, RESTRICTED, OUTPUT = "PREDICTED", "MANUAL", "RESTRICTED", "OUTPUT"
    IMAGERY, PROBABILITY, DEM = "IMAGERY", "PROBABILITY", "DEM"
    AREA_OF_INTEREST, TILE_SIZE, SLIVER, OPERATOR = "AREA_OF_INTEREST", "TILE_SIZE", "SLIVER", "OPERATOR"
    COUNT, PREDICTED_COUNT, MANUAL_COUNT, RESTRICTED_COUNT = "COUNT", "PREDICTED_COUNT", "MANUAL_COUNT", "RESTRICTED_COUNT"
    RELATIONS = {
        "ONE_TO_ONE": "1-1",
        "SEVERAL_MANUAL": "n-1",
        "SEVERAL_PREDICTED": "1-n",
        "SEVERAL_OF_BOTH": "n-m",
        "MISSED": "missed",
        "FALSE": "false",
    }
    SUSPECTS, TILES, TILE_SIZE_USED = "SUSPECTS", "TILES", "TILE_SIZE_USED"

    def displayName(self) -> str:
        """The name in the toolbox."""
        return tr("Start review")

    def shortHelpString(self) -> str:
        """What the help panel and ``qgis_process help`` show."""
        return tr(
            "Starts a review session: a GeoPackage of its own, in which a person judges, corrects and completes predicted outlines with "
            "the dock Rock Glacier Review. The inputs are never changed. Every predicted outline, and every manual one without a match, "
            "waits in a queue, what deserves attention first at its top: disagreement with the manual outlines, several rock glaciers "
            "that look like mapped as one, a low probability, a large deviation of the area. A grid of tiles leads through the area to "
            "what both have missed."
        )

    def tags(self) -> list[str]:
        """Words that the toolbox search finds it by."""
        return tr("rock glacier,review,session,queue,correct,validate,manual,reference,quality,inventory").split(",")

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:
        """Declare parameters and outputs."""
        job = StartReviewJob("", "")
        decimal = Qgis.ProcessingNumberParameterType.Double
        polygons = [Qgis.ProcessingSourceType.VectorPolygon]
        self.ask_for(
            QgsProcessingParameterFeatureSource(self.PREDICTED, tr("Predicted outlines"), polygons),
            tr(
                "Outlines of Post-process polygons or Split outlines, or of any other source. The session has their coordinate reference "
                "system and keeps their fields. A layer without outlines gives a session to draw in."
            ),
        )
        self.ask_for(
            QgsProcessingParameterFeatureSource(self.MANUAL, tr("Manual outlines"), polygons, optional=True),
            tr("Outlines that were drawn by hand in the same area, where there are any; those that the network missed join the queue."),
        )
        self.ask_for(
            QgsProcessingParameterFeatureSource(self.RESTRICTED, tr("Restricted outlines"), polygons, optional=True),
            tr("Restricted footprints of the predicted outlines; each goes to the outline that it lies in."),
        )
        self.ask_for(
            QgsProcessingParameterRasterLayer(self.IMAGERY, tr("Imagery"), optional=True),
            tr("What is looked at, best the spectral stack that the outlines were detected in."),
        )
        self.ask_for(
            QgsProcessingParameterRasterLayer(self.PROBABILITY, tr("Probability"), optional=True),
            tr("The probability raster of Detect rock glaciers: says how certain each outline is, and lets outlines follow its contours."),
        )
        self.ask_for(
            QgsProcessingParameterRasterLayer(self.DEM, tr("Elevation model"), optional=True),
            tr("In metres: for hillshade, elevation profiles and edges of the slope in the dock."),
        )
        self.ask_for(
            QgsProcessingParameterFeatureSource(self.AREA_OF_INTEREST, tr("Area of interest"), polygons, optional=True),
            tr("What is searched tile by tile. Left empty: the extents of imagery and outlines."),
        )
        self.ask_for(
            QgsProcessingParameterNumber(self.TILE_SIZE, tr("Tile size (metres)"), decimal, job.tile_size, minValue=1.0),
            tr("Side of the tiles that lead through the area. Larger where there would be more than 10 000; the run says so."),
            decimals=0,
        )
        self.ask_for(
            QgsProcessingParameterString(self.OPERATOR, tr("Operator"), job.operator, optional=True),
            tr("Who reviews; can be changed in the dock."),
        )
        self.ask_for(
            QgsProcessingParameterNumber(self.SLIVER, tr("Smallest overlap"), decimal, job.sliver, minValue=0.0, maxValue=0.99),
            tr("0-1. Overlaps below this share of both outlines are chance and link nothing."),
            advanced=True,
            decimals=2,
        )
        self.ask_for(
            QgsProcessingParameterFileDestination(self.OUTPUT, tr("Review session"), session_filter()),
            tr("The session's file. A session in which somebody has decided anything is not replaced."),
        )
        for name, text in (
            (self.COUNT, tr("Number of outlines to review")),
            (self.PREDICTED_COUNT, tr("Number of predicted outlines")),
            (self.MANUAL_COUNT, tr("Number of manual outlines")),
            (self.RESTRICTED_COUNT, tr("Number of restricted outlines")),
            ("ONE_TO_ONE", tr("Outlines that match one to one")),
            ("SEVERAL_MANUAL", tr("Predicted outlines that hold several manual ones")),
            ("SEVERAL_PREDICTED", tr("Predicted outlines that share one manual one")),
            ("SEVERAL_OF_BOTH", tr("Predicted outlines where several correspond to several")),
            ("MISSED", tr("Manual outlines without a match")),
            ("FALSE", tr("Predicted outlines without a match")),
            (self.SUSPECTS, tr("Predicted outlines that look like several rock glaciers")),
            (self.TILES, tr("Number of tiles")),
            (self.TILE_SIZE_USED, tr("Size of the tiles (metres)")),
        ):
            self.addOutput(QgsProcessingOutputNumber(name, text))

    def checkParameterValues(self, parameters: Parameters, context: QgsProcessingContext) -> tuple[bool, str]:
        """What can be said before the run."""
        fine, message = super().checkParameterValues(parameters, context)
        if fine:
            fine, message = self.check_maps(parameters, (self.IMAGERY, self.PROBABILITY, self.DEM), context)
        return self.check_session(parameters, self.OUTPUT, context) if fine else (fine, message)

    def prepareAlgorithm(self, parameters: Parameters, context: QgsProcessingContext, feedback: QgsProcessingFeedback) -> bool:
        """Look at the project's layers, in the main thread."""
        names = (self.PREDICTED, self.MANUAL, self.RESTRICTED, self.AREA_OF_INTEREST)
        self._layers = {name: self.layer_path(parameters, name, context, feedback) for name in names}
        if self._layers[self.PREDICTED][0] is None:
            raise QgsProcessingException(self.invalidSourceError(parameters, self.PREDICTED))
        self._rasters = {name: self.raster_path(parameters, name, context) for name in (self.IMAGERY, self.PROBABILITY, self.DEM)}
        return True

    def processAlgorithm(self, parameters: Parameters, context: QgsProcessingContext, feedback: QgsProcessingFeedback) -> dict[str, Any]:
        """Run the job."""
        predicted, manual, restricted, area_of_interest = self._layers.values()
        job = StartReviewJob(
            predicted=predicted[0],
            predicted_layer=predicted[1],
            output=self.parameterAsFileOutput(parameters, self.OUTPUT, context),
            manual=manual[0],
            manual_layer=manual[1],
            restricted=restricted[0],
            restricted_layer=restricted[1],
            imagery=self._rasters[self.IMAGERY],
            probability=self._rasters[self.PROBABILITY],
            dem=self._rasters[self.DEM],
            area_of_interest=area_of_interest[0],
            area_of_interest_layer=area_of_interest[1],
            tile_size=self.parameterAsDouble(parameters, self.TILE_SIZE, context),
            sliver=self.parameterAsDouble(parameters, self.SLIVER, context),
            operator=self.parameterAsString(parameters, self.OPERATOR, context),
        )
        result = self.run_in_engine(job, feedback)
        relations = result["relations"] or {}
        return {
            self.OUTPUT: job.output,
            self.COUNT: result["count"],
            self.PREDICTED_COUNT: result["predicted"],
            self.MANUAL_COUNT: result["manual"],
            self.RESTRICTED_COUNT: result["restricted"],
            **{name: relations.get(kind) for name, kind in self.RELATIONS.items()},
            self.SUSPECTS: result["suspects"],
            self.TILES: result["tiles"],
            self.TILE_SIZE_USED: result["tile_size"],
        }

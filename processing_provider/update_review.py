"""A new detection, or newly drawn outlines, come into a review session."""

from __future__ import annotations

from typing import Any

from qgis.core import (
    Qgis,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingOutputBoolean,
    QgsProcessingOutputNumber,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterFile,
    QgsProcessingParameterFileDestination,
    QgsProcessingParameterRasterLayer,
)

from ..jobs import UpdateReviewJob
from .engine_algorithm import EngineAlgorithm, Parameters, session_filter
from .translation import tr


class UpdateReview(EngineAlgorithm):
    """Processing algorithm ``rockglacier:updatereview``."""

    NAME = "updatereview"
    GROUP = "review"
    SESSION, PREDICTED, MANUAL, PROBABILITY, OUTPUT = "SESSION", "PREDICTED", "MANUAL", "PROBABILITY", "OUTPUT"
    AREA_OF_INTEREST = "AREA_OF_INTEREST"
    COUNT, UNDECIDED, IS_UNCHANGED = "COUNT", "UNDECIDED", "IS_UNCHANGED"
    CHANGES = {"FOUND": "found", "LOST": "lost", "MOVED": "moved", "UNCHANGED": "unchanged", "DECIDED": "decided"}

    def displayName(self) -> str:
        """The name in the toolbox."""
        return tr("Update review")

    def shortHelpString(self) -> str:
        """What the help panel and ``qgis_process help`` show."""
        return tr(
            "Brings a new detection, or manual outlines as they are now, into a review session. Every decision, edit, added outline, "
            "comment, attribute and visited tile stays. Outlines that nobody has touched yet give way to those of the new detection: "
            "found, moved or lost. What it proposes on ground that is decided, kept or rejected, does not come into the queue again. "
            "Close the review in the dock first."
        )

    def tags(self) -> list[str]:
        """Words that the toolbox search finds it by."""
        return tr("rock glacier,review,session,update,detection,adapt,found,lost,moved,queue").split(",")

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:
        """Declare parameters and outputs."""
        polygons = [Qgis.ProcessingSourceType.VectorPolygon]
        self.ask_for(
            QgsProcessingParameterFile(self.SESSION, tr("Review session"), fileFilter=session_filter()),
            tr("The session to update, as Start review wrote it."),
        )
        self.ask_for(
            QgsProcessingParameterFeatureSource(self.PREDICTED, tr("New predicted outlines"), polygons, optional=True),
            tr(
                "Outlines of a new detection, post-processed. Left empty: those that the session has. With nothing new at all, the layers "
                "that the session was made from are read again: they may have been changed."
            ),
        )
        self.ask_for(
            QgsProcessingParameterFeatureSource(self.MANUAL, tr("Manual outlines"), polygons, optional=True),
            tr("All manual outlines as they are now. Left empty: those that the session has."),
        )
        self.ask_for(
            QgsProcessingParameterRasterLayer(self.PROBABILITY, tr("New probability"), optional=True),
            tr("The probability raster of the new detection. Left empty: that of the session."),
        )
        self.ask_for(
            QgsProcessingParameterFeatureSource(self.AREA_OF_INTEREST, tr("Where the new detection looked"), polygons, optional=True),
            tr("Predicted outlines elsewhere stay. Left empty: it looked everywhere, and what it has no more is lost."),
        )
        self.ask_for(
            QgsProcessingParameterFileDestination(self.OUTPUT, tr("Updated session"), session_filter()),
            tr("May be the session itself: it is replaced when all is done, and stays as it was where anything fails."),
        )
        predicted = {
            "FOUND": tr("New predicted outlines in the queue"),
            "LOST": tr("Predicted outlines that left the queue"),
            "MOVED": tr("Predicted outlines with another boundary"),
            "UNCHANGED": tr("Predicted outlines that stayed the same"),
            "DECIDED": tr("Predicted outlines on ground that is decided"),
        }
        manual = {
            "FOUND": tr("Manual outlines that joined the queue"),
            "LOST": tr("Manual outlines that left the queue"),
            "MOVED": tr("Manual outlines in the queue with another boundary"),
            "UNCHANGED": tr("Manual outlines in the queue that stayed the same"),
            "DECIDED": tr("Manual outlines on ground that is decided"),
        }
        self.addOutput(QgsProcessingOutputNumber(self.COUNT, tr("Number of outlines in the session")))
        self.addOutput(QgsProcessingOutputNumber(self.UNDECIDED, tr("Number of outlines to review")))
        for name in self.CHANGES:
            self.addOutput(QgsProcessingOutputNumber(name, predicted[name]))
        for name in self.CHANGES:
            self.addOutput(QgsProcessingOutputNumber(f"MANUAL_{name}", manual[name]))
        self.addOutput(QgsProcessingOutputBoolean(self.IS_UNCHANGED, tr("The outlines are those that the session had already")))

    def checkParameterValues(self, parameters: Parameters, context: QgsProcessingContext) -> tuple[bool, str]:
        """What can be said before the run."""
        fine, message = super().checkParameterValues(parameters, context)
        if fine and parameters.get(self.AREA_OF_INTEREST) and not parameters.get(self.PREDICTED):
            return False, tr("AREA_OF_INTEREST says where the new detection looked: give PREDICTED too.")
        if fine:
            fine, message = self.check_maps(parameters, (self.PROBABILITY,), context)
        return self.check_session(parameters, self.OUTPUT, context) if fine else (fine, message)

    def prepareAlgorithm(self, parameters: Parameters, context: QgsProcessingContext, feedback: QgsProcessingFeedback) -> bool:
        """Look at the project's layers, in the main thread."""
        names = (self.PREDICTED, self.MANUAL, self.AREA_OF_INTEREST)
        self._layers = {name: self.layer_path(parameters, name, context, feedback) for name in names}
        self._probability = self.raster_path(parameters, self.PROBABILITY, context)
        return True

    def processAlgorithm(self, parameters: Parameters, context: QgsProcessingContext, feedback: QgsProcessingFeedback) -> dict[str, Any]:
        """Run the job."""
        predicted, manual, area_of_interest = self._layers.values()
        job = UpdateReviewJob(
            session=self.parameterAsFile(parameters, self.SESSION, context),
            output=self.parameterAsFileOutput(parameters, self.OUTPUT, context),
            predicted=predicted[0],
            predicted_layer=predicted[1],
            manual=manual[0],
            manual_layer=manual[1],
            probability=self._probability,
            area_of_interest=area_of_interest[0],
            area_of_interest_layer=area_of_interest[1],
        )
        result = self.run_in_engine(job, feedback)
        return {
            self.OUTPUT: job.output,
            self.COUNT: result["count"],
            self.UNDECIDED: result["undecided"],
            **{name: result["predicted"][change] for name, change in self.CHANGES.items()},
            **{f"MANUAL_{name}": result["manual"][change] for name, change in self.CHANGES.items()},
            self.IS_UNCHANGED: result["is_unchanged"],
        }

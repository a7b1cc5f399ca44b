"""The review sessions of several people to one."""

from __future__ import annotations

from typing import Any

from qgis.core import (
    Qgis,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingOutputNumber,
    QgsProcessingParameterFileDestination,
    QgsProcessingParameterMultipleLayers,
    QgsProcessingParameterNumber,
)

from ..jobs import MergeReviewsJob
from .engine_algorithm import EngineAlgorithm, Parameters, session_filter
from .translation import tr


class MergeReviews(EngineAlgorithm):
    """Processing algorithm ``rockglacier:mergereviews``."""

    NAME = "mergereviews"
    GROUP = "review"
    SESSIONS, SAME_IOU, OUTPUT = "SESSIONS", "SAME_IOU", "OUTPUT"
    COUNTS = ("COUNT", "DECIDED", "CONFLICTS", "MERGED", "ADDED")

    def displayName(self) -> str:
        """The name in the toolbox."""
        return tr("Merge reviews")

    def shortHelpString(self) -> str:
        """What the help panel and ``qgis_process help`` show."""
        return tr(
            "Puts the review sessions of several people together. What one of them decided is decided; where several decided alike with "
            "the same boundary, the later decision stays. Where they disagree, the outline is in the queue again and says who decided "
            "what and when; boundaries that differ are all there, as outlines of their own. Sessions may be copies of one that several "
            "people shared, or of different areas."
        )

    def tags(self) -> list[str]:
        """Words that the toolbox search finds it by."""
        return tr("rock glacier,review,session,merge,operators,people,conflict,consensus,disagreement").split(",")

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:
        """Declare parameters and outputs."""
        job = MergeReviewsJob((), "")
        sessions = QgsProcessingParameterMultipleLayers(self.SESSIONS, tr("Sessions"), Qgis.ProcessingSourceType.File)
        sessions.setMinimumNumberInputs(2)
        self.ask_for(
            sessions,
            tr(
                "Two or more GeoPackages of review sessions, saved and not just being edited. The first gives the coordinate reference "
                "system and the settings."
            ),
        )
        self.ask_for(
            QgsProcessingParameterNumber(
                self.SAME_IOU,
                tr("Same boundary from an IoU of"),
                Qgis.ProcessingNumberParameterType.Double,
                job.same_iou,
                minValue=0.01,
                maxValue=1.0,
            ),
            tr("Boundaries that share at least this of their joint area are the same, 0-1."),
            decimals=2,
        )
        self.ask_for(
            QgsProcessingParameterFileDestination(self.OUTPUT, tr("Merged session"), session_filter()),
            tr("Opened in the review dock like any other; its filter for conflicts shows what is to be settled."),
        )
        for name, label in zip(
            self.COUNTS,
            (
                tr("Number of outlines"),
                tr("Number of decided outlines"),
                tr("Number of outlines in conflict"),
                tr("Number of outlines on which several people agree"),
                tr("Number of outlines that not all sessions had"),
            ),
        ):
            self.addOutput(QgsProcessingOutputNumber(name, label))

    def checkParameterValues(self, parameters: Parameters, context: QgsProcessingContext) -> tuple[bool, str]:
        """What can be said before the run."""
        fine, message = super().checkParameterValues(parameters, context)
        if fine and len(self.parameterAsFileList(parameters, self.SESSIONS, context)) < 2:
            return False, tr("SESSIONS: two or more sessions are needed.")
        return self.check_session(parameters, self.OUTPUT, context) if fine else (fine, message)

    def processAlgorithm(self, parameters: Parameters, context: QgsProcessingContext, feedback: QgsProcessingFeedback) -> dict[str, Any]:
        """Run the job."""
        job = MergeReviewsJob(
            sessions=tuple(self.parameterAsFileList(parameters, self.SESSIONS, context)),
            output=self.parameterAsFileOutput(parameters, self.OUTPUT, context),
            same_iou=self.parameterAsDouble(parameters, self.SAME_IOU, context),
        )
        result = self.run_in_engine(job, feedback)
        return {self.OUTPUT: result["output"], **{name: result[name.lower()] for name in self.COUNTS}}

"""A review session to its inventory, reports and training samples."""

from __future__ import annotations

from typing import Any

from qgis.core import (
    Qgis,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingOutputFile,
    QgsProcessingOutputFolder,
    QgsProcessingOutputHtml,
    QgsProcessingOutputNumber,
    QgsProcessingParameterBoolean,
    QgsProcessingParameterEnum,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterFile,
    QgsProcessingParameterFolderDestination,
    QgsProcessingParameterMultipleLayers,
    QgsProcessingParameterString,
)

from ..jobs import INVENTORY_FORMS, FinishReviewJob
from .engine_algorithm import EngineAlgorithm, Parameters
from .layers import raster_path, why_unreadable
from .translation import tr


class FinishReview(EngineAlgorithm):
    """Processing algorithm ``rockglacier:finishreview``."""

    NAME = "finishreview"
    GROUP = "review"
    SESSION, FOLDER, FORM, ACCURACY, STACKS = "SESSION", "FOLDER", "FORM", "ACCURACY", "STACKS"
    OPERATOR, IMAGERY, AREA_OF_INTEREST = "OPERATOR", "IMAGERY", "AREA_OF_INTEREST"
    FILES = ("INVENTORY", "ACCURACY_REPORT", "ACCURACY_JSON", "EFFORT_REPORT", "EFFORT_JSON", "EFFORT_TABLE", "SAMPLES")
    NUMBERS = (
        *("KEPT", "RESTRICTED", "REJECTED", "UNDECIDED", "SAMPLES_COUNT", "MINUTES", "EDITED_SHARE"),
        *("PRODUCERS_ACCURACY", "USERS_ACCURACY"),
    )

    def displayName(self) -> str:
        """The name in the toolbox."""
        return tr("Finish review")

    def shortHelpString(self) -> str:
        """What the help panel and ``qgis_process help`` show."""
        return tr(
            "Writes what a review session yields into a folder: the inventory of the outlines that were kept, the accuracy of the "
            "prediction against them, a report of the effort (decisions, minutes, what edits changed, by operator), and training "
            "samples where spectral stacks are given. Outlines without a decision are left out. All is written or nothing, and the "
            "session stays as it is."
        )

    def tags(self) -> list[str]:
        """Words that the toolbox search finds it by."""
        return tr("rock glacier,review,session,finish,inventory,accuracy,effort,report,training,samples,export").split(",")

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:
        """Declare parameters and outputs."""
        job = FinishReviewJob("", "")
        self.ask_for(
            QgsProcessingParameterFile(self.SESSION, tr("Session"), extension="gpkg"),
            tr("The GeoPackage of a review session, saved; the review need not be complete."),
        )
        self.ask_for(
            QgsProcessingParameterEnum(
                self.FORM, tr("Form of the inventory"), list(INVENTORY_FORMS), False, job.form, usesStaticStrings=True
            ),
            tr("Names and layers of its fields, as in Export inventory."),
        )
        self.ask_for(
            QgsProcessingParameterBoolean(self.ACCURACY, tr("Assess the prediction"), job.accuracy),
            tr("The predicted outlines as they came against those that were kept."),
        )
        self.ask_for(
            QgsProcessingParameterMultipleLayers(self.STACKS, tr("Spectral stacks"), Qgis.ProcessingSourceType.Raster, optional=True),
            tr("Training samples are cut from these: accepted, edited and added outlines are rock glaciers, rejected ones are not."),
        )
        self.ask_for(
            QgsProcessingParameterString(self.OPERATOR, tr("Operator"), job.operator, optional=True),
            tr("Who mapped; for outlines without a reviewer."),
        )
        self.ask_for(
            QgsProcessingParameterString(self.IMAGERY, tr("Imagery"), job.imagery, optional=True),
            tr("Scenes and dates that were mapped from; for outlines whose field imagery is empty."),
        )
        self.ask_for(
            QgsProcessingParameterFeatureSource(
                self.AREA_OF_INTEREST, tr("Area of interest"), [Qgis.ProcessingSourceType.VectorPolygon], optional=True
            ),
            tr("The area that was mapped: the layer AOI of the inventory, and the ground on which accuracy counts."),
        )
        self.ask_for(
            QgsProcessingParameterFolderDestination(self.FOLDER, tr("Folder")),
            tr("Receives inventory.gpkg, accuracy.html, effort.html and their numbers, samples; other files in it stay."),
        )
        for name, label in zip(
            self.FILES,
            (
                tr("Inventory"),
                tr("Accuracy report"),
                tr("Accuracy in numbers"),
                tr("Effort report"),
                tr("Effort in numbers"),
                tr("Effort of each outline"),
                tr("Training samples"),
            ),
        ):
            kinds = {"REPORT": QgsProcessingOutputHtml, "SAMPLES": QgsProcessingOutputFolder}
            self.addOutput(kinds.get(name.split("_")[-1], QgsProcessingOutputFile)(name, label))
        for name, label in zip(
            self.NUMBERS,
            (
                tr("Number of outlines that were kept"),
                tr("Number of restricted outlines"),
                tr("Number of rejected outlines"),
                tr("Number of outlines without a decision"),
                tr("Number of samples"),
                tr("Minutes of the review"),
                tr("Share of the predicted outlines that were edited"),
                tr("Producer's accuracy of the prediction"),
                tr("User's accuracy of the prediction"),
            ),
        ):
            self.addOutput(QgsProcessingOutputNumber(name, label))

    def checkParameterValues(self, parameters: Parameters, context: QgsProcessingContext) -> tuple[bool, str]:
        """What can be said before the run."""
        fine, message = super().checkParameterValues(parameters, context)
        if fine:
            unreadable = (why_unreadable(layer) for layer in self.parameterAsLayerList(parameters, self.STACKS, context))
            message = next(filter(None, unreadable), "")
        return not message, message

    def prepareAlgorithm(self, parameters: Parameters, context: QgsProcessingContext, feedback: QgsProcessingFeedback) -> bool:
        """Look at the project's layers, in the main thread."""
        self._stacks = tuple(raster_path(layer) for layer in self.parameterAsLayerList(parameters, self.STACKS, context))
        self._area_of_interest = self.layer_path(parameters, self.AREA_OF_INTEREST, context, feedback)
        return True

    def processAlgorithm(self, parameters: Parameters, context: QgsProcessingContext, feedback: QgsProcessingFeedback) -> dict[str, Any]:
        """Run the job."""
        job = FinishReviewJob(
            session=self.parameterAsFile(parameters, self.SESSION, context),
            folder=self.parameterAsString(parameters, self.FOLDER, context),
            form=self.parameterAsEnumString(parameters, self.FORM, context),
            accuracy=self.parameterAsBoolean(parameters, self.ACCURACY, context),
            stacks=self._stacks,
            operator=self.parameterAsString(parameters, self.OPERATOR, context),
            imagery=self.parameterAsString(parameters, self.IMAGERY, context),
            area_of_interest=self._area_of_interest[0],
            area_of_interest_layer=self._area_of_interest[1],
        )
        result = self.run_in_engine(job, feedback)
        named = {name: result[name.lower()] for name in (*self.FILES, *self.NUMBERS)}
        return {self.FOLDER: result["folder"], **{name: value for name, value in named.items() if value is not None}}

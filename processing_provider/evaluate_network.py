"""How well a model does on samples or chips."""

from __future__ import annotations

from typing import Any

from qgis.core import (
    Qgis,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingOutputNumber,
    QgsProcessingOutputString,
    QgsProcessingParameterEnum,
    QgsProcessingParameterFile,
    QgsProcessingParameterFileDestination,
    QgsProcessingParameterNumber,
)

from ..jobs import EVALUATED_SPLITS, EvaluateNetworkJob
from .chips_parameters import ChipsAlgorithm
from .engine_algorithm import Parameters
from .model_algorithm import ModelAlgorithm
from .translation import tr


class EvaluateNetwork(ModelAlgorithm, ChipsAlgorithm):
    """Processing algorithm ``rockglacier:evaluatenetwork``."""

    NAME = "evaluatenetwork"
    GROUP = "training"
    SAMPLES, SPLIT, LOW_SNOW = "SAMPLES", "SPLIT", "LOW_SNOW"
    REPORT, TABLE, JSON, WORST, BEST = "REPORT", "TABLE", "JSON", "WORST", "BEST"
    DEVICE_USED = "DEVICE_USED"

    def displayName(self) -> str:
        """The name in the toolbox."""
        return tr("Evaluate network")

    def shortHelpString(self) -> str:
        """What the help panel and ``qgis_process help`` show."""
        return tr(
            "Runs a model over training samples or chips and holds what it marks against their masks, pixel by pixel: precision, recall, "
            "F1 and IoU of rock glacier and of background, by region and source too, the share of ground without rock glaciers that is "
            "marked, a sweep of the threshold, calibration, and pictures of the samples that went worst and best. The report opens from "
            "the results panel. Figures tell how the model does elsewhere only where the samples show ground that it was not trained on; "
            "that is not checked."
        )

    def tags(self) -> list[str]:
        """Words that the toolbox search finds it by."""
        return tr("rock glacier,evaluate,network,model,test,accuracy,iou,f1,precision,recall,calibration,threshold,chips,samples").split(
            ","
        )

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:
        """Declare parameters and outputs."""
        job = EvaluateNetworkJob()
        folder = Qgis.ProcessingFileParameterBehavior.Folder
        self.ask_for_model()
        self.ask_for(
            QgsProcessingParameterFile(self.SAMPLES, tr("Folder of samples"), folder, optional=True),
            tr("The output of Prepare training samples."),
        )
        self.ask_for(
            QgsProcessingParameterEnum(self.SPLIT, tr("Samples for"), list(EVALUATED_SPLITS), False, job.split, usesStaticStrings=True),
            tr("Which of the samples to evaluate on. A network has seen those for training."),
        )
        self.ask_for_threshold()
        self.ask_for_device()
        self.ask_for_chips(
            tr(
                "Instead of samples: true-colour pictures (.png, 8 bit), for a model that works without near-infrared. A table chips.csv "
                "beside them tells the region and the share of snow of each."
            )
        )
        self.ask_for(
            QgsProcessingParameterNumber(
                self.LOW_SNOW, tr("Low snow"), Qgis.ProcessingNumberParameterType.Double, job.low_snow, minValue=0.0, maxValue=1.0
            ),
            tr("Chips with a smaller share of snow, 0-1, as chips.csv tells it, get figures of their own."),
            advanced=True,
            decimals=2,
        )
        self.ask_for_batch_size()
        self.ask_for(
            QgsProcessingParameterFileDestination(self.REPORT, tr("Report"), tr("HTML files") + " (*.html)", optional=True),
            tr("One page of HTML with tables and figures, which needs nothing else."),
        )
        for name, label, kinds, text in (
            (self.TABLE, tr("Table of samples"), tr("CSV files") + " (*.csv)", tr("A row for each sample, the worst first.")),
            (self.JSON, tr("Numbers"), tr("JSON files") + " (*.json)", tr("All numbers of the report, for programs.")),
            (self.WORST, tr("Worst samples"), tr("PNG pictures") + " (*.png)", tr("The twelve samples that went worst.")),
            (self.BEST, tr("Best samples"), tr("PNG pictures") + " (*.png)", tr("The twelve samples with rock glaciers that went best.")),
        ):
            self.ask_for(QgsProcessingParameterFileDestination(name, label, kinds, optional=True, createByDefault=False), text)
        for name, label in (
            ("COUNT", tr("Number of samples")),
            ("IOU", tr("IoU of rock glacier (0-1)")),
            ("PRECISION", tr("Precision of rock glacier (0-1)")),
            ("RECALL", tr("Recall of rock glacier (0-1)")),
            ("F1", tr("F1 of rock glacier (0-1)")),
            ("MIOU", tr("Mean IoU of both classes (0-1)")),
            ("NEGATIVES_MARKED", tr("Share of the pixels of samples without rock glaciers that is marked (0-1)")),
            ("CALIBRATION_ERROR", tr("Expected calibration error (0-1)")),
            ("BEST_THRESHOLD", tr("Threshold with the highest IoU on these samples (0-1)")),
        ):
            self.addOutput(QgsProcessingOutputNumber(name, label))
        self.addOutput(QgsProcessingOutputString(self.DEVICE_USED, tr("Device used (CUDA or CPU)")))

    def checkParameterValues(self, parameters: Parameters, context: QgsProcessingContext) -> tuple[bool, str]:
        """What can be said before the run."""
        fine, message = super().checkParameterValues(parameters, context)
        if not fine:
            return fine, message
        chips = [name for name in (self.IMAGES, self.MASKS, self.NEGATIVE_IMAGES) if parameters.get(name)]
        if chips and parameters.get(self.SAMPLES):
            return False, tr("Give either SAMPLES, or IMAGES and MASKS, not both.")
        if not parameters.get(self.SAMPLES) and not {self.IMAGES, self.MASKS} <= set(chips):
            return False, tr("Give SAMPLES, or for chips IMAGES and MASKS.")
        return self.check_model(parameters, context)

    def processAlgorithm(self, parameters: Parameters, context: QgsProcessingContext, feedback: QgsProcessingFeedback) -> dict[str, Any]:
        """Run the job and hand its outputs over."""
        files = {
            name: self.optional_file(parameters, name, context) for name in (self.REPORT, self.TABLE, self.JSON, self.WORST, self.BEST)
        }
        folders = {"samples": self.SAMPLES, "images": self.IMAGES, "masks": self.MASKS, "negatives": self.NEGATIVE_IMAGES}
        job = EvaluateNetworkJob(
            **self.model_of_job(parameters, context),
            **{field: self.optional_input(parameters, name, context) for field, name in folders.items()},
            split=self.parameterAsEnumString(parameters, self.SPLIT, context),
            low_snow=self.parameterAsDouble(parameters, self.LOW_SNOW, context),
            **{name.lower(): path for name, path in files.items()},
        )
        result = self.run_in_engine(job, feedback)
        pixels, best = result["pixels"], result["best_threshold"]
        return {
            **{name: path for name, path in files.items() if path},
            "COUNT": result["samples"]["all"],
            **{name: pixels["rock_glacier"][name.lower()] for name in ("IOU", "PRECISION", "RECALL", "F1")},
            "MIOU": pixels["overall"]["miou"],
            "NEGATIVES_MARKED": result["negatives"]["marked_share"],
            "CALIBRATION_ERROR": pixels["expected_calibration_error"],
            "BEST_THRESHOLD": best and best["threshold"],
            self.DEVICE_USED: result["device_used"],
        }

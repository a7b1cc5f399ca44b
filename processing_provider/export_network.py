"""A training's network as a model that Detect rock glaciers runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qgis.core import (
    Qgis,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingParameterEnum,
    QgsProcessingParameterFile,
    QgsProcessingParameterString,
)

from ..jobs import MODEL_PRECISIONS, ExportNetworkJob
from .engine_algorithm import Parameters
from .engine_home import free_name, models_folder
from .training_algorithm import TrainingAlgorithm
from .translation import tr


class ExportNetwork(TrainingAlgorithm):
    """Processing algorithm ``rockglacier:exportnetwork``."""

    NAME = "exportnetwork"
    GROUP = "training"
    TRAINING, CHECKPOINT, SAMPLES, PRECISION = "TRAINING", "CHECKPOINT", "SAMPLES", "PRECISION"
    TITLE, LICENCE, VERSION = "TITLE", "LICENCE", "VERSION"

    def displayName(self) -> str:
        """The name in the toolbox."""
        return tr("Export network")

    def shortHelpString(self) -> str:
        """What the help panel and ``qgis_process help`` show."""
        return tr(
            "Writes the network of a training as a model, model.onnx and its card model.json, which Detect rock glaciers runs without the "
            "packages for training. Train network has done this with the best checkpoint already; here are other checkpoints, other "
            "precisions, a title and a licence of your own. fp16 is half the size, for graphics cards; int8 a quarter, for processors. "
            "The model is tried against the network that it was made from before it gets its name."
        )

    def tags(self) -> list[str]:
        """Words that the toolbox search finds it by."""
        return tr("rock glacier,export,network,model,onnx,card,checkpoint,fp16,int8,quantize,half precision,deploy").split(",")

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:
        """Declare parameters and outputs."""
        job = ExportNetworkJob("", "")
        folder = Qgis.ProcessingFileParameterBehavior.Folder
        self.ask_for(
            QgsProcessingParameterFile(self.TRAINING, tr("Folder of the training"), folder, optional=True),
            tr("The output of Train network; its best checkpoint is taken."),
        )
        self.ask_for(
            QgsProcessingParameterEnum(
                self.PRECISION, tr("Precision"), list(MODEL_PRECISIONS), False, job.precision, usesStaticStrings=True
            ),
            tr(
                "fp32: as trained. fp16: half the size, for graphics cards. int8: a quarter of the size, fast on processors; needs SAMPLES."
            ),
        )
        self.ask_for(
            QgsProcessingParameterFile(self.SAMPLES, tr("Folder of samples"), folder, optional=True),
            tr("int8 is calibrated on those for training, and those for validation tell what the precision costs."),
        )
        self.ask_for_threshold(tr("Empty: as the training chose it."))
        for name, label, default, text in (
            (self.TITLE, tr("Title"), job.title, tr("What lists of models show. Empty: network and data.")),
            (self.LICENCE, tr("Licence"), job.licence, tr("Under which others may use the model.")),
            (self.VERSION, tr("Version"), job.version, tr("Of the model.")),
        ):
            self.ask_for(QgsProcessingParameterString(name, label, default, optional=True), text)
        self.ask_for(
            QgsProcessingParameterFile(self.CHECKPOINT, tr("Checkpoint"), optional=True),
            tr("Instead of a training's folder: a file of its folder checkpoints."),
            advanced=True,
        )
        self.ask_for_new_model(tr("the name of the training's folder, and the precision unless it is fp32."))
        self.add_numbers(
            (
                ("SIZE_MB", tr("Size of the model (MB)")),
                ("CHOSEN_THRESHOLD", tr("Threshold of the model's card (0-1)")),
                ("EVALUATED", tr("Number of validation samples that it was tried on")),
            )
        )

    def checkParameterValues(self, parameters: Parameters, context: QgsProcessingContext) -> tuple[bool, str]:
        """What can be said before the run."""
        fine, message = super().checkParameterValues(parameters, context)
        if not fine:
            return fine, message
        given = [name for name in (self.TRAINING, self.CHECKPOINT) if parameters.get(name)]
        if len(given) != 1:
            return False, tr("Give either TRAINING, a folder, or CHECKPOINT, a file.")
        if not Path(self.parameterAsFile(parameters, given[0], context)).exists():
            return False, tr("{}: there is no {}.").format(given[0], parameters[given[0]])
        if self.parameterAsEnumString(parameters, self.PRECISION, context) == "int8" and not parameters.get(self.SAMPLES):
            return False, tr("int8 is calibrated on real samples: give SAMPLES, the folder that the network was trained on.")
        return self.first_refusal(
            lambda: self.check_threshold(parameters, context),
            lambda: self.check_new_model(self._model(parameters, context)),
            self.check_training,
        )

    def processAlgorithm(self, parameters: Parameters, context: QgsProcessingContext, feedback: QgsProcessingFeedback) -> dict[str, Any]:
        """Run the job and hand its outputs over."""
        model = self._model(parameters, context)
        texts = {name.lower(): self.parameterAsString(parameters, name, context) for name in (self.TITLE, self.LICENCE, self.VERSION)}
        job = ExportNetworkJob(
            checkpoint=self._trained(parameters, context),
            output=self.with_parent(model),
            precision=self.parameterAsEnumString(parameters, self.PRECISION, context),
            samples=self.optional_input(parameters, self.SAMPLES, context),
            threshold=self.optional_number(parameters, self.THRESHOLD, context),
            **texts,
        )
        result = self.run_in_engine(job, feedback)
        numbers = {"SIZE_MB": result["size_mb"], "CHOSEN_THRESHOLD": result["threshold"], "EVALUATED": result["evaluated"]}
        return {**self.model_outputs(model, feedback), **numbers}

    def _trained(self, parameters: Parameters, context: QgsProcessingContext) -> str:
        """The folder or the file."""
        return self.optional_input(parameters, self.TRAINING, context) or self.parameterAsFile(parameters, self.CHECKPOINT, context)

    def _model(self, parameters: Parameters, context: QgsProcessingContext) -> Path:
        if self.parameterAsString(parameters, self.NEW_MODEL, context).strip():
            return self.new_model(parameters, context, "")
        trained = Path(self._trained(parameters, context)).resolve()
        name = trained.name if parameters.get(self.TRAINING) else trained.parent.parent.name
        precision = self.parameterAsEnumString(parameters, self.PRECISION, context)
        return models_folder() / free_name(name if precision == "fp32" else f"{name}-{precision}")

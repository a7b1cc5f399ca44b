"""A network trained on a person's own samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qgis.core import (
    Qgis,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingOutputFile,
    QgsProcessingOutputString,
    QgsProcessingParameterBoolean,
    QgsProcessingParameterEnum,
    QgsProcessingParameterFile,
    QgsProcessingParameterFolderDestination,
    QgsProcessingParameterNumber,
    QgsProcessingParameterString,
)

from ..jobs import TRAINING_LOSSES, TRAINING_PRECISIONS, TRAINING_STARTS, TrainJob
from .engine_algorithm import Parameters, destination_text
from .engine_home import model_folder
from .training_algorithm import TrainingAlgorithm, is_lasting
from .translation import tr


class TrainNetwork(TrainingAlgorithm):
    """Processing algorithm ``rockglacier:trainnetwork``."""

    NAME = "trainnetwork"
    GROUP = "training"
    SAMPLES, START, ESTIMATE, NETWORK_OPTIONS = "SAMPLES", "START", "ESTIMATE", "NETWORK_OPTIONS"
    CROP, ACCUMULATE, LEARNING_RATE = "CROP", "ACCUMULATE", "LEARNING_RATE"
    LOSS, PATIENCE, PRECISION, GPUS, WORKERS, TENSORBOARD = "LOSS", "PATIENCE", "PRECISION", "GPUS", "WORKERS", "TENSORBOARD"
    OUTPUT, FILES = "OUTPUT", ("CHECKPOINT", "CURVES", "METRICS")

    def displayName(self) -> str:
        """The name in the toolbox."""
        return tr("Train network")

    def shortHelpString(self) -> str:
        """What the help panel and ``qgis_process help`` show."""
        return tr(
            "Trains a network on the output of Prepare training samples and writes it as a model that Detect rock glaciers offers at once. "
            "It runs for minutes to days; cancelled, or ended by anything else, the same values go on where it stopped, so choose a folder "
            "that stays. Training curves, in the menu, draws loss and validation IoU meanwhile. Let it estimate memory and time first. "
            "How well the network does elsewhere is told by Evaluate network on samples of ground that it has not seen."
        )

    def tags(self) -> list[str]:
        """Words that the toolbox search finds it by."""
        return tr("rock glacier,train,training,network,deep learning,own model,fine-tune,resume,gpu,cuda,epochs,learning rate,loss").split(
            ","
        )

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:
        """Declare parameters and outputs."""
        job = TrainJob("", "")
        decimal, whole = Qgis.ProcessingNumberParameterType.Double, Qgis.ProcessingNumberParameterType.Integer
        self.ask_for(
            QgsProcessingParameterFile(self.SAMPLES, tr("Folder of samples"), Qgis.ProcessingFileParameterBehavior.Folder),
            tr("The output of Prepare training samples. Look at its contact sheet first."),
        )
        self.ask_for_network()
        self.ask_for(
            QgsProcessingParameterString(self.START, tr("Start from"), job.start),
            tr(
                "imagenet: weights of photographs, which a network of few samples needs. random: nothing. Or the name of an installed "
                "model, a model folder, the folder of a training or a checkpoint to go on from."
            ),
            choice="StartChoice",
        )
        self.ask_for_effort(tr("It stops after so much working time, with a network that was cooled down to its end. Empty: no limit."))
        self.ask_for_device()
        self.ask_for(
            QgsProcessingParameterBoolean(self.ESTIMATE, tr("Only estimate memory and time"), job.estimate),
            tr("Tries a step, says what the training would take, and trains nothing."),
        )
        for name, label, kind, smallest, text, decimals in (
            (self.CROP, tr("Pixels along a crop's side"), whole, 32, tr("What the network sees of a sample at once."), None),
            (self.BATCH_SIZE, tr("Samples in each batch"), whole, 2, tr("Fewer need less memory; 2 at least."), None),
            (self.ACCUMULATE, tr("Batches for each step"), whole, 1, tr("Small batches add up to a large one."), None),
            (self.LEARNING_RATE, tr("Highest learning rate"), decimal, 1e-9, tr("It rises to this and falls to 0."), 7),
            (
                self.PATIENCE,
                tr("Patience (epochs)"),
                whole,
                0,
                tr("It stops after so many without a better validation IoU; 0: never."),
                None,
            ),
        ):
            self.ask_for(
                QgsProcessingParameterNumber(name, label, kind, None, optional=True, minValue=smallest),
                text + " " + tr("Empty: as the recipe has it."),
                advanced=True,
                decimals=decimals,
            )
        self.ask_for(
            QgsProcessingParameterEnum(self.LOSS, tr("Loss"), list(TRAINING_LOSSES), False, None, True, usesStaticStrings=True),
            tr("What is made small. Empty: that of the recipe."),
            advanced=True,
        )
        self.ask_for(
            QgsProcessingParameterString(self.NETWORK_OPTIONS, tr("Options of the network"), "", multiLine=True, optional=True),
            tr("NAME=JSON, one in each line, such as output_stride=16; see model/README.md."),
            advanced=True,
        )
        self.ask_for(
            QgsProcessingParameterEnum(
                self.PRECISION, tr("Arithmetic"), list(TRAINING_PRECISIONS), False, job.precision, usesStaticStrings=True
            ),
            tr("auto: mixed 16 and 32 bits on a GPU, 32 bits on the processor."),
            advanced=True,
        )
        self.ask_for(
            QgsProcessingParameterNumber(self.GPUS, tr("Graphics cards"), whole, job.gpus, minValue=0),
            tr("How many train together; 0: all there are."),
            advanced=True,
        )
        self.ask_for(
            QgsProcessingParameterNumber(self.WORKERS, tr("Processes that load samples"), whole, job.workers, minValue=0),
            tr("0: none on the processor, one for each other core with a graphics card."),
            advanced=True,
        )
        self.ask_for_seed()
        self.ask_for(
            QgsProcessingParameterBoolean(self.TENSORBOARD, tr("Write curves for TensorBoard"), job.tensorboard),
            tr("Besides log.csv, epochs.csv and curves.png, which are always written."),
            advanced=True,
        )
        self.ask_for_new_model(tr("the name of the training's folder."))
        self.ask_for(
            QgsProcessingParameterFolderDestination(self.OUTPUT, tr("Folder of the training")),
            tr("Checkpoints, curves and figures. One that was interrupted goes on. A temporary folder is lost when QGIS closes."),
        )
        for name, label in zip(self.FILES, (tr("Best checkpoint"), tr("Picture of the curves"), tr("All figures at the end"))):
            self.addOutput(QgsProcessingOutputFile(name, label))
        self.add_numbers(
            (
                ("IOU", tr("IoU of rock glacier on the validation samples (0-1)")),
                ("F1", tr("F1 of rock glacier on them (0-1)")),
                ("PRECISION_OF_CLASS", tr("Precision of rock glacier on them (0-1)")),
                ("RECALL_OF_CLASS", tr("Recall of rock glacier on them (0-1)")),
                ("CALIBRATION_ERROR", tr("Expected calibration error on them (0-1)")),
                ("CHOSEN_THRESHOLD", tr("Threshold that was chosen on them (0-1)")),
                ("BEST_EPOCH", tr("Epoch of the best checkpoint")),
                ("EPOCHS_DONE", tr("Number of epochs")),
                ("STEPS_DONE", tr("Number of steps")),
                ("MINUTES_SPENT", tr("Minutes of work")),
                ("EXPECTED_MEMORY", tr("Memory that was expected (GB)")),
                ("EXPECTED_MINUTES", tr("Minutes that were expected")),
            )
        )
        self.addOutput(QgsProcessingOutputString("STOPPED_BY", tr("What ended it: steps, minutes, patience, fitted or estimate")))
        self.addOutput(QgsProcessingOutputString("DEVICE_USED", tr("Device used")))

    def checkParameterValues(self, parameters: Parameters, context: QgsProcessingContext) -> tuple[bool, str]:
        """What can be said before the run."""
        fine, message = super().checkParameterValues(parameters, context)
        if not fine:
            return fine, message
        for option in self._network_options(parameters, context):
            if "=" not in option or not option.partition("=")[0].strip().isidentifier():
                return False, tr("NETWORK_OPTIONS: {} is not of the form NAME=JSON, such as output_stride=16.").format(option)
        start = self._start(parameters, context)
        if start not in TRAINING_STARTS and not Path(start).exists():
            return False, tr("START: there is no {}; give imagenet, random, a model, the folder of a training or a checkpoint.").format(
                start
            )
        only_estimate = self.parameterAsBoolean(parameters, self.ESTIMATE, context)
        goes_on = (Path(destination_text(parameters.get(self.OUTPUT), context)) / "metrics.json").is_file()
        return self.first_refusal(
            lambda: self.check_samples(parameters, self.SAMPLES, context),
            lambda: self.check_new_model(self._model(parameters, context), may_be_there=goes_on or only_estimate),
            self.check_training,
        )

    def processAlgorithm(self, parameters: Parameters, context: QgsProcessingContext, feedback: QgsProcessingFeedback) -> dict[str, Any]:
        """Run the job and hand its outputs over."""
        only_estimate = self.parameterAsBoolean(parameters, self.ESTIMATE, context)
        model = self._model(parameters, context)
        job = TrainJob(
            samples=self.parameterAsFile(parameters, self.SAMPLES, context),
            output=self.parameterAsString(parameters, self.OUTPUT, context),
            network=self.parameterAsString(parameters, self.NETWORK, context) or None,
            recipe=self.parameterAsEnumString(parameters, self.RECIPE, context),
            start=self._start(parameters, context),
            network_options=self._network_options(parameters, context),
            epochs=self.optional_whole_number(parameters, self.EPOCHS, context),
            crop=self.optional_whole_number(parameters, self.CROP, context),
            batch_size=self.optional_whole_number(parameters, self.BATCH_SIZE, context),
            accumulate=self.optional_whole_number(parameters, self.ACCUMULATE, context),
            learning_rate=self.optional_number(parameters, self.LEARNING_RATE, context),
            loss=self.parameterAsEnumString(parameters, self.LOSS, context) or None,
            patience=self.optional_whole_number(parameters, self.PATIENCE, context),
            precision=self.parameterAsEnumString(parameters, self.PRECISION, context),
            device=self.parameterAsEnumString(parameters, self.DEVICE, context),
            gpus=self.parameterAsInt(parameters, self.GPUS, context),
            minutes=self.optional_number(parameters, self.MINUTES, context),
            seed=self.parameterAsInt(parameters, self.SEED, context),
            workers=self.parameterAsInt(parameters, self.WORKERS, context),
            model=None if only_estimate else self.with_parent(model),
            tensorboard=self.parameterAsBoolean(parameters, self.TENSORBOARD, context),
            estimate=only_estimate,
        )
        if not only_estimate:
            self.tell_of_curves(job.output, parameters.get(self.OUTPUT), context, feedback)
        result = self.run_in_engine(job, feedback)
        expected = result["estimate"] or {}
        named = {
            **{name: result[name.lower()] for name in self.FILES},
            "IOU": result["iou"],
            "F1": result["f1"],
            "PRECISION_OF_CLASS": result["precision"],
            "RECALL_OF_CLASS": result["recall"],
            "CALIBRATION_ERROR": result["expected_calibration_error"],
            "CHOSEN_THRESHOLD": result["threshold"],
            "BEST_EPOCH": result["best_epoch"],
            "EPOCHS_DONE": result["epochs"],
            "STEPS_DONE": result["steps"],
            "MINUTES_SPENT": result["minutes"],
            "EXPECTED_MEMORY": expected.get("memory_gb"),
            "EXPECTED_MINUTES": expected.get("minutes"),
            "STOPPED_BY": result["stopped_by"],
            "DEVICE_USED": result["device_used"],
        }
        outputs = {} if only_estimate else {self.OUTPUT: job.output, **self.model_outputs(model, feedback)}
        return {**outputs, **{name: value for name, value in named.items() if value is not None}}

    def _model(self, parameters: Parameters, context: QgsProcessingContext) -> Path:
        training = destination_text(parameters.get(self.OUTPUT), context)
        name = Path(training).name if is_lasting(training) else Path(self.parameterAsFile(parameters, self.SAMPLES, context)).name
        return self.new_model(parameters, context, name)

    def _start(self, parameters: Parameters, context: QgsProcessingContext) -> str:
        start = self.parameterAsString(parameters, self.START, context).strip()
        return start if start in TRAINING_STARTS else str(model_folder(start))

    def _network_options(self, parameters: Parameters, context: QgsProcessingContext) -> tuple[str, ...]:
        return tuple(filter(None, map(str.strip, self.parameterAsString(parameters, self.NETWORK_OPTIONS, context).splitlines())))

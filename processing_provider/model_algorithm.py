"""What the algorithms share that run a model: which one, from which probability on, on what."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qgis.core import (
    Qgis,
    QgsProcessingContext,
    QgsProcessingParameterEnum,
    QgsProcessingParameterNumber,
    QgsProcessingParameterString,
)

from ..jobs import DEVICES
from .engine_algorithm import EngineAlgorithm, Parameters
from .engine_home import installed_models, models_folder
from .translation import tr


class ModelAlgorithm(EngineAlgorithm):
    """An algorithm that runs a model."""

    MODEL, THRESHOLD, DEVICE, BATCH_SIZE = "MODEL", "THRESHOLD", "DEVICE", "BATCH_SIZE"

    def ask_for_model(self) -> None:
        """Declare MODEL."""
        self.ask_for(
            QgsProcessingParameterString(self.MODEL, tr("Model"), "", optional=True),
            tr("Name of an installed model, or a model folder (model.onnx and model.json). Empty: the bundled model."),
            choice="ModelChoice",
        )

    def ask_for_threshold(self, when_empty: str = "") -> None:
        """Declare THRESHOLD; ``when_empty`` says which it is then, that of the model's card where nothing is said."""
        decimal = Qgis.ProcessingNumberParameterType.Double
        self.ask_for(
            QgsProcessingParameterNumber(
                self.THRESHOLD, tr("Probability threshold"), decimal, None, optional=True, minValue=0.0, maxValue=1.0
            ),
            tr("A pixel of at least this probability (between 0 and 1) is rock glacier.")
            + " "
            + (when_empty or tr("Empty: the threshold of the model's card.")),
            decimals=3,
        )

    def ask_for_device(self) -> None:
        """Declare DEVICE."""
        self.ask_for(
            QgsProcessingParameterEnum(self.DEVICE, tr("Device"), list(DEVICES), False, DEVICES[0], usesStaticStrings=True),
            tr("auto takes a CUDA graphics card where one really works, else the processor; cuda fails where it does not work."),
        )

    def ask_for_batch_size(self) -> None:
        """Declare BATCH_SIZE."""
        whole = Qgis.ProcessingNumberParameterType.Integer
        self.ask_for(
            QgsProcessingParameterNumber(self.BATCH_SIZE, tr("Tiles at a time"), whole, 0, minValue=0),
            tr("How many tiles the network takes at once; 0 chooses for the device. Lower it where memory runs out."),
            advanced=True,
        )

    def check_threshold(self, parameters: Parameters, context: QgsProcessingContext) -> tuple[bool, str]:
        """Whether the threshold is one."""
        threshold = self.optional_number(parameters, self.THRESHOLD, context)
        if threshold is not None and not 0 < threshold < 1:
            return False, tr("THRESHOLD is {:g}; a probability threshold lies between 0 and 1.").format(threshold)
        return True, ""

    def check_model(self, parameters: Parameters, context: QgsProcessingContext) -> tuple[bool, str]:
        """Whether there is such a model, and the threshold is one."""
        fine, message = self.check_threshold(parameters, context)
        if not fine:
            return fine, message
        model = self.parameterAsString(parameters, self.MODEL, context)
        models = installed_models()
        if model and model not in models and not (Path(model) / "model.json").is_file():
            known = ", ".join(models) or tr("none")
            return False, tr("There is no model {}. Installed: {}. A folder with model.onnx and model.json works too.").format(model, known)
        return True, ""

    def model_of_job(self, parameters: Parameters, context: QgsProcessingContext) -> dict[str, Any]:
        """The values of a job that say which model runs, and how."""
        return {
            "model": self.parameterAsString(parameters, self.MODEL, context),
            "models_folders": (str(models_folder()),),
            "threshold": self.optional_number(parameters, self.THRESHOLD, context),
            "device": self.parameterAsEnumString(parameters, self.DEVICE, context),
            "batch_size": self.parameterAsInt(parameters, self.BATCH_SIZE, context),
        }

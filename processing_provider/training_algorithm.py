"""What the algorithms share that train or write a model: what they need, how long they may take, where the new model goes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from qgis.core import (
    Qgis,
    QgsProcessing,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingOutputFolder,
    QgsProcessingOutputNumber,
    QgsProcessingOutputString,
    QgsProcessingParameterEnum,
    QgsProcessingParameterNumber,
    QgsProcessingParameterString,
    QgsSettings,
)

from ..jobs import TRAINING_RECIPES
from .engine_algorithm import Parameters, destination_text
from .engine_home import EngineState, engine_state, models_folder, why_no_name, why_no_training
from .model_algorithm import ModelAlgorithm
from .translation import tr

LAST_TRAINING_SETTING = "rock_glacier_mapper/last_training"
"""Folder of the training that was started last, which Training curves shows."""


class TrainingAlgorithm(ModelAlgorithm):
    """An algorithm that works with torch, so with packages that not every engine has."""

    RECIPE, NETWORK, EPOCHS, MINUTES, SEED = "RECIPE", "NETWORK", "EPOCHS", "MINUTES", "SEED"
    NEW_MODEL, MODEL_FOLDER, MODEL_NAME = "NEW_MODEL", "MODEL_FOLDER", "MODEL_NAME"

    def ask_for_network(self) -> None:
        """Declare RECIPE and NETWORK."""
        self.ask_for(
            QgsProcessingParameterEnum(
                self.RECIPE, tr("Recipe"), list(TRAINING_RECIPES), False, TRAINING_RECIPES[0], usesStaticStrings=True
            ),
            tr("modern: suits a small machine and few samples. paper: as Lin et al. (2024) trained, for a large GPU."),
        )
        self.ask_for(
            QgsProcessingParameterString(self.NETWORK, tr("Network"), "", optional=True),
            tr("Its name, from the list or any other of model/README.md. Empty: that of the recipe."),
            choice="NetworkChoice",
        )

    def ask_for_effort(self, minutes: str) -> None:
        """Declare EPOCHS and MINUTES; ``minutes`` is the help of the latter."""
        decimal, whole = Qgis.ProcessingNumberParameterType.Double, Qgis.ProcessingNumberParameterType.Integer
        self.ask_for(
            QgsProcessingParameterNumber(self.EPOCHS, tr("Epochs"), whole, None, optional=True, minValue=1),
            tr("How often each sample is seen. Empty: as the recipe has it."),
        )
        self.ask_for(
            QgsProcessingParameterNumber(self.MINUTES, tr("Minutes at most"), decimal, None, optional=True, minValue=0.1),
            minutes,
            decimals=1,
        )

    def ask_for_seed(self) -> None:
        """Declare SEED."""
        whole = Qgis.ProcessingNumberParameterType.Integer
        self.ask_for(
            QgsProcessingParameterNumber(self.SEED, tr("Seed"), whole, 1, minValue=0),
            tr("Number that everything random starts from."),
            advanced=True,
        )

    def ask_for_new_model(self, when_empty: str) -> None:
        """Declare NEW_MODEL and the outputs that name what was written; ``when_empty``: what it is called by itself."""
        self.ask_for(
            QgsProcessingParameterString(self.NEW_MODEL, tr("Name of the new model"), "", optional=True),
            tr("Detect rock glaciers offers it by this name at once. The path of a folder writes it there. Empty: {}").format(when_empty),
        )
        self.addOutput(QgsProcessingOutputFolder(self.MODEL_FOLDER, tr("Model folder")))
        self.addOutput(QgsProcessingOutputString(self.MODEL_NAME, tr("The new model, as Detect rock glaciers takes it")))

    def add_numbers(self, labels: Iterable[tuple[str, str]]) -> None:
        """Declare outputs, name and label."""
        for name, label in labels:
            self.addOutput(QgsProcessingOutputNumber(name, label))

    def check_training(self) -> tuple[bool, str]:
        """Whether a network can be trained here; of an engine that is not there at all, the run itself tells."""
        why = why_no_training() if engine_state() is EngineState.READY else ""
        return not why, why

    def check_samples(self, parameters: Parameters, name: str, context: QgsProcessingContext) -> tuple[bool, str]:
        """Whether a folder holds training samples."""
        folder = self.parameterAsFile(parameters, name, context)
        if (Path(folder) / "samples.csv").is_file():
            return True, ""
        return False, tr("{}: {} holds no training samples (samples.csv). Make them with Prepare training samples.").format(name, folder)

    def tell_of_curves(self, folder: str, output: Any, context: QgsProcessingContext, feedback: QgsProcessingFeedback) -> None:
        """Say where the curves are drawn, and warn of a folder that is lost when QGIS closes; ``output``: the parameter's value."""
        QgsSettings().setValue(LAST_TRAINING_SETTING, folder)
        feedback.pushInfo(tr("Loss and validation while it trains: {}.").format(curves_menu_path()))
        if not is_lasting(destination_text(output, context)):
            feedback.pushWarning(tr("{} is lost when QGIS closes, and with it what could be resumed.").format(folder))

    def new_model(self, parameters: Parameters, context: QgsProcessingContext, by_itself: str) -> Path:
        """The folder of the new model."""
        wanted = self.parameterAsString(parameters, self.NEW_MODEL, context).strip() or by_itself
        return models_folder() / wanted if wanted == Path(wanted).name else Path(wanted)

    def check_new_model(self, folder: Path, may_be_there: bool = False) -> tuple[bool, str]:
        """Whether the new model can have its name; what is there already is not replaced, unless this very training wrote it."""
        if may_be_there and (folder / "model.json").is_file():
            return True, ""
        if not folder.is_absolute():
            why = tr("{} is neither a name nor the full path of a folder.").format(folder)
        elif folder.parent == models_folder():
            why = why_no_name(folder.name)
        elif folder.is_dir() and any(folder.iterdir()):
            why = tr("There is a folder {} already.").format(folder)
        else:
            why = ""
        return not why, f"{self.NEW_MODEL}: {why}" if why else ""

    def with_parent(self, folder: Path) -> str:
        """The model's folder as a job has it; the folder around it is made."""
        folder.parent.mkdir(parents=True, exist_ok=True)
        return str(folder)

    def model_outputs(self, folder: Path, feedback: QgsProcessingFeedback) -> dict[str, Any]:
        """The values of the outputs that name the new model, which the log tells, too."""
        is_installed = folder.parent == models_folder()
        if is_installed:
            feedback.pushInfo(tr("The new model is called {}. Detect rock glaciers has it in its list.").format(folder.name))
        else:
            feedback.pushInfo(tr("The new model is in {}. Give that folder to Detect rock glaciers.").format(folder))
        return {self.MODEL_FOLDER: str(folder), self.MODEL_NAME: folder.name if is_installed else str(folder)}


def is_lasting(folder: str) -> bool:
    """Whether a person chose the folder of an output, which otherwise is a temporary one."""
    return folder not in ("", QgsProcessing.TEMPORARY_OUTPUT)


def curves_menu_path() -> str:
    """Where the window with the curves is found."""
    return tr("Raster > Rock Glacier Mapper > Training curves")

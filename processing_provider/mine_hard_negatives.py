"""Negatives from what a network wrongly marks, round by round."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qgis.core import (
    Qgis,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingOutputFile,
    QgsProcessingOutputFolder,
    QgsProcessingOutputString,
    QgsProcessingOutputVectorLayer,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterFile,
    QgsProcessingParameterFolderDestination,
    QgsProcessingParameterMultipleLayers,
    QgsProcessingParameterNumber,
    QgsProcessingParameterString,
)

from ..jobs import MineHardNegativesJob
from .engine_algorithm import Parameters
from .engine_home import model_folder
from .layers import raster_path, why_unreadable
from .training_algorithm import TrainingAlgorithm
from .translation import tr


class MineHardNegatives(TrainingAlgorithm):
    """Processing algorithm ``rockglacier:minehardnegatives``."""

    NAME = "minehardnegatives"
    GROUP = "training"
    SAMPLES, STACKS, AREAS, OUTLINES = "SAMPLES", "STACKS", "AREAS", "OUTLINES"
    MARGIN, MIN_AREA, PER_ROUND = "MARGIN", "MIN_AREA", "PER_ROUND"
    TARGET_IOU, ROUNDS, OUTPUT, TABLE = "TARGET_IOU", "ROUNDS", "OUTPUT", "TABLE"
    GROWN_SAMPLES, HARD_NEGATIVES, CONTACT_SHEET = "GROWN_SAMPLES", "HARD_NEGATIVES", "CONTACT_SHEET"

    def displayName(self) -> str:
        """The name in the toolbox."""
        return tr("Mine hard negatives")

    def shortHelpString(self) -> str:
        """What the help panel and ``qgis_process help`` show."""
        return tr(
            "Runs a network over ground without rock glaciers, takes what it marks there as negative samples, trains it again with them, "
            "and so on, as Hu et al. (2023) did: until the validation IoU is good enough, rounds bring no more, or nothing is marked "
            "wrongly any more. Known rock glaciers and their surroundings are never mined. What nobody has outlined becomes background, so "
            "search only where the outlines are complete, and look at what was mined: an error may be a rock glacier that nobody mapped. "
            "Cancelled, the same values go on where it stopped: choose a folder that stays."
        )

    def tags(self) -> list[str]:
        """Words that the toolbox search finds it by."""
        return tr("rock glacier,hard negatives,mining,false positives,look-alikes,bootstrapping,training,samples,background").split(",")

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:
        """Declare parameters and outputs."""
        job = MineHardNegativesJob("", "")
        decimal, whole = Qgis.ProcessingNumberParameterType.Double, Qgis.ProcessingNumberParameterType.Integer
        polygons = Qgis.ProcessingSourceType.VectorPolygon
        self.ask_for(
            QgsProcessingParameterFile(self.SAMPLES, tr("Folder of samples"), Qgis.ProcessingFileParameterBehavior.Folder),
            tr("The output of Prepare training samples to begin with. It stays as it is; a copy grows."),
        )
        self.ask_for(
            QgsProcessingParameterMultipleLayers(self.STACKS, tr("Spectral stacks"), Qgis.ProcessingSourceType.Raster),
            tr("What is searched for wrongly marked ground."),
        )
        self.ask_for(
            QgsProcessingParameterFeatureSource(self.OUTLINES, tr("Known rock glaciers"), [polygons], optional=True),
            tr("All outlines that there are on the stacks: no negative comes near them."),
        )
        self.ask_for(
            QgsProcessingParameterFeatureSource(self.AREAS, tr("Search only inside"), [polygons], optional=True),
            tr("Polygons that are known to hold no rock glaciers. Empty: the stacks as a whole, but for the known rock glaciers."),
        )
        self.ask_for(
            QgsProcessingParameterString(self.MODEL, tr("Network that searches first"), "", optional=True),
            tr("The name of an installed model, a model folder, the folder of a training or a checkpoint. Empty: one is trained first."),
            choice="MinerChoice",
        )
        self.ask_for(
            QgsProcessingParameterNumber(
                self.TARGET_IOU, tr("Validation IoU to reach"), decimal, job.target_iou, minValue=0.0, maxValue=1.0
            ),
            tr("0-1, of rock glacier; it stops there. Hu et al. (2023) asked for 0.80."),
            decimals=2,
        )
        self.ask_for(
            QgsProcessingParameterNumber(self.ROUNDS, tr("Rounds at most"), whole, job.rounds, minValue=1),
            tr("Each trains a network and searches with it."),
        )
        for name, label, kind, default, smallest, text, decimals in (
            (
                self.MARGIN,
                tr("Distance from known rock glaciers (metres)"),
                decimal,
                job.margin,
                0.0,
                tr("Nearer to them nothing counts as wrongly marked."),
                1,
            ),
            (
                self.MIN_AREA,
                tr("Smallest object that counts (square metres)"),
                decimal,
                job.min_area,
                0.0,
                tr("Smaller ones are dropped by post-processing anyway."),
                0,
            ),
            (
                self.PER_ROUND,
                tr("Negatives in a round at most"),
                whole,
                job.per_round,
                1,
                tr("The worst first. Empty: as many as there are samples with rock glaciers for training."),
                None,
            ),
        ):
            self.ask_for(
                QgsProcessingParameterNumber(name, label, kind, default, optional=default is None, minValue=smallest),
                text,
                advanced=True,
                decimals=decimals,
            )
        self.ask_for_network()
        self.ask_for_effort(tr("Of each round's training. Empty: no limit."))
        self.ask_for_device()
        self.ask_for_seed()
        self.ask_for(
            QgsProcessingParameterFolderDestination(self.OUTPUT, tr("Folder of the rounds")),
            tr("The grown samples and the training of each round. One that was interrupted goes on."),
        )
        self.addOutput(QgsProcessingOutputFolder(self.MODEL_FOLDER, tr("Model of the best round")))
        self.addOutput(QgsProcessingOutputFolder(self.GROWN_SAMPLES, tr("Samples with what was mined")))
        self.addOutput(QgsProcessingOutputVectorLayer(self.HARD_NEGATIVES, tr("What was mined"), Qgis.ProcessingSourceType.VectorPolygon))
        self.addOutput(QgsProcessingOutputFile(self.CONTACT_SHEET, tr("Picture of what was mined")))
        self.addOutput(QgsProcessingOutputFile(self.TABLE, tr("Table of the rounds")))
        self.addOutput(QgsProcessingOutputString("REASON", tr("Why it stopped")))
        self.add_numbers(
            (
                ("IOU", tr("Validation IoU of the best round (0-1)")),
                ("BEST_ROUND", tr("The best round")),
                ("ROUNDS_DONE", tr("Number of rounds after the first network")),
                ("NEGATIVES", tr("Number of negatives that were mined")),
            )
        )

    def checkParameterValues(self, parameters: Parameters, context: QgsProcessingContext) -> tuple[bool, str]:
        """What can be said before the run."""
        fine, message = super().checkParameterValues(parameters, context)
        if not fine:
            return fine, message
        stacks = self.parameterAsLayerList(parameters, self.STACKS, context)
        why = next(filter(None, map(why_unreadable, stacks)), "" if stacks else tr("None of the STACKS can be read."))
        if why:
            return False, why
        model = self._model(parameters, context)
        if model is not None and not Path(model).exists():
            return False, tr(
                "MODEL: there is no {}; give the name of a model, its folder, the folder of a training or a checkpoint."
            ).format(model)
        return self.first_refusal(lambda: self.check_samples(parameters, self.SAMPLES, context), self.check_training)

    def prepareAlgorithm(self, parameters: Parameters, context: QgsProcessingContext, feedback: QgsProcessingFeedback) -> bool:
        """Look at the project's layers, in the main thread."""
        self._stacks = tuple(raster_path(layer) for layer in self.parameterAsLayerList(parameters, self.STACKS, context))
        if not self._stacks:
            raise QgsProcessingException(tr("None of the STACKS can be read."))
        self._layers = {name: self.layer_path(parameters, name, context, feedback) for name in (self.OUTLINES, self.AREAS)}
        for name, (path, _) in self._layers.items():
            if parameters.get(name) and path is None:
                raise QgsProcessingException(self.invalidSourceError(parameters, name))
        return True

    def processAlgorithm(self, parameters: Parameters, context: QgsProcessingContext, feedback: QgsProcessingFeedback) -> dict[str, Any]:
        """Run the job and hand its outputs over."""
        outlines, areas = self._layers[self.OUTLINES], self._layers[self.AREAS]
        job = MineHardNegativesJob(
            samples=self.parameterAsFile(parameters, self.SAMPLES, context),
            output=self.parameterAsString(parameters, self.OUTPUT, context),
            stacks=self._stacks,
            areas=areas[0],
            areas_layer=areas[1],
            outlines=outlines[0],
            outlines_layer=outlines[1],
            margin=self.parameterAsDouble(parameters, self.MARGIN, context),
            min_area=self.parameterAsDouble(parameters, self.MIN_AREA, context),
            per_round=self.optional_whole_number(parameters, self.PER_ROUND, context),
            model=self._model(parameters, context),
            target_iou=self.parameterAsDouble(parameters, self.TARGET_IOU, context),
            rounds=self.parameterAsInt(parameters, self.ROUNDS, context),
            network=self.parameterAsString(parameters, self.NETWORK, context) or None,
            recipe=self.parameterAsEnumString(parameters, self.RECIPE, context),
            epochs=self.optional_whole_number(parameters, self.EPOCHS, context),
            minutes=self.optional_number(parameters, self.MINUTES, context),
            device=self.parameterAsEnumString(parameters, self.DEVICE, context),
            seed=self.parameterAsInt(parameters, self.SEED, context),
        )
        self.tell_of_curves(job.output, parameters.get(self.OUTPUT), context, feedback)
        result = self.run_in_engine(job, feedback)
        feedback.pushInfo(tr("It stopped because {}.").format(result["reason_text"]))
        if result["best_round"] == 0 and job.model:
            feedback.pushInfo(tr("No round did better than the network that searched first."))
        else:
            feedback.pushInfo(
                tr("The model of the best round is in {}. Give that folder to Detect rock glaciers.").format(result["best_model"])
            )
        if result["hard_negatives"]:
            look = tr("Look at {}: set use to 0 where a rock glacier was mined, and run this again.")
            feedback.pushInfo(look.format(result["hard_negatives"]))
        named = {
            self.MODEL_FOLDER: result["best_model"],
            self.GROWN_SAMPLES: result["samples"],
            self.HARD_NEGATIVES: result["hard_negatives"],
            self.CONTACT_SHEET: result["contact_sheet"],
            self.TABLE: result["table"],
            "REASON": result["reason_text"],
            "IOU": result["iou"],
            "BEST_ROUND": result["best_round"],
            "ROUNDS_DONE": len(result["rounds"]) - 1,
            "NEGATIVES": result["negatives"],
        }
        return {self.OUTPUT: job.output, **{name: value for name, value in named.items() if value is not None}}

    def _model(self, parameters: Parameters, context: QgsProcessingContext) -> str | None:
        model = self.parameterAsString(parameters, self.MODEL, context)
        return str(model_folder(model)) if model else None

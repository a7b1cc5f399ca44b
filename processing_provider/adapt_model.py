"""A model of a person's own area from an installed one and a few outlines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qgis.core import (
    Qgis,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingOutputBoolean,
    QgsProcessingOutputString,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterFileDestination,
    QgsProcessingParameterMultipleLayers,
    QgsProcessingParameterNumber,
)

from ..jobs import AdaptJob
from .chips_parameters import ChipsAlgorithm
from .engine_algorithm import Parameters
from .engine_home import models_folder, name_for_adapted
from .layers import raster_path, why_unreadable
from .training_algorithm import TrainingAlgorithm
from .translation import tr


class AdaptModel(TrainingAlgorithm, ChipsAlgorithm):
    """Processing algorithm ``rockglacier:adaptmodel``."""

    NAME = "adaptmodel"
    GROUP = "training"
    STACKS, OUTLINES, JSON = "STACKS", "OUTLINES", "JSON"

    def displayName(self) -> str:
        """The name in the toolbox."""
        return tr("Adapt model to your area")

    def shortHelpString(self) -> str:
        """What the help panel and ``qgis_process help`` show."""
        return tr(
            "Makes a model of your own from an installed one and a few outlines of your area, 3 to 20 of them, within minutes and without "
            "a graphics card. The model that it starts from stays as it is. Each place is held back once to see whether training helps "
            "there; where it does harm, the new model keeps the old weights, and a warning says so. Outlines with a field status, as the "
            "review dock writes it, teach both ways: accepted, edited and added ones are rock glaciers, rejected ones are background, all "
            "others teach nothing."
        )

    def tags(self) -> list[str]:
        """Words that the toolbox search finds it by."""
        return tr("rock glacier,adapt,fine-tune,few shot,transfer,own area,own model,training,outlines,local").split(",")

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:
        """Declare parameters and outputs."""
        job = AdaptJob()
        decimal, polygons = Qgis.ProcessingNumberParameterType.Double, Qgis.ProcessingSourceType.VectorPolygon
        self.ask_for_model()
        self.ask_for(
            QgsProcessingParameterMultipleLayers(self.STACKS, tr("Spectral stacks"), Qgis.ProcessingSourceType.Raster, optional=True),
            tr("One or more outputs of Prepare spectral stack that show your area."),
        )
        self.ask_for(
            QgsProcessingParameterFeatureSource(self.OUTLINES, tr("Outlines"), [polygons], optional=True),
            tr(
                "Rock glaciers on the stacks, in any coordinate reference system. Ground near them that is not outlined counts as "
                "background, so outline all that a person would see there."
            ),
        )
        self.ask_for(
            QgsProcessingParameterNumber(self.MINUTES, tr("Minutes at most"), decimal, job.minutes, minValue=0.1),
            tr("Of work. Ten are enough for two processor cores."),
            decimals=1,
        )
        self.ask_for_device()
        self.ask_for_chips(
            tr("Instead of stacks and outlines: true-colour pictures (.png, 8 bit), for a model that works without near-infrared.")
        )
        self.ask_for_seed()
        self.ask_for_new_model(tr("the name of the model that it starts from, and -adapted."))
        self.ask_for(
            QgsProcessingParameterFileDestination(
                self.JSON, tr("Numbers"), tr("JSON files") + " (*.json)", optional=True, createByDefault=False
            ),
            tr("What was done and how the outlines that were held back fared before and after, for programs."),
        )
        self.add_numbers(
            (
                ("OLD_IOU", tr("IoU of the old model on outlines that were held back (0-1)")),
                ("NEW_IOU", tr("IoU of the new model on them (0-1)")),
                ("PLACES", tr("Number of places that the outlines are of")),
            )
        )
        self.addOutput(QgsProcessingOutputString("CHOSEN", tr("adapted; recalibrated or unchanged: the old weights were kept")))
        self.addOutput(QgsProcessingOutputBoolean("IS_WORSE", tr("Whether training made it worse, so that the old weights were kept")))

    def checkParameterValues(self, parameters: Parameters, context: QgsProcessingContext) -> tuple[bool, str]:
        """What can be said before the run."""
        fine, message = super().checkParameterValues(parameters, context)
        if not fine:
            return fine, message
        ground = bool(parameters.get(self.STACKS)) or bool(parameters.get(self.OUTLINES))
        chips = any(parameters.get(name) for name in (self.IMAGES, self.MASKS, self.NEGATIVE_IMAGES))
        if ground and chips:
            return False, tr("Give either STACKS and OUTLINES, or IMAGES and MASKS, not both.")
        if not all(parameters.get(name) for name in ((self.IMAGES, self.MASKS) if chips else (self.STACKS, self.OUTLINES))):
            return False, tr("Give STACKS and OUTLINES, or for chips IMAGES and MASKS.")
        for layer in self.parameterAsLayerList(parameters, self.STACKS, context) if ground else ():
            if why := why_unreadable(layer):
                return False, why
        return self.first_refusal(
            lambda: self.check_model(parameters, context),
            lambda: self.check_new_model(self._new_model(parameters, context)),
            self.check_training,
        )

    def prepareAlgorithm(self, parameters: Parameters, context: QgsProcessingContext, feedback: QgsProcessingFeedback) -> bool:
        """Look at the project's layers, in the main thread."""
        stacks = self.parameterAsLayerList(parameters, self.STACKS, context)
        self._stacks = tuple(raster_path(layer) for layer in stacks)
        self._outlines = self.layer_path(parameters, self.OUTLINES, context, feedback)
        if parameters.get(self.OUTLINES) and self._outlines[0] is None:
            raise QgsProcessingException(self.invalidSourceError(parameters, self.OUTLINES))
        if parameters.get(self.STACKS) and not stacks:
            raise QgsProcessingException(tr("None of the STACKS can be read."))
        return True

    def processAlgorithm(self, parameters: Parameters, context: QgsProcessingContext, feedback: QgsProcessingFeedback) -> dict[str, Any]:
        """Run the job and hand its outputs over."""
        model, numbers = self._new_model(parameters, context), self.optional_file(parameters, self.JSON, context)
        job = AdaptJob(
            output=self.with_parent(model),
            model=self.parameterAsString(parameters, self.MODEL, context),
            models_folders=(str(models_folder()),),
            images=self.optional_input(parameters, self.IMAGES, context),
            masks=self.optional_input(parameters, self.MASKS, context),
            negatives=self.optional_input(parameters, self.NEGATIVE_IMAGES, context),
            stacks=self._stacks,
            outlines=self._outlines[0],
            outlines_layer=self._outlines[1],
            minutes=self.parameterAsDouble(parameters, self.MINUTES, context),
            device=self.parameterAsEnumString(parameters, self.DEVICE, context),
            seed=self.parameterAsInt(parameters, self.SEED, context),
            json=numbers,
        )
        result = self.run_in_engine(job, feedback)
        held_back = result["held_back"] or {}
        named = {
            "OLD_IOU": held_back.get("before", {}).get("rock_glacier", {}).get("iou"),
            "NEW_IOU": held_back.get("after", {}).get("rock_glacier", {}).get("iou"),
            "PLACES": result["samples"]["places"],
            "CHOSEN": result["chosen"],
            "IS_WORSE": result["is_worse"],
            self.JSON: numbers,
        }
        return {**self.model_outputs(model, feedback), **{name: value for name, value in named.items() if value is not None}}

    def _new_model(self, parameters: Parameters, context: QgsProcessingContext) -> Path:
        return self.new_model(parameters, context, name_for_adapted(self.parameterAsString(parameters, self.MODEL, context)))

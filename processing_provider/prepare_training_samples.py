"""Stacks and outlines, or chips, to training samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qgis.core import (
    Qgis,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingOutputNumber,
    QgsProcessingParameterEnum,
    QgsProcessingParameterFeatureSink,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterFileDestination,
    QgsProcessingParameterFolderDestination,
    QgsProcessingParameterMultipleLayers,
    QgsProcessingParameterNumber,
)

from ..jobs import SAMPLE_RECIPES, SamplesJob
from .chips_parameters import ChipsAlgorithm
from .engine_algorithm import Parameters
from .layers import TRAINING_SAMPLES, raster_path, why_unreadable
from .translation import tr


class PrepareTrainingSamples(ChipsAlgorithm):
    """Processing algorithm ``rockglacier:preparetrainingsamples``."""

    NAME = "preparetrainingsamples"
    GROUP = "training"
    STACKS, OUTLINES, NEGATIVES = "STACKS", "OUTLINES", "NEGATIVES"
    RECIPE, RESOLUTION, SIZE, VALIDATION_SHARE, BACKGROUND, SEED = (
        "RECIPE",
        "RESOLUTION",
        "SIZE",
        "VALIDATION_SHARE",
        "BACKGROUND",
        "SEED",
    )
    OUTPUT, FOOTPRINTS, CONTACT_SHEET = "OUTPUT", "FOOTPRINTS", "CONTACT_SHEET"
    COUNTS = ("COUNT", "TRAIN", "VALIDATION", "POSITIVE", "NEGATIVE")

    def displayName(self) -> str:
        """The name in the toolbox."""
        return tr("Prepare training samples")

    def shortHelpString(self) -> str:
        """What the help panel and ``qgis_process help`` show."""
        return tr(
            "Cuts images and masks out of spectral stacks, to train a network on your own outlines. Outlines with a field status, as the "
            "review dock writes it, teach both ways: accepted, edited and added ones are rock glaciers, rejected ones are background, all "
            "others are unknown and teach nothing. No ground and no rock glacier is on both sides of the split into training and "
            "validation. Look at the contact sheet before you train. Pictures with masks (chips) can take the place of stacks and outlines."
        )

    def tags(self) -> list[str]:
        """Words that the toolbox search finds it by."""
        return tr("rock glacier,training,samples,dataset,chips,patches,masks,labels,split,validation,machine learning").split(",")

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:
        """Declare parameters and outputs."""
        job = SamplesJob("")
        decimal, whole = Qgis.ProcessingNumberParameterType.Double, Qgis.ProcessingNumberParameterType.Integer
        polygons = Qgis.ProcessingSourceType.VectorPolygon
        self.ask_for(
            QgsProcessingParameterMultipleLayers(self.STACKS, tr("Spectral stacks"), Qgis.ProcessingSourceType.Raster, optional=True),
            tr("One or more outputs of Prepare spectral stack. Stacks of several dates of the same ground may be given."),
        )
        self.ask_for(
            QgsProcessingParameterFeatureSource(self.OUTLINES, tr("Outlines"), [polygons], optional=True),
            tr(
                "Rock glacier outlines in any coordinate reference system, all that there are on the stacks: what is not outlined counts "
                "as background. A field status says what a review decided."
            ),
        )
        self.ask_for(
            QgsProcessingParameterFeatureSource(self.NEGATIVES, tr("Look-alikes"), [polygons], optional=True),
            tr(
                "Polygons of what looks like a rock glacier and is none: debris-covered glaciers, moraines, landslides. Each gets a sample."
            ),
        )
        self.ask_for(
            QgsProcessingParameterEnum(self.RECIPE, tr("Recipe"), list(SAMPLE_RECIPES), False, job.recipe, usesStaticStrings=True),
            tr(
                "blocks: squares without overlap, split by spatial blocks. paper: as Lin et al. (2024), 2 km x 2 km of 4 m around each "
                "centroid, 8:2. hu: as Hu et al. (2023), patches of at most 480 pixels of 10 m within 1500 m of each outline, 9:1."
            ),
        )
        for name, label, kind, smallest, text, decimals in (
            (
                self.RESOLUTION,
                tr("Pixel size (metres)"),
                decimal,
                0.1,
                tr("Empty: that of the recipe; for blocks that of the stacks, the coarsest where they differ."),
                2,
            ),
            (
                self.SIZE,
                tr("Pixels along a sample's side"),
                whole,
                16,
                tr("Empty: that of the recipe; for blocks 2 km and at least 256 pixels, half of that in small areas."),
                None,
            ),
            (
                self.VALIDATION_SHARE,
                tr("Share for validation"),
                decimal,
                0.0,
                tr("0-1, of the samples with rock glaciers and of those without. Empty: 0.2, for the recipe hu 0.1."),
                2,
            ),
            (
                self.BACKGROUND,
                tr("Negative samples for each positive one"),
                decimal,
                0.0,
                tr("Filled up with random background where there are fewer look-alikes and rejected outlines. Empty: 1, for paper 2.5."),
                2,
            ),
        ):
            largest = {"maxValue": 0.99} if name == self.VALIDATION_SHARE else {}
            self.ask_for(
                QgsProcessingParameterNumber(name, label, kind, None, optional=True, minValue=smallest, **largest),
                text,
                advanced=name in (self.VALIDATION_SHARE, self.BACKGROUND),
                decimals=decimals,
            )
        self.ask_for_chips(
            tr("Instead of stacks and outlines: true-colour pictures (.png, 8 bit). A table overlaps.csv beside them keeps places apart.")
        )
        self.ask_for(
            QgsProcessingParameterNumber(self.SEED, tr("Seed"), whole, job.seed, minValue=0),
            tr("The same seed gives the same samples."),
            advanced=True,
        )
        self.ask_for(
            QgsProcessingParameterFolderDestination(self.OUTPUT, tr("Folder of samples")),
            tr("Images and masks as GeoTIFF, samples.csv with a row for each, samples.json with the recipe and the figures of the bands."),
        )
        self.ask_for(
            QgsProcessingParameterFeatureSink(self.FOOTPRINTS, tr("Footprints"), polygons, optional=True, createByDefault=True),
            tr("Where the samples lie, with everything that the table says. A copy, to look at. Chips have none."),
        )
        self.ask_for(
            QgsProcessingParameterFileDestination(self.CONTACT_SHEET, tr("Contact sheet"), tr("PNG pictures") + " (*.png)", optional=True),
            tr("Up to 48 samples with the outlines of their masks, their split and kind, to look at before training."),
        )
        for name, label in zip(
            self.COUNTS,
            (
                tr("Number of samples"),
                tr("Samples for training"),
                tr("Samples for validation"),
                tr("Samples with rock glaciers"),
                tr("Samples without"),
            ),
        ):
            self.addOutput(QgsProcessingOutputNumber(name, label))

    def checkParameterValues(self, parameters: Parameters, context: QgsProcessingContext) -> tuple[bool, str]:
        """What can be said before the run."""
        fine, message = super().checkParameterValues(parameters, context)
        if not fine:
            return fine, message
        ground = bool(parameters.get(self.STACKS)) or bool(parameters.get(self.OUTLINES))
        chips = bool(parameters.get(self.IMAGES)) or bool(parameters.get(self.MASKS))
        if ground and chips:
            return False, tr("Give either STACKS and OUTLINES, or IMAGES and MASKS, not both.")
        if not all(parameters.get(name) for name in ((self.IMAGES, self.MASKS) if chips else (self.STACKS, self.OUTLINES))):
            return False, tr("Give STACKS and OUTLINES, or for chips IMAGES and MASKS.")
        if chips:
            unused = [
                name for name in (self.NEGATIVES, self.RESOLUTION, self.SIZE, self.BACKGROUND) if parameters.get(name) not in (None, "")
            ]
            if unused:
                return False, tr("{} has no meaning for chips. Leave it empty.").format(unused[0])
        for layer in self.parameterAsLayerList(parameters, self.STACKS, context) if ground else ():
            if why := why_unreadable(layer):
                return False, why
        return True, ""

    def prepareAlgorithm(self, parameters: Parameters, context: QgsProcessingContext, feedback: QgsProcessingFeedback) -> bool:
        """Look at the project's layers, in the main thread."""
        stacks = self.parameterAsLayerList(parameters, self.STACKS, context)
        self._stacks = tuple(raster_path(layer) for layer in stacks)
        self._outlines = self.layer_path(parameters, self.OUTLINES, context, feedback)
        self._negatives = self.layer_path(parameters, self.NEGATIVES, context, feedback)
        if parameters.get(self.OUTLINES) and self._outlines[0] is None:
            raise QgsProcessingException(self.invalidSourceError(parameters, self.OUTLINES))
        if parameters.get(self.STACKS) and not stacks:
            raise QgsProcessingException(tr("None of the STACKS can be read."))
        return True

    def processAlgorithm(self, parameters: Parameters, context: QgsProcessingContext, feedback: QgsProcessingFeedback) -> dict[str, Any]:
        """Run the job and hand its outputs over."""
        sheet = self.optional_file(parameters, self.CONTACT_SHEET, context)
        negatives, layer = self._negatives
        job = SamplesJob(
            output=self.parameterAsString(parameters, self.OUTPUT, context),
            stacks=self._stacks,
            outlines=self._outlines[0],
            outlines_layer=self._outlines[1],
            negatives=negatives or self.optional_input(parameters, self.NEGATIVE_IMAGES, context),
            negatives_layer=layer,
            images=self.optional_input(parameters, self.IMAGES, context),
            masks=self.optional_input(parameters, self.MASKS, context),
            recipe=self.parameterAsEnumString(parameters, self.RECIPE, context),
            resolution=self.optional_number(parameters, self.RESOLUTION, context),
            size=self.optional_whole_number(parameters, self.SIZE, context),
            validation_share=self.optional_number(parameters, self.VALIDATION_SHARE, context),
            background=self.optional_number(parameters, self.BACKGROUND, context),
            contact_sheet=sheet,
            seed=self.parameterAsInt(parameters, self.SEED, context),
        )
        result = self.run_in_engine(job, feedback)
        outputs: dict[str, Any] = {self.OUTPUT: job.output}
        if sheet:
            outputs[self.CONTACT_SHEET] = sheet
        footprints = Path(job.output) / "samples.gpkg"
        if parameters.get(self.FOOTPRINTS) and footprints.is_file():
            outputs[self.FOOTPRINTS] = self.layer_to_output(str(footprints), parameters, self.FOOTPRINTS, context)
            self.style(context, outputs[self.FOOTPRINTS], TRAINING_SAMPLES)
        return {**outputs, **{name: result[name.lower()] for name in self.COUNTS}}

"""Spectral stack to tile polygons and a probability raster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qgis.core import (
    Qgis,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingOutputNumber,
    QgsProcessingOutputString,
    QgsProcessingParameterEnum,
    QgsProcessingParameterFeatureSink,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterNumber,
    QgsProcessingParameterRasterDestination,
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterString,
)

from ..jobs import DEVICES, DetectJob
from .engine_algorithm import EngineAlgorithm, Parameters
from .engine_home import installed_models, models_folder
from .layers import PROBABILITY, TILE_POLYGONS, raster_path, why_unreadable
from .translation import tr

LARGEST_OVERLAP = 90.0
"""Percent of a tile; more would look at each place a hundred times."""


class DetectRockGlaciers(EngineAlgorithm):
    """Processing algorithm ``rockglacier:detectrockglaciers``."""

    NAME = "detectrockglaciers"
    INPUT, MODEL = "INPUT", "MODEL"
    THRESHOLD, OVERLAP = "THRESHOLD", "OVERLAP"
    DEVICE, BATCH_SIZE = "DEVICE", "BATCH_SIZE"
    MASK = "MASK"
    OUTPUT, PROBABILITY = "OUTPUT", "PROBABILITY"
    COUNT, TILES, DEVICE_USED = "COUNT", "TILES", "DEVICE_USED"

    def displayName(self) -> str:
        """The name in the toolbox."""
        return tr("Detect rock glaciers")

    def shortHelpString(self) -> str:
        """What the help panel and ``qgis_process help`` show."""
        return tr(
            "Looks for rock glaciers in a spectral stack with a neural network, tile by tile. Neighbouring tiles overlap, so that most "
            "places are looked at several times. Each object that a tile shows becomes one polygon; an object in the overlap of tiles "
            "appears once for each of them, as step 3 of Lin et al. (2024, section 3.4.2) needs it: run Post-process polygons "
            "next to unite them. The probability raster blends the tiles. The result is a proposal for a geomorphologist to check, not an "
            "inventory: the model's card says how well it did on regions it had never seen."
        )

    def tags(self) -> list[str]:
        """Words that the toolbox search finds it by."""
        return tr("rock glacier,permafrost,deep learning,segmentation,inference,network,onnx,cuda,gpu,dednet,probability").split(",")

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:
        """Declare parameters and outputs."""
        job = DetectJob("", "")
        decimal, integer = Qgis.ProcessingNumberParameterType.Double, Qgis.ProcessingNumberParameterType.Integer
        self.ask_for(
            QgsProcessingParameterRasterLayer(self.INPUT, tr("Spectral stack")),
            tr(
                "The output of Prepare spectral stack, or any raster of reflectance 0-1 whose bands are named red, green, blue and nir; "
                "EVI and SAVI are computed where they are absent."
            ),
        )
        model = QgsProcessingParameterString(self.MODEL, tr("Model"), job.model, optional=True)
        model.setMetadata({"widget_wrapper": {"class": f"{__package__.rpartition('.')[0]}.dialogs.model_choice.ModelChoice"}})
        self.ask_for(model, tr("Name of an installed model, or a model folder (model.onnx and model.json). Empty: the bundled model."))
        self.ask_for(
            QgsProcessingParameterNumber(
                self.THRESHOLD, tr("Probability threshold"), decimal, job.threshold, optional=True, minValue=0.0, maxValue=1.0
            ),
            tr("A pixel of at least this probability (between 0 and 1) is rock glacier. Empty: the threshold of the model's card."),
            decimals=3,
        )
        self.ask_for(
            QgsProcessingParameterNumber(
                self.OVERLAP, tr("Overlap of tiles (percent)"), decimal, job.overlap, optional=True, minValue=0.0, maxValue=LARGEST_OVERLAP
            ),
            tr(
                "How much of its side a tile shares with the next one. More finds more and takes longer; below about 50 percent, "
                "places are looked at once only and cannot be confirmed. Empty: the overlap of the model's card."
            ),
            decimals=1,
        )
        self.ask_for(
            QgsProcessingParameterEnum(self.DEVICE, tr("Device"), list(DEVICES), False, job.device, usesStaticStrings=True),
            tr("auto takes a CUDA graphics card where one really works, else the processor; cuda fails where it does not work."),
        )
        self.ask_for(
            QgsProcessingParameterFeatureSource(
                self.MASK, tr("Look only inside"), [Qgis.ProcessingSourceType.VectorPolygon], optional=True
            ),
            tr("Polygons to look in, in any CRS; tiles outside are skipped, which saves time. Empty: the whole stack."),
        )
        self.ask_for(
            QgsProcessingParameterNumber(self.BATCH_SIZE, tr("Tiles at a time"), integer, job.batch_size, minValue=0),
            tr("How many tiles the network takes at once; 0 chooses for the device. Lower it where memory runs out."),
            advanced=True,
        )
        self.ask_for(
            QgsProcessingParameterFeatureSink(self.OUTPUT, tr("Tile polygons"), Qgis.ProcessingSourceType.VectorPolygon),
            tr("One polygon per object and tile, with tile, probability_mean, probability_max, area_m2 and coverage."),
        )
        self.ask_for(
            QgsProcessingParameterRasterDestination(self.PROBABILITY, tr("Probability"), optional=True, createByDefault=True),
            tr("GeoTIFF: probability of rock glacier, 0-1, tiles blended, on the grid of the stack."),
        )
        self.addOutput(QgsProcessingOutputNumber(self.COUNT, tr("Number of tile polygons")))
        self.addOutput(QgsProcessingOutputNumber(self.TILES, tr("Number of tiles")))
        self.addOutput(QgsProcessingOutputString(self.DEVICE_USED, tr("Device used (CUDA or CPU)")))

    def checkParameterValues(self, parameters: Parameters, context: QgsProcessingContext) -> tuple[bool, str]:
        """What can be said before the run."""
        fine, message = super().checkParameterValues(parameters, context)
        if not fine:
            return fine, message
        stack = self.parameterAsRasterLayer(parameters, self.INPUT, context)
        if stack is not None and (why := why_unreadable(stack)):
            return False, why
        threshold = self.optional_number(parameters, self.THRESHOLD, context)
        if threshold is not None and not 0 < threshold < 1:
            return False, tr("THRESHOLD is {:g}; a probability threshold lies between 0 and 1.").format(threshold)
        overlap = self.optional_number(parameters, self.OVERLAP, context)
        if overlap is not None and not 0 <= overlap <= LARGEST_OVERLAP:
            return False, tr("OVERLAP is {:g}; it lies between 0 and {:g} percent of a tile.").format(overlap, LARGEST_OVERLAP)
        model = self.parameterAsString(parameters, self.MODEL, context)
        models = installed_models()
        if model and model not in models and not (Path(model) / "model.json").is_file():
            known = ", ".join(models) or tr("none")
            return False, tr("There is no model {}. Installed: {}. A folder with model.onnx and model.json works too.").format(model, known)
        return self.check_geotiff(parameters, self.PROBABILITY, context)

    def prepareAlgorithm(self, parameters: Parameters, context: QgsProcessingContext, feedback: QgsProcessingFeedback) -> bool:
        """Look at the project's layers, in the main thread."""
        stack = self.parameterAsRasterLayer(parameters, self.INPUT, context)
        if stack is None:
            raise QgsProcessingException(self.invalidRasterError(parameters, self.INPUT))
        self._input = raster_path(stack)
        self._mask, self._mask_layer = self.layer_path(parameters, self.MASK, context, feedback)
        return True

    def processAlgorithm(self, parameters: Parameters, context: QgsProcessingContext, feedback: QgsProcessingFeedback) -> dict[str, Any]:
        """Run the job and hand its outputs over."""
        probability = self.parameterAsOutputLayer(parameters, self.PROBABILITY, context) or None
        tile_polygons = self.temporary_layer("tile_polygons", context)
        job = DetectJob(
            input=self._input,
            output=tile_polygons,
            probability=probability,
            model=self.parameterAsString(parameters, self.MODEL, context),
            models_folders=(str(models_folder()),),
            threshold=self.optional_number(parameters, self.THRESHOLD, context),
            overlap=self.optional_number(parameters, self.OVERLAP, context),
            device=self.parameterAsEnumString(parameters, self.DEVICE, context),
            batch_size=self.parameterAsInt(parameters, self.BATCH_SIZE, context),
            mask=self._mask,
            mask_layer=self._mask_layer,
        )
        result = self.run_in_engine(job, feedback)
        output = self.layer_to_output(tile_polygons, parameters, self.OUTPUT, context)
        self.style(context, output, TILE_POLYGONS)
        self.style(context, probability, PROBABILITY)
        outputs = {
            self.OUTPUT: output,
            self.COUNT: result["count"],
            self.TILES: result["tiles"],
            self.DEVICE_USED: result["device_used"],
        }
        if probability:
            outputs[self.PROBABILITY] = probability
        return outputs

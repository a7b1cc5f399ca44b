"""Spectral stack to tile polygons and a probability raster."""

from __future__ import annotations

from typing import Any

from qgis.core import (
    Qgis,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingOutputNumber,
    QgsProcessingOutputString,
    QgsProcessingParameterFeatureSink,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterNumber,
    QgsProcessingParameterRasterDestination,
    QgsProcessingParameterRasterLayer,
)

from ..jobs import DetectJob
from .engine_algorithm import Parameters
from .layers import PROBABILITY, TILE_POLYGONS, raster_path, why_unreadable
from .model_algorithm import ModelAlgorithm
from .translation import tr

LARGEST_OVERLAP = 90.0
"""Percent of a tile; more would look at each place a hundred times."""


class DetectRockGlaciers(ModelAlgorithm):
    """Processing algorithm ``rockglacier:detectrockglaciers``."""

    NAME = "detectrockglaciers"
    INPUT, OVERLAP, MASK = "INPUT", "OVERLAP", "MASK"
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
        decimal = Qgis.ProcessingNumberParameterType.Double
        self.ask_for(
            QgsProcessingParameterRasterLayer(self.INPUT, tr("Spectral stack")),
            tr(
                "The output of Prepare spectral stack, or any raster of reflectance 0-1 whose bands are named red, green, blue and nir; "
                "EVI and SAVI are computed where they are absent."
            ),
        )
        self.ask_for_model()
        self.ask_for_threshold()
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
        self.ask_for_device()
        self.ask_for(
            QgsProcessingParameterFeatureSource(
                self.MASK, tr("Look only inside"), [Qgis.ProcessingSourceType.VectorPolygon], optional=True
            ),
            tr("Polygons to look in, in any CRS; tiles outside are skipped, which saves time. Empty: the whole stack."),
        )
        self.ask_for_batch_size()
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
        overlap = self.optional_number(parameters, self.OVERLAP, context)
        if overlap is not None and not 0 <= overlap <= LARGEST_OVERLAP:
            return False, tr("OVERLAP is {:g}; it lies between 0 and {:g} percent of a tile.").format(overlap, LARGEST_OVERLAP)
        fine, message = self.check_model(parameters, context)
        return self.check_geotiff(parameters, self.PROBABILITY, context) if fine else (fine, message)

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
            **self.model_of_job(parameters, context),
            overlap=self.optional_number(parameters, self.OVERLAP, context),
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

"""Scene to spectral stack."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qgis.core import (
    Qgis,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingParameterBand,
    QgsProcessingParameterEnum,
    QgsProcessingParameterNumber,
    QgsProcessingParameterRasterDestination,
    QgsProcessingParameterRasterLayer,
)

from ..jobs import SENSORS, PrepareJob
from .engine_algorithm import EngineAlgorithm, Parameters
from .layers import TRUE_COLOUR, raster_path, why_unreadable
from .translation import tr

SCALE_DECIMALS = 9
"""A scale is often something like 0.0000275."""


class PrepareSpectralStack(EngineAlgorithm):
    """Processing algorithm ``rockglacier:preparespectralstack``."""

    NAME = "preparespectralstack"
    INPUT = "INPUT"
    RED, GREEN, BLUE, NIR = "RED", "GREEN", "BLUE", "NIR"
    SENSOR, SCALE, OFFSET = "SENSOR", "SCALE", "OFFSET"
    RESOLUTION = "RESOLUTION"
    OUTPUT = "OUTPUT"

    def displayName(self) -> str:
        """The name in the toolbox."""
        return tr("Prepare spectral stack")

    def shortHelpString(self) -> str:
        """What the help panel and ``qgis_process help`` show."""
        return tr(
            "Turns a scene into the spectral stack that the network looks at: surface reflectance of the red, green, blue and "
            "near-infrared bands and the vegetation indices EVI and SAVI, six bands of 32-bit floating point numbers, not observed "
            "where the scene has no data. A scene in degrees, with rotated or with non-square pixels is brought to the local UTM zone. "
            "What was done (sensor, scaling, software) is kept in the tags of the GeoTIFF. After Lin et al. (2024), section 2.2."
        )

    def tags(self) -> list[str]:
        """Words that the toolbox search finds it by."""
        return tr("rock glacier,reflectance,evi,savi,vegetation index,sentinel-2,landsat,planet,gaofen,naip,scale,offset").split(",")

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:
        """Declare parameters and outputs."""
        job = PrepareJob("", "")
        self.ask_for(
            QgsProcessingParameterRasterLayer(self.INPUT, tr("Scene")),
            tr("A raster with red, green, blue and, where there is one, near-infrared band, in any projection or in degrees."),
        )
        for name, description, band in (
            (self.RED, tr("Red band"), job.red),
            (self.GREEN, tr("Green band"), job.green),
            (self.BLUE, tr("Blue band"), job.blue),
            (self.NIR, tr("Near-infrared band"), job.nir),
        ):
            parameter = QgsProcessingParameterBand(name, description, band, self.INPUT, optional=name == self.NIR)
            has_no_nir = tr(
                "Number of the band. Leave it empty (0) for a scene without near-infrared: the stack then holds no EVI and SAVI."
            )
            self.ask_for(parameter, has_no_nir if name == self.NIR else tr("Number of the band in the scene, from 1."))
        self.ask_for(
            QgsProcessingParameterEnum(self.SENSOR, tr("Sensor"), list(SENSORS), False, job.sensor, usesStaticStrings=True),
            tr(
                "How pixel values become surface reflectance. auto decides by the scene's metadata, then by its values, and says so in the "
                "log; reflectance: values 0-1 already; sentinel2_l2a, landsat_c2_l2, planetscope_sr, gaofen_pms: the product's own "
                "scaling; naip: 8-bit photographs, no true reflectance; custom: reflectance = value x SCALE + OFFSET."
            ),
        )
        decimal = Qgis.ProcessingNumberParameterType.Double
        self.ask_for(
            QgsProcessingParameterNumber(self.SCALE, tr("Scale"), decimal, job.scale),
            tr("For the sensor custom: reflectance = value x SCALE + OFFSET."),
            advanced=True,
            decimals=SCALE_DECIMALS,
        )
        self.ask_for(
            QgsProcessingParameterNumber(self.OFFSET, tr("Offset"), decimal, job.offset),
            tr("For the sensor custom: reflectance = value x SCALE + OFFSET."),
            advanced=True,
            decimals=SCALE_DECIMALS,
        )
        self.ask_for(
            QgsProcessingParameterNumber(self.RESOLUTION, tr("Ground sampling distance (metres)"), decimal, job.resolution, minValue=0.0),
            tr("Pixel size of the stack in metres; 0 keeps the scene's own. Detection resamples to what its model needs by itself."),
            decimals=2,
        )
        self.ask_for(
            QgsProcessingParameterRasterDestination(self.OUTPUT, tr("Spectral stack")),
            tr("GeoTIFF, 32-bit floating point, six bands named red, green, blue, nir, evi, savi."),
        )

    def checkParameterValues(self, parameters: Parameters, context: QgsProcessingContext) -> tuple[bool, str]:
        """What can be said before the run."""
        scene = self.parameterAsRasterLayer(parameters, self.INPUT, context)
        if scene is None and Path(str(parameters.get(self.INPUT))).is_file():  # QGIS would say that it was not found
            return False, tr("{} could not be opened as a raster: it is damaged, incomplete or of an unknown format.").format(
                parameters[self.INPUT]
            )
        fine, message = super().checkParameterValues(parameters, context)
        if not fine:
            return fine, message
        bands = self._bands(parameters, context)
        used = [band for band in bands.values() if band]
        if scene is not None:
            if why := why_unreadable(scene):
                return False, why
            for name, band in bands.items():
                if band > scene.bandCount():
                    advice = tr(" For a scene without near-infrared, leave NIR empty or give 0.") if name == self.NIR else ""
                    return False, tr("{} is band {}, but the scene has {} bands.").format(name, band, scene.bandCount()) + advice
        if len(set(used)) < len(used):
            return False, tr("Two of RED, GREEN, BLUE and NIR are the same band. Each needs its own.")
        if self.parameterAsDouble(parameters, self.SCALE, context) <= 0:
            return False, tr("SCALE must be more than 0: for the sensor custom, reflectance = value x SCALE + OFFSET.")
        return self.check_geotiff(parameters, self.OUTPUT, context)

    def prepareAlgorithm(self, parameters: Parameters, context: QgsProcessingContext, feedback: QgsProcessingFeedback) -> bool:
        """Look at the project's layers, in the main thread."""
        scene = self.parameterAsRasterLayer(parameters, self.INPUT, context)
        if scene is None:
            raise QgsProcessingException(self.invalidRasterError(parameters, self.INPUT))
        self._input = raster_path(scene)
        return True

    def processAlgorithm(self, parameters: Parameters, context: QgsProcessingContext, feedback: QgsProcessingFeedback) -> dict[str, Any]:
        """Run the job and hand its outputs over."""
        bands = self._bands(parameters, context)
        output = self.parameterAsOutputLayer(parameters, self.OUTPUT, context)
        job = PrepareJob(
            input=self._input,
            output=output,
            red=bands[self.RED],
            green=bands[self.GREEN],
            blue=bands[self.BLUE],
            nir=bands[self.NIR],
            sensor=self.parameterAsEnumString(parameters, self.SENSOR, context),
            scale=self.parameterAsDouble(parameters, self.SCALE, context),
            offset=self.parameterAsDouble(parameters, self.OFFSET, context),
            resolution=self.parameterAsDouble(parameters, self.RESOLUTION, context),
        )
        self.run_in_engine(job, feedback)
        self.style(context, output, TRUE_COLOUR)
        return {self.OUTPUT: output}

    def _bands(self, parameters: Parameters, context: QgsProcessingContext) -> dict[str, int]:
        bands = {name: self.parameterAsInt(parameters, name, context) for name in (self.RED, self.GREEN, self.BLUE, self.NIR)}
        if parameters.get(self.NIR, bands[self.NIR]) in (None, ""):
            bands[self.NIR] = 0
        return bands

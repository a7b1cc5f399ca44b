"""Tile polygons to rock glacier outlines."""

from __future__ import annotations

import re
from typing import Any

from qgis.core import (
    Qgis,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingOutputNumber,
    QgsProcessingParameterBoolean,
    QgsProcessingParameterEnum,
    QgsProcessingParameterFeatureSink,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterMapLayer,
    QgsProcessingParameterNumber,
    QgsProcessingParameterString,
    QgsRasterLayer,
)

from ..jobs import PERMAFROST_ACTIONS, PostprocessJob
from .engine_algorithm import EngineAlgorithm, Parameters
from .layers import OUTLINES, raster_path, why_unreadable
from .translation import tr

NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
CLASSES = re.compile(rf"\s*(?:(?:<=|>=|==|!=|=|<|>)\s*{NUMBER}|[^<>=!,;]+(?:[,;][^<>=!,;]+)*)\s*")
"""A condition, or values; the engine knows more about them once it has seen the map."""


class PostprocessPolygons(EngineAlgorithm):
    """Processing algorithm ``rockglacier:postprocesspolygons``."""

    NAME = "postprocesspolygons"
    INPUT = "INPUT"
    MIN_AREA, FILL_HOLES, REQUIRE_SUPPORT = "MIN_AREA", "FILL_HOLES", "REQUIRE_SUPPORT"
    PERMAFROST, PERMAFROST_CLASSES, PERMAFROST_FIELD = "PERMAFROST", "PERMAFROST_CLASSES", "PERMAFROST_FIELD"
    PERMAFROST_MIN_FRACTION, PERMAFROST_ACTION = "PERMAFROST_MIN_FRACTION", "PERMAFROST_ACTION"
    OUTPUT, COUNT, TOTAL_AREA = "OUTPUT", "COUNT", "TOTAL_AREA"

    def displayName(self) -> str:
        """The name in the toolbox."""
        return tr("Post-process polygons")

    def shortHelpString(self) -> str:
        """What the help panel and ``qgis_process help`` show."""
        return tr(
            "Unites the polygons of the tiles into rock glacier outlines, in the order of Lin et al. (2024, section 3.4.2): small "
            "polygons are dropped, holes filled, polygons that no other tile confirms dropped, the rest united and compared with a "
            "permafrost map. Two of the paper's steps are softened on purpose: support is asked for only where another tile looked, so "
            "that objects at the edge of the imagery survive, and outlines outside permafrost are flagged rather than dropped, because "
            "relict rock glaciers are among them. Areas and perimeters are measured on the ellipsoid."
        )

    def tags(self) -> list[str]:
        """Words that the toolbox search finds it by."""
        return tr("rock glacier,permafrost,outlines,inventory,union,dissolve,holes,small,votes,area").split(",")

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:
        """Declare parameters and outputs."""
        job = PostprocessJob("", "")
        decimal = Qgis.ProcessingNumberParameterType.Double
        self.ask_for(
            QgsProcessingParameterFeatureSource(self.INPUT, tr("Tile polygons"), [Qgis.ProcessingSourceType.VectorPolygon]),
            tr("The tile polygons of Detect rock glaciers, with their attributes."),
        )
        self.ask_for(
            QgsProcessingParameterNumber(self.MIN_AREA, tr("Smallest area (square metres)"), decimal, job.min_area, minValue=0.0),
            tr("Smaller polygons are dropped. 22000: the smallest rock glacier of Lin et al.; the RGIK guidelines recommend 10000."),
            decimals=0,
        )
        self.ask_for(
            QgsProcessingParameterBoolean(self.FILL_HOLES, tr("Fill holes"), job.fill_holes),
            tr("Fill the holes inside polygons."),
        )
        self.ask_for(
            QgsProcessingParameterBoolean(self.REQUIRE_SUPPORT, tr("Drop what no other tile confirms"), job.require_support),
            tr("A polygon is kept when a polygon of another tile touches it, or when no other tile looked there."),
        )
        self.ask_for(
            QgsProcessingParameterMapLayer(
                self.PERMAFROST,
                tr("Permafrost map"),
                optional=True,
                types=[Qgis.ProcessingSourceType.Raster, Qgis.ProcessingSourceType.VectorPolygon],
            ),
            tr("A raster of classes, probabilities or temperatures, or polygons. Empty: permafrost_fraction stays empty."),
        )
        self.ask_for(
            QgsProcessingParameterString(self.PERMAFROST_CLASSES, tr("Values that are permafrost"), job.permafrost_classes, optional=True),
            tr(
                "Values that count, such as 1 or 1,3 or 1-3, names in a field of text, such as continuous,discontinuous, or one "
                "condition, such as >=0.5 or <0. In the map of Zou et al. (2017) permafrost "
                "is 1 and 2 is unfrozen ground; the zonation index of Gruber (2012) starts at 0.1."
            ),
        )
        self.ask_for(
            # no QgsProcessingParameterField: its widget crashes QGIS 3.40 when the layer it belongs to is a raster
            QgsProcessingParameterString(
                self.PERMAFROST_FIELD, tr("Field of the permafrost polygons"), job.permafrost_field, optional=True
            ),
            tr("Name of the attribute of a polygon map that holds the value. Empty: every polygon is permafrost."),
            advanced=True,
        )
        self.ask_for(
            QgsProcessingParameterNumber(
                self.PERMAFROST_MIN_FRACTION,
                tr("Smallest share in permafrost"),
                decimal,
                job.permafrost_min_fraction,
                minValue=0.0,
                maxValue=1.0,
            ),
            tr("Share of an outline's area, 0-1, that has to lie in permafrost."),
            decimals=2,
        )
        self.ask_for(
            QgsProcessingParameterEnum(
                self.PERMAFROST_ACTION,
                tr("Outlines with a smaller share"),
                list(PERMAFROST_ACTIONS),
                False,
                job.permafrost_action,
                usesStaticStrings=True,
            ),
            tr("flag keeps them, with their permafrost_fraction; drop removes them, and with them relict rock glaciers."),
        )
        self.ask_for(
            QgsProcessingParameterFeatureSink(self.OUTPUT, tr("Rock glacier outlines"), Qgis.ProcessingSourceType.VectorPolygon),
            tr(
                "One polygon per rock glacier, with id, area_km2, perimeter_km, votes (how many tiles agree), coverage (how many looked), "
                "probability_mean, probability_max and permafrost_fraction."
            ),
        )
        self.addOutput(QgsProcessingOutputNumber(self.COUNT, tr("Number of outlines")))
        self.addOutput(QgsProcessingOutputNumber(self.TOTAL_AREA, tr("Total area (square kilometres)")))

    def checkParameterValues(self, parameters: Parameters, context: QgsProcessingContext) -> tuple[bool, str]:
        """What can be said before the run."""
        fine, message = super().checkParameterValues(parameters, context)
        if not fine:
            return fine, message
        permafrost = self.parameterAsLayer(parameters, self.PERMAFROST, context)
        if permafrost is None and parameters.get(self.PERMAFROST):
            return False, tr("The permafrost map {} could not be read.").format(parameters[self.PERMAFROST])
        if isinstance(permafrost, QgsRasterLayer) and (why := why_unreadable(permafrost)):
            return False, why
        fraction = self.parameterAsDouble(parameters, self.PERMAFROST_MIN_FRACTION, context)
        if not 0 <= fraction <= 1:
            return False, tr("PERMAFROST_MIN_FRACTION is {:g}; a share lies between 0 and 1.").format(fraction)
        classes = self._classes(parameters, context)
        if not CLASSES.fullmatch(classes):
            return False, tr("PERMAFROST_CLASSES is “{}”. Give values (1 or 1,3) or one condition (>=0.5).").format(classes)
        return True, ""

    def prepareAlgorithm(self, parameters: Parameters, context: QgsProcessingContext, feedback: QgsProcessingFeedback) -> bool:
        """Look at the project's layers, in the main thread."""
        self._input, self._input_layer = self.layer_path(parameters, self.INPUT, context, feedback)
        if self._input is None:
            raise QgsProcessingException(self.invalidSourceError(parameters, self.INPUT))
        permafrost = self.parameterAsLayer(parameters, self.PERMAFROST, context)
        if isinstance(permafrost, QgsRasterLayer):
            self._permafrost, self._permafrost_layer = raster_path(permafrost), None
        else:
            self._permafrost, self._permafrost_layer = self.layer_path(parameters, self.PERMAFROST, context, feedback)
        return True

    def processAlgorithm(self, parameters: Parameters, context: QgsProcessingContext, feedback: QgsProcessingFeedback) -> dict[str, Any]:
        """Run the job and hand its outputs over."""
        outlines = self.temporary_layer("outlines", context)
        job = PostprocessJob(
            input=self._input,
            output=outlines,
            input_layer=self._input_layer,
            min_area=self.parameterAsDouble(parameters, self.MIN_AREA, context),
            fill_holes=self.parameterAsBoolean(parameters, self.FILL_HOLES, context),
            require_support=self.parameterAsBoolean(parameters, self.REQUIRE_SUPPORT, context),
            permafrost=self._permafrost,
            permafrost_layer=self._permafrost_layer,
            permafrost_field=self.parameterAsString(parameters, self.PERMAFROST_FIELD, context),
            permafrost_classes=self._classes(parameters, context),
            permafrost_min_fraction=self.parameterAsDouble(parameters, self.PERMAFROST_MIN_FRACTION, context),
            permafrost_action=self.parameterAsEnumString(parameters, self.PERMAFROST_ACTION, context),
        )
        result = self.run_in_engine(job, feedback)
        output = self.layer_to_output(outlines, parameters, self.OUTPUT, context)
        self.style(context, output, OUTLINES)
        return {self.OUTPUT: output, self.COUNT: result["count"], self.TOTAL_AREA: result["total_area_km2"]}

    def _classes(self, parameters: Parameters, context: QgsProcessingContext) -> str:
        return self.parameterAsString(parameters, self.PERMAFROST_CLASSES, context) or PostprocessJob("", "").permafrost_classes

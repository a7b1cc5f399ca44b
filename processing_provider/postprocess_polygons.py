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
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterString,
)

from ..jobs import BOUNDARIES, PERMAFROST_ACTIONS, PERMAFROST_PRESETS, PostprocessJob
from .engine_algorithm import EngineAlgorithm, Parameters
from .layers import OUTLINES, RESTRICTED_FOOTPRINTS, TILE_POLYGONS
from .translation import tr

NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
CLASSES = re.compile(rf"\s*(?:(?:<=|>=|==|!=|=|<|>)\s*{NUMBER}|[^<>=!,;]+(?:[,;][^<>=!,;]+)*)\s*")
"""A condition, or values; the engine knows more about them once it has seen the map."""


class PostprocessPolygons(EngineAlgorithm):
    """Processing algorithm ``rockglacier:postprocesspolygons``."""

    NAME = "postprocesspolygons"
    INPUT = "INPUT"
    MIN_AREA, FILL_HOLES, REQUIRE_SUPPORT = "MIN_AREA", "FILL_HOLES", "REQUIRE_SUPPORT"
    UNITE, BOUNDARY, SMOOTHING = "UNITE", "BOUNDARY", "SMOOTHING"
    PROBABILITY, AREA_LO_LEVEL, AREA_HI_LEVEL, DEM = "PROBABILITY", "AREA_LO_LEVEL", "AREA_HI_LEVEL", "DEM"
    NOT_ASSESSABLE, NOT_ASSESSABLE_CLASSES = "NOT_ASSESSABLE", "NOT_ASSESSABLE_CLASSES"
    PERMAFROST, PERMAFROST_PRESET, PERMAFROST_CLASSES = "PERMAFROST", "PERMAFROST_PRESET", "PERMAFROST_CLASSES"
    PERMAFROST_FIELD, PERMAFROST_BUFFER, PERMAFROST_SOURCE = "PERMAFROST_FIELD", "PERMAFROST_BUFFER", "PERMAFROST_SOURCE"
    PERMAFROST_MIN_FRACTION, PERMAFROST_ACTION = "PERMAFROST_MIN_FRACTION", "PERMAFROST_ACTION"
    OUTPUT, RAW, RESTRICTED, REPORT = "OUTPUT", "RAW", "RESTRICTED", "REPORT"
    COUNT, TOTAL_AREA, RESTRICTED_COUNT = "COUNT", "TOTAL_AREA", "RESTRICTED_COUNT"

    def displayName(self) -> str:
        """The name in the toolbox."""
        return tr("Post-process polygons")

    def shortHelpString(self) -> str:
        """What the help panel and ``qgis_process help`` show."""
        return tr(
            "Unites the polygons of the tiles into rock glacier outlines, in the order of Lin et al. (2024, section 3.4.2): small "
            "polygons are dropped, holes filled, polygons that no other tile confirms dropped, the rest united and compared with a "
            "permafrost map. Each step can be switched off. Two of the paper's steps are softened on purpose: support is asked for only "
            "where another tile looked, so that objects at the edge of the imagery survive, and outlines outside permafrost are flagged "
            "rather than dropped, because relict rock glaciers are among them. Pixel edges are smoothed away, areas kept within 1 %. With "
            "the probability, each outline is given the areas that its contours bound; with an elevation model also how sharp its front, "
            "sides and upslope section are, and a restricted footprint. Areas and perimeters are measured on the ellipsoid."
        )

    def tags(self) -> list[str]:
        """Words that the toolbox search finds it by."""
        return tr("rock glacier,permafrost,outlines,inventory,union,dissolve,holes,votes,area,smooth,uncertainty,restricted").split(",")

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:
        """Declare parameters and outputs."""
        self._ask_for_steps(PostprocessJob("", ""))
        self._ask_for_maps(PostprocessJob("", ""))
        self._ask_for_permafrost(PostprocessJob("", ""))
        polygons = Qgis.ProcessingSourceType.VectorPolygon
        self.ask_for(
            QgsProcessingParameterFeatureSink(self.OUTPUT, tr("Rock glacier outlines"), polygons),
            tr(
                "One polygon per rock glacier, with id, area_km2, perimeter_km, votes (how many tiles agree), coverage (how many looked), "
                "what the probability says about it, visible_fraction and permafrost_fraction. What is unknown is NULL."
            ),
        )
        self.ask_for(
            QgsProcessingParameterFeatureSink(self.RAW, tr("Outlines before smoothing"), polygons, optional=True, createByDefault=False),
            tr("The same outlines along the pixel edges, with the same id."),
        )
        self.ask_for(
            QgsProcessingParameterFeatureSink(self.RESTRICTED, tr("Restricted footprints"), polygons, optional=True, createByDefault=False),
            tr("Outlines without the talus of front and sides, as far as the elevation model shows a slope break. Needs DEM."),
        )
        self.ask_for(
            QgsProcessingParameterFeatureSink(
                self.REPORT, tr("Report of the steps"), Qgis.ProcessingSourceType.Vector, optional=True, createByDefault=False
            ),
            tr("Table: each step with the objects before and after it, how many it changed or dropped, and their area."),
        )
        self.addOutput(QgsProcessingOutputNumber(self.COUNT, tr("Number of outlines")))
        self.addOutput(QgsProcessingOutputNumber(self.TOTAL_AREA, tr("Total area (square kilometres)")))
        self.addOutput(QgsProcessingOutputNumber(self.RESTRICTED_COUNT, tr("Number of restricted footprints")))

    def _ask_for_steps(self, job: PostprocessJob) -> None:
        decimal = Qgis.ProcessingNumberParameterType.Double
        self.ask_for(
            QgsProcessingParameterFeatureSource(self.INPUT, tr("Tile polygons"), [Qgis.ProcessingSourceType.VectorPolygon]),
            tr("The tile polygons of Detect rock glaciers, with their attributes."),
        )
        self.ask_for(
            QgsProcessingParameterNumber(self.MIN_AREA, tr("Smallest area (square metres)"), decimal, job.min_area, minValue=0.0),
            tr(
                "Smaller polygons are dropped; 0 drops none. 22000: the smallest rock glacier of Lin et al.; the RGIK guidelines "
                "recommend 10000."
            ),
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
            QgsProcessingParameterBoolean(self.UNITE, tr("Unite polygons that overlap"), job.unite),
            tr("Polygons that share ground or an edge become one outline. Off: each polygon stays an outline, with its attributes."),
            advanced=True,
        )
        self.ask_for(
            QgsProcessingParameterEnum(
                self.BOUNDARY, tr("Outlines are bounded by"), list(BOUNDARIES), False, job.boundary, usesStaticStrings=True
            ),
            tr(
                "tiles: the union of what any tile saw, as in the paper; it misses least, and straight tile edges may show. probability: "
                "cut back to the contour of the blended probability at the model's threshold; better boundaries, some outlines lost."
            ),
        )
        self.ask_for(
            QgsProcessingParameterNumber(self.SMOOTHING, tr("Smoothing (metres)"), decimal, None, optional=True, minValue=0.0),
            tr(
                "About how far a boundary may move to lose its pixel edges; areas stay within 1 %, shared borders shared. Empty: the size "
                "of the pixels that the polygons follow. 0: the pixel edges stay."
            ),
            decimals=1,
        )

    def _ask_for_maps(self, job: PostprocessJob) -> None:
        decimal = Qgis.ProcessingNumberParameterType.Double
        self.ask_for(
            QgsProcessingParameterRasterLayer(self.PROBABILITY, tr("Probability"), optional=True),
            tr(
                "The blended probability of Detect rock glaciers: gives each outline probability_mean, probability_sd, area_lo_km2 and "
                "area_hi_km2."
            ),
        )
        for name, title, value in (
            (self.AREA_LO_LEVEL, tr("Probability of the smaller area"), job.area_lo_level),
            (self.AREA_HI_LEVEL, tr("Probability of the larger area"), job.area_hi_level),
        ):
            self.ask_for(
                QgsProcessingParameterNumber(name, title, decimal, value, minValue=0.0, maxValue=1.0),
                tr(
                    "The contours of 0.7 and 0.3 bound the area of an outline that was cut at 0.5. For another threshold, as the "
                    "probability raster names it, both are moved with it."
                ),
                advanced=True,
                decimals=2,
            )
        self.ask_for(
            QgsProcessingParameterRasterLayer(self.DEM, tr("Elevation model"), optional=True),
            tr(
                "Elevation in metres. With the probability it gives the reliability of front, left, right and upslope section; it is "
                "needed for restricted footprints."
            ),
        )
        self.ask_for(
            QgsProcessingParameterMapLayer(
                self.NOT_ASSESSABLE,
                tr("Not assessable (snow, cloud, shadow)"),
                optional=True,
                types=[Qgis.ProcessingSourceType.Raster, Qgis.ProcessingSourceType.VectorPolygon],
            ),
            tr("A raster of classes, or polygons. Gives visible_fraction, the share of each outline that could be seen."),
        )
        self.ask_for(
            QgsProcessingParameterString(
                self.NOT_ASSESSABLE_CLASSES, tr("Values that are not assessable"), job.not_assessable_classes, optional=True
            ),
            tr("Of a raster: values such as 3,8-11 (Sentinel-2 scene classification: shadow, clouds, cirrus, snow), or one condition."),
            advanced=True,
        )

    def _ask_for_permafrost(self, job: PostprocessJob) -> None:
        decimal = Qgis.ProcessingNumberParameterType.Double
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
            QgsProcessingParameterEnum(
                self.PERMAFROST_PRESET,
                tr("Which permafrost map it is"),
                list(PERMAFROST_PRESETS),
                False,
                job.permafrost_preset,
                usesStaticStrings=True,
            ),
            tr(
                "Says what counts as permafrost: zou_zhao and ncdc class 1; obu_probability 0.5 or more (0.1 is usual too: choose custom "
                "and >=0.1); obu_zones continuous and discontinuous; cci_fraction 50 percent or more; gruber_pzi and cao_pzi 0.1 or "
                "more. custom: the values below."
            ),
        )
        self.ask_for(
            QgsProcessingParameterString(self.PERMAFROST_CLASSES, tr("Values that are permafrost"), job.permafrost_classes, optional=True),
            tr(
                "For custom: values that count, such as 1 or 1,3 or 1-3, names in a field of text, such as continuous,discontinuous, or "
                "one condition, such as >=0.5 or <0. In the map of Zou et al. (2017) permafrost "
                "is 1 and 2 is unfrozen ground; the zonation index of Gruber (2012) starts at 0.1."
            ),
        )
        self.ask_for(
            # no QgsProcessingParameterField: its widget crashes QGIS 3.40 when the layer it belongs to is a raster
            QgsProcessingParameterString(
                self.PERMAFROST_FIELD, tr("Field of the permafrost polygons"), job.permafrost_field, optional=True
            ),
            tr(
                "Name of the attribute of a polygon map that holds the value. Empty: every polygon is permafrost, and for obu_zones the "
                "field EXTENT."
            ),
            advanced=True,
        )
        self.ask_for(
            QgsProcessingParameterNumber(
                self.PERMAFROST_BUFFER, tr("Buffer (cells of the permafrost map)"), decimal, job.permafrost_buffer, minValue=0.0
            ),
            tr("Cells of a raster map around an outline that count with it: maps of 1 km are not exact to a rock glacier's width."),
            advanced=True,
            decimals=1,
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
            QgsProcessingParameterString(self.PERMAFROST_SOURCE, tr("Name of the permafrost map"), job.permafrost_source, optional=True),
            tr("Goes into permafrost_source. Empty: the citation of the map chosen above and the file's name."),
            advanced=True,
        )

    def checkParameterValues(self, parameters: Parameters, context: QgsProcessingContext) -> tuple[bool, str]:
        """What can be said before the run."""
        fine, message = super().checkParameterValues(parameters, context)
        if fine:
            fine, message = self.check_maps(parameters, (self.PERMAFROST, self.NOT_ASSESSABLE, self.PROBABILITY, self.DEM), context)
        if not fine:
            return fine, message
        fraction = self.parameterAsDouble(parameters, self.PERMAFROST_MIN_FRACTION, context)
        if not 0 <= fraction <= 1:
            return False, tr("PERMAFROST_MIN_FRACTION is {:g}; a share lies between 0 and 1.").format(fraction)
        for name in (self.PERMAFROST_CLASSES, self.NOT_ASSESSABLE_CLASSES):
            classes = self._classes(parameters, name, context)
            if not CLASSES.fullmatch(classes):
                return False, tr("{} is “{}”. Give values (1 or 1,3) or one condition (>=0.5).").format(name, classes)
        lo, hi = (self.parameterAsDouble(parameters, name, context) for name in (self.AREA_LO_LEVEL, self.AREA_HI_LEVEL))
        if not 0 < hi < lo < 1:
            return False, tr("AREA_LO_LEVEL is {:g} and AREA_HI_LEVEL {:g}; the former has to be higher, both between 0 and 1.").format(
                lo, hi
            )
        if self.parameterAsEnumString(parameters, self.BOUNDARY, context) == "probability" and not parameters.get(self.PROBABILITY):
            return False, tr("BOUNDARY is probability: give PROBABILITY, the raster that Detect rock glaciers wrote, too.")
        if self.optional_layer(parameters, self.RESTRICTED, context) and not parameters.get(self.DEM):
            return False, tr("RESTRICTED needs an elevation model: give DEM too.")
        return True, ""

    def prepareAlgorithm(self, parameters: Parameters, context: QgsProcessingContext, feedback: QgsProcessingFeedback) -> bool:
        """Look at the project's layers, in the main thread."""
        self._input, self._input_layer = self.layer_path(parameters, self.INPUT, context, feedback)
        if self._input is None:
            raise QgsProcessingException(self.invalidSourceError(parameters, self.INPUT))
        self._permafrost, self._permafrost_layer = self.map_path(parameters, self.PERMAFROST, context, feedback)
        self._not_assessable, self._not_assessable_layer = self.map_path(parameters, self.NOT_ASSESSABLE, context, feedback)
        self._probability = self.raster_path(parameters, self.PROBABILITY, context)
        self._dem = self.raster_path(parameters, self.DEM, context)
        return True

    def processAlgorithm(self, parameters: Parameters, context: QgsProcessingContext, feedback: QgsProcessingFeedback) -> dict[str, Any]:
        """Run the job and hand its outputs over."""
        job = PostprocessJob(
            input=self._input,
            output=self.temporary_layer("outlines", context),
            input_layer=self._input_layer,
            min_area=self.parameterAsDouble(parameters, self.MIN_AREA, context),
            fill_holes=self.parameterAsBoolean(parameters, self.FILL_HOLES, context),
            require_support=self.parameterAsBoolean(parameters, self.REQUIRE_SUPPORT, context),
            unite=self.parameterAsBoolean(parameters, self.UNITE, context),
            boundary=self.parameterAsEnumString(parameters, self.BOUNDARY, context),
            smoothing=self.optional_number(parameters, self.SMOOTHING, context),
            probability=self._probability,
            area_lo_level=self.parameterAsDouble(parameters, self.AREA_LO_LEVEL, context),
            area_hi_level=self.parameterAsDouble(parameters, self.AREA_HI_LEVEL, context),
            dem=self._dem,
            not_assessable=self._not_assessable,
            not_assessable_layer=self._not_assessable_layer,
            not_assessable_classes=self._classes(parameters, self.NOT_ASSESSABLE_CLASSES, context),
            permafrost=self._permafrost,
            permafrost_layer=self._permafrost_layer,
            permafrost_field=self.parameterAsString(parameters, self.PERMAFROST_FIELD, context),
            permafrost_preset=self.parameterAsEnumString(parameters, self.PERMAFROST_PRESET, context),
            permafrost_classes=self._classes(parameters, self.PERMAFROST_CLASSES, context),
            permafrost_buffer=self.parameterAsDouble(parameters, self.PERMAFROST_BUFFER, context),
            permafrost_min_fraction=self.parameterAsDouble(parameters, self.PERMAFROST_MIN_FRACTION, context),
            permafrost_action=self.parameterAsEnumString(parameters, self.PERMAFROST_ACTION, context),
            permafrost_source=self.parameterAsString(parameters, self.PERMAFROST_SOURCE, context),
            raw=self.optional_layer(parameters, self.RAW, context),
            restricted=self.optional_layer(parameters, self.RESTRICTED, context),
            report=self.optional_layer(parameters, self.REPORT, context),
        )
        result = self.run_in_engine(job, feedback)
        layers = {self.OUTPUT: job.output, self.RAW: job.raw, self.RESTRICTED: job.restricted, self.REPORT: job.report}
        outputs = self.layers_to_outputs(layers, parameters, context)
        for name, style in ((self.RAW, TILE_POLYGONS), (self.OUTPUT, OUTLINES), (self.RESTRICTED, RESTRICTED_FOOTPRINTS)):
            self.style(context, outputs.get(name), style)
        numbers = {self.COUNT: "count", self.TOTAL_AREA: "total_area_km2", self.RESTRICTED_COUNT: "restricted_count"}
        return {**outputs, **{name: result[key] for name, key in numbers.items()}}

    def _classes(self, parameters: Parameters, name: str, context: QgsProcessingContext) -> str:
        return self.parameterAsString(parameters, name, context) or getattr(PostprocessJob("", ""), name.lower())

"""A stratified random sample of points to label by eye."""

from __future__ import annotations

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
    QgsProcessingParameterNumber,
    QgsProcessingParameterRasterLayer,
)

from ..jobs import ALLOCATIONS, DesignSampleJob
from .engine_algorithm import EngineAlgorithm, Parameters
from .layers import SAMPLE
from .translation import tr


class DesignSample(EngineAlgorithm):
    """Processing algorithm ``rockglacier:designsample``."""

    NAME = "designsample"
    GROUP = "accuracy"
    PREDICTED, AREA_OF_INTEREST, PROBABILITY = "PREDICTED", "AREA_OF_INTEREST", "PROBABILITY"
    RING_WIDTH, HIGH_PROBABILITY = "RING_WIDTH", "HIGH_PROBABILITY"
    SIZE, STANDARD_ERROR, ALLOCATION, MIN_PER_STRATUM, SEED = "SIZE", "STANDARD_ERROR", "ALLOCATION", "MIN_PER_STRATUM", "SEED"
    ANTICIPATED = ("ANTICIPATED_PREDICTED", "ANTICIPATED_RING", "ANTICIPATED_PROBABLE", "ANTICIPATED_REST")
    OUTPUT, COUNT, AREA_KM2, ANTICIPATED_AREA_CI_KM2 = "OUTPUT", "COUNT", "AREA_KM2", "ANTICIPATED_AREA_CI_KM2"

    def displayName(self) -> str:
        """The name in the toolbox."""
        return tr("Design sample")

    def shortHelpString(self) -> str:
        """What the help panel and ``qgis_process help`` show."""
        return tr(
            "Draws random points to label by eye, from which Estimate area tells the area of rock glaciers and the accuracy of the map "
            "with confidence intervals (Olofsson et al. 2014). Rock glaciers are rare, so points are drawn in four strata: the predicted "
            "outlines, a ring around them, background that the network thought probable, and the rest. Label the field reference of each "
            "point, in the order of the id: 1 rock glacier, 0 not, -1 cannot tell. Hide stratum and predicted while you label."
        )

    def tags(self) -> list[str]:
        """Words that the toolbox search finds it by."""
        return tr("rock glacier,sample,points,stratified,random,validation,accuracy,olofsson,stehman,area,confidence").split(",")

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:
        """Declare parameters and outputs."""
        job = DesignSampleJob("", "")
        decimal, whole = Qgis.ProcessingNumberParameterType.Double, Qgis.ProcessingNumberParameterType.Integer
        polygons = [Qgis.ProcessingSourceType.VectorPolygon]
        self.ask_for(
            QgsProcessingParameterFeatureSource(self.PREDICTED, tr("Outlines"), polygons),
            tr("The outlines whose area and accuracy are wanted."),
        )
        self.ask_for(
            QgsProcessingParameterFeatureSource(self.AREA_OF_INTEREST, tr("Area of interest"), polygons, optional=True),
            tr(
                "The ground that was mapped. Empty: where the probability raster holds data, or, without one, the rectangle that the "
                "outlines fill, which is too small where nothing was found at its edge."
            ),
        )
        self.ask_for(
            QgsProcessingParameterRasterLayer(self.PROBABILITY, tr("Probability"), optional=True),
            tr("The probability raster of Detect rock glaciers. Empty: there is no stratum of probable background."),
        )
        self.ask_for(
            QgsProcessingParameterNumber(self.RING_WIDTH, tr("Width of the ring (metres)"), decimal, job.ring_width, minValue=0.0),
            tr("Around the outlines, where boundaries err. 0: no such stratum."),
            decimals=0,
        )
        self.ask_for(
            QgsProcessingParameterNumber(
                self.HIGH_PROBABILITY, tr("High probability from"), decimal, job.high_probability, minValue=0.001, maxValue=0.999
            ),
            tr("Background with at least this probability, 0-1, is a stratum of its own."),
            decimals=2,
        )
        self.ask_for(
            QgsProcessingParameterNumber(self.SIZE, tr("Number of points"), whole, job.size, minValue=0),
            tr("0: as many as the standard error needs."),
        )
        self.ask_for(
            QgsProcessingParameterNumber(
                self.STANDARD_ERROR, tr("Standard error"), decimal, job.standard_error, minValue=0.0001, maxValue=0.5
            ),
            tr(
                "Wanted for the overall accuracy, 0-1, where the number of points is 0. The same share of the whole area is the standard "
                "error of the area of rock glaciers: with 2 % rock glaciers, 0.01 means half of their area."
            ),
            decimals=4,
        )
        self.ask_for(
            QgsProcessingParameterEnum(
                self.ALLOCATION, tr("Points of the strata"), list(ALLOCATIONS), False, job.allocation, usesStaticStrings=True
            ),
            tr("In proportion to their areas, or optimal: so that the standard error is smallest."),
        )
        self.ask_for(
            QgsProcessingParameterNumber(self.MIN_PER_STRATUM, tr("Fewest points of a stratum"), whole, job.min_per_stratum, minValue=2),
            tr("Olofsson et al. advise 50 to 100. With one point there is no confidence interval."),
        )
        for name, label in zip(
            self.ANTICIPATED,
            (
                tr("Anticipated accuracy of the outlines"),
                tr("Anticipated accuracy of the ring"),
                tr("Anticipated accuracy of probable background"),
                tr("Anticipated accuracy of the rest"),
            ),
        ):
            self.ask_for(
                QgsProcessingParameterNumber(name, label, decimal, getattr(job, name.lower()), minValue=0.0, maxValue=1.0),
                tr("Share of the stratum, 0-1, where the map is expected to be right; for the number of points and their distribution."),
                advanced=True,
                decimals=3,
            )
        self.ask_for(
            QgsProcessingParameterNumber(self.SEED, tr("Seed"), whole, job.seed, minValue=0),
            tr("The same seed gives the same points."),
            advanced=True,
        )
        self.ask_for(
            QgsProcessingParameterFeatureSink(self.OUTPUT, tr("Points to label"), Qgis.ProcessingSourceType.VectorPoint),
            tr("With stratum, its area and weight, whether the map says rock glacier, and the empty fields reference and comment."),
        )
        self.addOutput(QgsProcessingOutputNumber(self.COUNT, tr("Number of points")))
        self.addOutput(QgsProcessingOutputNumber(self.AREA_KM2, tr("Area of all strata (square kilometres)")))
        self.addOutput(
            QgsProcessingOutputNumber(self.ANTICIPATED_AREA_CI_KM2, tr("Anticipated confidence interval of the area (± square kilometres)"))
        )

    def checkParameterValues(self, parameters: Parameters, context: QgsProcessingContext) -> tuple[bool, str]:
        """What can be said before the run."""
        fine, message = super().checkParameterValues(parameters, context)
        return self.check_maps(parameters, (self.PROBABILITY,), context) if fine else (fine, message)

    def prepareAlgorithm(self, parameters: Parameters, context: QgsProcessingContext, feedback: QgsProcessingFeedback) -> bool:
        """Look at the project's layers, in the main thread."""
        self._predicted = self.layer_path(parameters, self.PREDICTED, context, feedback)
        if self._predicted[0] is None:
            raise QgsProcessingException(self.invalidSourceError(parameters, self.PREDICTED))
        self._area_of_interest = self.layer_path(parameters, self.AREA_OF_INTEREST, context, feedback)
        self._probability = self.raster_path(parameters, self.PROBABILITY, context)
        return True

    def processAlgorithm(self, parameters: Parameters, context: QgsProcessingContext, feedback: QgsProcessingFeedback) -> dict[str, Any]:
        """Run the job and hand its outputs over."""
        points = self.temporary_layer("sample", context)
        decimals = (self.RING_WIDTH, self.HIGH_PROBABILITY, self.STANDARD_ERROR, *self.ANTICIPATED)
        job = DesignSampleJob(
            predicted=self._predicted[0],
            output=points,
            predicted_layer=self._predicted[1],
            area_of_interest=self._area_of_interest[0],
            area_of_interest_layer=self._area_of_interest[1],
            probability=self._probability,
            allocation=self.parameterAsEnumString(parameters, self.ALLOCATION, context),
            **{name.lower(): self.parameterAsDouble(parameters, name, context) for name in decimals},
            **{name.lower(): self.parameterAsInt(parameters, name, context) for name in (self.SIZE, self.MIN_PER_STRATUM, self.SEED)},
        )
        result = self.run_in_engine(job, feedback)
        output = self.layer_to_output(points, parameters, self.OUTPUT, context)
        self.style(context, output, SAMPLE)
        return {
            self.OUTPUT: output,
            self.COUNT: result["count"],
            self.AREA_KM2: result["area_km2"],
            self.ANTICIPATED_AREA_CI_KM2: result["anticipated_area_ci_km2"],
        }

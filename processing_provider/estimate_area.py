"""Area and accuracy from labelled points."""

from __future__ import annotations

from typing import Any

from qgis.core import (
    Qgis,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingOutputNumber,
    QgsProcessingParameterFeatureSink,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterField,
    QgsProcessingParameterFileDestination,
)

from ..jobs import EstimateAreaJob
from .engine_algorithm import EngineAlgorithm, Parameters
from .translation import tr


class EstimateArea(EngineAlgorithm):
    """Processing algorithm ``rockglacier:estimatearea``."""

    NAME = "estimatearea"
    GROUP = "accuracy"
    SAMPLE, REFERENCE_FIELD, TABLE, JSON = "SAMPLE", "REFERENCE_FIELD", "TABLE", "JSON"
    AREA_KM2, AREA_CI_KM2, MAPPED_AREA_KM2 = "AREA_KM2", "AREA_CI_KM2", "MAPPED_AREA_KM2"
    ACCURACIES = ("OVERALL_ACCURACY", "USERS_ACCURACY", "PRODUCERS_ACCURACY")
    LABELLED, UNLABELLED = "LABELLED", "UNLABELLED"

    def displayName(self) -> str:
        """The name in the toolbox."""
        return tr("Estimate area")

    def shortHelpString(self) -> str:
        """What the help panel and ``qgis_process help`` show."""
        return tr(
            "Estimates the area of rock glaciers and the accuracy of the map from the labelled points of Design sample, each with its "
            "95 % confidence interval (Stehman 2014, Olofsson et al. 2014). The mapped area counts what was mapped by mistake and lacks "
            "what was missed; the estimate does not. Points without a label, or labelled -1, are left out and counted."
        )

    def tags(self) -> list[str]:
        """Words that the toolbox search finds it by."""
        return tr("rock glacier,area,accuracy,confidence,interval,sample,points,olofsson,stehman,error matrix,user,producer").split(",")

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:
        """Declare parameters and outputs."""
        job = EstimateAreaJob("")
        self.ask_for(
            QgsProcessingParameterFeatureSource(self.SAMPLE, tr("Labelled points"), [Qgis.ProcessingSourceType.Vector]),
            tr("All points of Design sample, or a table of them; those without a label stay in."),
        )
        self.ask_for(
            QgsProcessingParameterField(self.REFERENCE_FIELD, tr("Field of the labels"), job.reference_field, self.SAMPLE),
            tr("What was seen: 1 rock glacier, 0 not, -1 cannot tell, empty not yet looked at."),
        )
        self.ask_for(
            QgsProcessingParameterFeatureSink(
                self.TABLE, tr("Table of estimates"), Qgis.ProcessingSourceType.Vector, optional=True, createByDefault=True
            ),
            tr("Each figure with its standard error, confidence interval and definition."),
        )
        self.ask_for(
            QgsProcessingParameterFileDestination(
                self.JSON, tr("Numbers"), tr("JSON files") + " (*.json)", optional=True, createByDefault=False
            ),
            tr("All figures, the error matrix and the strata, for programs."),
        )
        self.addOutput(QgsProcessingOutputNumber(self.AREA_KM2, tr("Area of rock glaciers (square kilometres)")))
        self.addOutput(QgsProcessingOutputNumber(self.AREA_CI_KM2, tr("Its confidence interval (± square kilometres)")))
        self.addOutput(QgsProcessingOutputNumber(self.MAPPED_AREA_KM2, tr("Mapped area (square kilometres)")))
        labels = (tr("Overall accuracy (0-1)"), tr("User's accuracy (0-1)"), tr("Producer's accuracy (0-1)"))
        for name, label in zip(self.ACCURACIES, labels):
            self.addOutput(QgsProcessingOutputNumber(name, label))
            self.addOutput(QgsProcessingOutputNumber(f"{name}_CI", tr("{}: confidence interval (±)").format(label)))
        self.addOutput(QgsProcessingOutputNumber(self.LABELLED, tr("Labelled points")))
        self.addOutput(QgsProcessingOutputNumber(self.UNLABELLED, tr("Points without a label")))

    def prepareAlgorithm(self, parameters: Parameters, context: QgsProcessingContext, feedback: QgsProcessingFeedback) -> bool:
        """Look at the project's layers, in the main thread."""
        self._sample = self.layer_path(parameters, self.SAMPLE, context, feedback)
        if self._sample[0] is None:
            raise QgsProcessingException(self.invalidSourceError(parameters, self.SAMPLE))
        return True

    def processAlgorithm(self, parameters: Parameters, context: QgsProcessingContext, feedback: QgsProcessingFeedback) -> dict[str, Any]:
        """Run the job and hand its outputs over."""
        table, json = self.optional_layer(parameters, self.TABLE, context), self.optional_file(parameters, self.JSON, context)
        job = EstimateAreaJob(
            sample=self._sample[0],
            sample_layer=self._sample[1],
            reference_field=self.parameterAsString(parameters, self.REFERENCE_FIELD, context),
            table=table,
            json=json,
        )
        result = self.run_in_engine(job, feedback)
        outputs = self.layers_to_outputs({self.TABLE: table}, parameters, context)
        if json:
            outputs[self.JSON] = json
        figures = {"OVERALL_ACCURACY": result["overall_accuracy"]}
        figures |= {name: result[name.lower()]["rock_glacier"] for name in self.ACCURACIES[1:]}
        numbers = {self.AREA_KM2: result["area"]["estimate"], self.AREA_CI_KM2: result["area"]["ci95"]}
        numbers |= {self.MAPPED_AREA_KM2: result["mapped_area_km2"]}
        numbers |= {name: figure["estimate"] for name, figure in figures.items()}
        numbers |= {f"{name}_CI": figure["ci95"] for name, figure in figures.items()}
        numbers |= {self.LABELLED: result["labelled"], self.UNLABELLED: result["unlabelled"]}
        return {**outputs, **{name: number for name, number in numbers.items() if number is not None}}

"""Inventories of the same ground against each other."""

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
    QgsProcessingParameterMultipleLayers,
    QgsProcessingParameterNumber,
    QgsProcessingParameterRasterDestination,
    QgsProcessingUtils,
)

from ..jobs import CompareInventoriesJob
from .engine_algorithm import EngineAlgorithm, Parameters
from .layers import AGREEMENT, CHANGES, DISAGREEMENTS, OUTLINES
from .translation import tr


class CompareInventories(EngineAlgorithm):
    """Processing algorithm ``rockglacier:compareinventories``."""

    NAME = "compareinventories"
    GROUP = "inventory"
    INVENTORIES, AREA_OF_INTEREST = "INVENTORIES", "AREA_OF_INTEREST"
    CHANGED_IOU, SLIVER, RESOLUTION = "CHANGED_IOU", "SLIVER", "RESOLUTION"
    OUTPUT, AGREEMENT, DISAGREEMENTS, CONSENSUS, OPERATORS = "OUTPUT", "AGREEMENT", "DISAGREEMENTS", "CONSENSUS", "OPERATORS"
    COUNTS = ("NEW", "MISSED", "SPLIT", "MERGED", "REGROUPED", "CHANGED", "UNCHANGED")
    DISAGREEMENT_COUNT, CONSENSUS_COUNT = "DISAGREEMENT_COUNT", "CONSENSUS_COUNT"

    def displayName(self) -> str:
        """The name in the toolbox."""
        return tr("Compare inventories")

    def shortHelpString(self) -> str:
        """What the help panel and ``qgis_process help`` show."""
        return tr(
            "Two inventories of the same ground, the older first: which outlines are new, missed, split, merged, changed or unchanged, "
            "with the ids of their counterparts and overlap areas both ways. Two or more operators who mapped the same ground: a raster "
            "of how many of them hold a place, a list of where they differ with the largest piece first, consensus outlines of the ground "
            "that more than half of them hold, and a table of each operator's bias."
        )

    def tags(self) -> list[str]:
        """Words that the toolbox search finds it by."""
        return tr("rock glacier,inventory,change,difference,new,missed,split,merged,operators,agreement,consensus,disagreement,bias").split(
            ","
        )

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:
        """Declare parameters and outputs."""
        job = CompareInventoriesJob(())
        decimal, polygons = Qgis.ProcessingNumberParameterType.Double, Qgis.ProcessingSourceType.VectorPolygon
        inventories = QgsProcessingParameterMultipleLayers(self.INVENTORIES, tr("Inventories"), polygons)
        inventories.setMinimumNumberInputs(2)
        self.ask_for(inventories, tr("Two or more layers of outlines. Of two, the older comes first: drag it to the top of the list."))
        self.ask_for(
            QgsProcessingParameterFeatureSource(self.AREA_OF_INTEREST, tr("Area of interest"), [polygons], optional=True),
            tr(
                "The ground that all of them cover. An outline counts when at least half of it lies within, or a counterpart does. "
                "Empty: everything counts."
            ),
        )
        self.ask_for(
            QgsProcessingParameterNumber(
                self.CHANGED_IOU, tr("Changed below an IoU of"), decimal, job.changed_iou, minValue=0.0, maxValue=1.0
            ),
            tr("Two outlines that share less than this of their joint area have changed, 0-1."),
            decimals=2,
        )
        self.ask_for(
            QgsProcessingParameterNumber(self.SLIVER, tr("Slivers"), decimal, job.sliver, minValue=0.0, maxValue=0.99),
            tr("Overlaps below this share of both outlines, 0-1, are ignored, and so are crumbs of a consensus outline."),
            advanced=True,
            decimals=2,
        )
        self.ask_for(
            QgsProcessingParameterNumber(
                self.RESOLUTION, tr("Pixel size of the agreement (metres)"), decimal, job.resolution, minValue=0.1
            ),
            tr("Of the agreement raster; the other outputs are exact overlays."),
            advanced=True,
            decimals=1,
        )
        self.ask_for(
            QgsProcessingParameterFeatureSink(self.OUTPUT, tr("Comparison"), polygons, optional=True, createByDefault=True),
            tr(
                "All outlines of all inventories. Of two: change, ids of the counterparts, areas and overlaps both ways, IoU, area change. "
                "Of more: how many inventories have the outline, and the mean share of them that hold its ground."
            ),
        )
        self.ask_for(
            QgsProcessingParameterRasterDestination(self.AGREEMENT, tr("Agreement"), optional=True, createByDefault=False),
            tr("Share of the inventories, 0-1, that hold a place; GeoTIFF."),
        )
        for name, label, text in (
            (
                self.DISAGREEMENTS,
                tr("Disagreements"),
                tr("Where they differ, the largest piece first: kind, who holds it and who does not."),
            ),
            (
                self.CONSENSUS,
                tr("Consensus outlines"),
                tr("Ground that more than half of them hold, with agreement and the spread of the operators' areas."),
            ),
        ):
            self.ask_for(QgsProcessingParameterFeatureSink(name, label, polygons, optional=True, createByDefault=False), text)
        self.ask_for(
            QgsProcessingParameterFeatureSink(
                self.OPERATORS, tr("Table of operators"), Qgis.ProcessingSourceType.Vector, optional=True, createByDefault=False
            ),
            tr("Each inventory against the consensus: accuracies, mean area deviation, outlines missed, extra, merged and split."),
        )
        for name, label in zip(
            self.COUNTS,
            (
                tr("New outlines"),
                tr("Missed outlines"),
                tr("Outlines that were split"),
                tr("Outlines that were merged"),
                tr("Groups of outlines that were regrouped"),
                tr("Changed outlines"),
                tr("Unchanged outlines"),
            ),
        ):
            self.addOutput(QgsProcessingOutputNumber(name, label))
        self.addOutput(QgsProcessingOutputNumber(self.DISAGREEMENT_COUNT, tr("Number of disagreements")))
        self.addOutput(QgsProcessingOutputNumber(self.CONSENSUS_COUNT, tr("Number of consensus outlines")))

    def checkParameterValues(self, parameters: Parameters, context: QgsProcessingContext) -> tuple[bool, str]:
        """What can be said before the run."""
        fine, message = super().checkParameterValues(parameters, context)
        return self.check_geotiff(parameters, self.AGREEMENT, context) if fine else (fine, message)

    def prepareAlgorithm(self, parameters: Parameters, context: QgsProcessingContext, feedback: QgsProcessingFeedback) -> bool:
        """Look at the project's layers, in the main thread."""
        layers = self.parameterAsLayerList(parameters, self.INVENTORIES, context)
        if len(layers) < 2:
            raise QgsProcessingException(tr("INVENTORIES names {} layers that can be read; two or more are needed.").format(len(layers)))
        self._names = tuple(layer.name() for layer in layers)
        self._inventories = [
            QgsProcessingUtils.convertToCompatibleFormatAndLayerName(
                layer, False, f"inventory_{number}", list(self.COMPATIBLE_LAYERS), "gpkg", context, feedback
            )
            for number, layer in enumerate(layers, 1)
        ]
        self._area_of_interest = self.layer_path(parameters, self.AREA_OF_INTEREST, context, feedback)
        return True

    def processAlgorithm(self, parameters: Parameters, context: QgsProcessingContext, feedback: QgsProcessingFeedback) -> dict[str, Any]:
        """Run the job and hand its outputs over."""
        layers = {
            name: self.optional_layer(parameters, name, context)
            for name in (self.OUTPUT, self.DISAGREEMENTS, self.CONSENSUS, self.OPERATORS)
        }
        agreement = self.parameterAsOutputLayer(parameters, self.AGREEMENT, context) or None
        job = CompareInventoriesJob(
            inventories=tuple(path for path, _ in self._inventories),
            inventory_layers=tuple(layer for _, layer in self._inventories),
            names=self._names,
            area_of_interest=self._area_of_interest[0],
            area_of_interest_layer=self._area_of_interest[1],
            changed_iou=self.parameterAsDouble(parameters, self.CHANGED_IOU, context),
            sliver=self.parameterAsDouble(parameters, self.SLIVER, context),
            resolution=self.parameterAsDouble(parameters, self.RESOLUTION, context),
            agreement=agreement,
            **{name.lower(): path for name, path in layers.items()},
        )
        result = self.run_in_engine(job, feedback)
        outputs = self.layers_to_outputs(layers, parameters, context)
        if agreement:
            outputs[self.AGREEMENT] = agreement
        styles = {self.AGREEMENT: AGREEMENT, self.OUTPUT: CHANGES, self.CONSENSUS: OUTLINES, self.DISAGREEMENTS: DISAGREEMENTS}
        for name, style in styles.items():
            self.style(context, outputs.get(name), style)
        counts = {name: result[name.lower()] for name in self.COUNTS}
        counts |= {self.DISAGREEMENT_COUNT: result["n_disagreements"], self.CONSENSUS_COUNT: result["n_consensus"]}
        return {**outputs, **{name: count for name, count in counts.items() if count is not None}}

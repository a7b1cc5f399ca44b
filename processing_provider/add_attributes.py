"""Outlines with the attributes of an inventory."""

from __future__ import annotations

import re
from typing import Any

from qgis.core import (
    Qgis,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingOutputNumber,
    QgsProcessingParameterFeatureSink,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterMatrix,
    QgsProcessingParameterMultipleLayers,
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterString,
)

from ..jobs import AttributesJob
from .engine_algorithm import EngineAlgorithm, Parameters
from .layers import OUTLINES, raster_path, why_unreadable
from .translation import tr

MONTHS = re.compile(r"(0?[1-9]|1[0-2])-(0?[1-9]|1[0-2])")


class AddAttributes(EngineAlgorithm):
    """Processing algorithm ``rockglacier:addattributes``."""

    NAME = "addattributes"
    GROUP = "inventory"
    INPUT, DEM, DEM_SOURCE, SOLAR_MONTHS = "INPUT", "DEM", "DEM_SOURCE", "SOLAR_MONTHS"
    RASTERS, RASTER_SOURCES = "RASTERS", "RASTER_SOURCES"
    OUTPUT, COUNT, WITH_TERRAIN = "OUTPUT", "COUNT", "WITH_TERRAIN"

    def displayName(self) -> str:
        """The name in the toolbox."""
        return tr("Add attributes")

    def shortHelpString(self) -> str:
        """What the help panel and ``qgis_process help`` show."""
        return tr(
            "Gives every outline what an inventory tells of it: area and perimeter on the ellipsoid, a point on it, a PrimaryID; from an "
            "elevation model its elevations, slope, aspect, length along the fall line, width, tongue or lobe, and potential solar "
            "radiation; from further rasters, such as air temperature or permafrost probability, their means. Cells count by the share "
            "that lies in the outline. What is not known stays empty, never 0. A PrimaryID once given is kept. Other fields travel on."
        )

    def tags(self) -> list[str]:
        """Words that the toolbox search finds it by."""
        return tr(
            "rock glacier,inventory,attributes,dem,elevation,slope,aspect,length,width,radiation,temperature,zonal statistics,PrimaryID"
        ).split(",")

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:
        """Declare parameters and outputs."""
        job = AttributesJob("", "")
        self.ask_for(
            QgsProcessingParameterFeatureSource(self.INPUT, tr("Rock glacier outlines"), [Qgis.ProcessingSourceType.VectorPolygon]),
            tr("Outlines in any coordinate reference system."),
        )
        self.ask_for(
            QgsProcessingParameterRasterLayer(self.DEM, tr("Elevation model"), optional=True),
            tr(
                "Elevations in metres, on any grid. An outline of which it covers less than 90 % gets no terrain attributes. Reach 10 km "
                "beyond the outlines for the shade of the mountains around. Empty: only size, place and PrimaryID."
            ),
        )
        self.ask_for(
            QgsProcessingParameterString(self.DEM_SOURCE, tr("Name of the elevation model"), job.dem_source, optional=True),
            tr("For the field dem_source, such as Copernicus GLO-30 2021. Empty: the file's name."),
        )
        self.ask_for(
            QgsProcessingParameterString(self.SOLAR_MONTHS, tr("Months of solar radiation"), job.solar_months, optional=True),
            tr("First and last month that are summed, such as 1-12, 6-9 or 11-2. Empty: radiation is not computed."),
        )
        self.ask_for(
            QgsProcessingParameterMultipleLayers(self.RASTERS, tr("Further rasters"), Qgis.ProcessingSourceType.Raster, optional=True),
            tr(
                "The mean of each over every outline becomes a field that has the layer's name. Cells may be larger than outlines, as "
                "those of climate maps are."
            ),
        )
        self.ask_for(
            QgsProcessingParameterMatrix(
                self.RASTER_SOURCES,
                tr("Sources of the further rasters"),
                hasFixedNumberRows=False,
                headers=[tr("Field"), tr("Source"), tr("Period")],
                optional=True,
            ),
            tr("For the fields that end in _source and _period: name of the layer, product, years, such as maat, ERA5-Land, 1991-2020."),
            advanced=True,
        )
        self.ask_for(
            QgsProcessingParameterFeatureSink(self.OUTPUT, tr("Outlines with attributes"), Qgis.ProcessingSourceType.VectorPolygon),
            tr("The outlines with their fields and those named in the help page."),
        )
        self.addOutput(QgsProcessingOutputNumber(self.COUNT, tr("Number of outlines")))
        self.addOutput(QgsProcessingOutputNumber(self.WITH_TERRAIN, tr("Number of outlines that the elevation model covers")))

    def checkParameterValues(self, parameters: Parameters, context: QgsProcessingContext) -> tuple[bool, str]:
        """What can be said before the run."""
        fine, message = super().checkParameterValues(parameters, context)
        if fine:
            fine, message = self.check_maps(parameters, (self.DEM,), context)
        if not fine:
            return fine, message
        months = self.parameterAsString(parameters, self.SOLAR_MONTHS, context)
        if months and not MONTHS.fullmatch(months):
            return False, tr("SOLAR_MONTHS is “{}”. Give the first and the last month, such as 1-12 or 6-9.").format(months)
        layers = self.parameterAsLayerList(parameters, self.RASTERS, context) if parameters.get(self.RASTERS) else []
        for layer in layers:
            if why := why_unreadable(layer):
                return False, why
        fields = [_field_name(layer.name()) for layer in layers]
        for name in self._sources(parameters, context):
            if name not in fields:
                among = ", ".join(fields) or tr("none")
                return False, tr("RASTER_SOURCES tells of “{}”, but the fields of RASTERS are: {}.").format(name, among)
        return True, ""

    def prepareAlgorithm(self, parameters: Parameters, context: QgsProcessingContext, feedback: QgsProcessingFeedback) -> bool:
        """Look at the project's layers, in the main thread."""
        self._input, self._input_layer = self.layer_path(parameters, self.INPUT, context, feedback)
        if self._input is None:
            raise QgsProcessingException(self.invalidSourceError(parameters, self.INPUT))
        self._dem = self.raster_path(parameters, self.DEM, context)
        sources = self._sources(parameters, context)
        layers = self.parameterAsLayerList(parameters, self.RASTERS, context) if parameters.get(self.RASTERS) else []
        self._rasters = tuple(
            "{}={}|{}|{}".format(name, raster_path(layer), *sources.get(name, ("", "")))
            for name, layer in ((_field_name(layer.name()), layer) for layer in layers)
        )
        return True

    def processAlgorithm(self, parameters: Parameters, context: QgsProcessingContext, feedback: QgsProcessingFeedback) -> dict[str, Any]:
        """Run the job and hand its outputs over."""
        outlines = self.temporary_layer("attributes", context)
        job = AttributesJob(
            input=self._input,
            output=outlines,
            input_layer=self._input_layer,
            dem=self._dem,
            dem_source=self.parameterAsString(parameters, self.DEM_SOURCE, context),
            rasters=self._rasters,
            solar_months=self.parameterAsString(parameters, self.SOLAR_MONTHS, context),
        )
        result = self.run_in_engine(job, feedback)
        output = self.layer_to_output(outlines, parameters, self.OUTPUT, context)
        self.style(context, output, OUTLINES)
        return {self.OUTPUT: output, self.COUNT: result["count"], self.WITH_TERRAIN: result["with_terrain"] or 0}

    def _sources(self, parameters: Parameters, context: QgsProcessingContext) -> dict[str, tuple[str, str]]:
        """Source and period by field."""
        cells = [str(cell or "").strip() for cell in self.parameterAsMatrix(parameters, self.RASTER_SOURCES, context)]
        rows = [cells[start : start + 3] for start in range(0, len(cells), 3)]
        return {_field_name(row[0]): (*row[1:], "", "")[:2] for row in rows if row[0]}


def _field_name(layer_name: str) -> str:
    """A layer's name as the name of a field: letters, digits and underscores, small."""
    name = re.sub(r"\W+", "_", layer_name).strip("_").lower()
    return name if name and not name[0].isdigit() else f"raster_{name}"

"""Draw the demo's map with QGIS, as a figure of a paper: outlines over the true colour image.

Runs offscreen with the Python that imports QGIS: ``python3 demo_map.py STACK OUTLINES MAP.png --title TEXT --source TEXT``.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from pathlib import Path

from qgis.core import (
    Qgis,
    QgsApplication,
    QgsContrastEnhancement,
    QgsCoordinateReferenceSystem,
    QgsDistanceArea,
    QgsFillSymbol,
    QgsLayoutExporter,
    QgsLayoutItem,
    QgsLayoutItemLabel,
    QgsLayoutItemLegend,
    QgsLayoutItemMap,
    QgsLayoutItemMapGrid,
    QgsLayoutItemPicture,
    QgsLayoutItemScaleBar,
    QgsLayoutMeasurement,
    QgsLayoutPoint,
    QgsLayoutSize,
    QgsLegendStyle,
    QgsMapLayer,
    QgsMultiBandColorRenderer,
    QgsPrintLayout,
    QgsProject,
    QgsRasterDataProvider,
    QgsRasterLayer,
    QgsRectangle,
    QgsSimpleLineSymbolLayer,
    QgsSingleSymbolRenderer,
    QgsTextFormat,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import Qt
from qgis.PyQt.QtGui import QColor, QFont, QFontDatabase

MODEL_COLOUR, MANUAL_COLOUR, HALO_COLOUR = "#ffb000", "#8fdcff", "#14181c"
"""Orange and light blue, which all kinds of colour vision tell apart, over a near-black halo."""

MARGIN, PANEL, LONGEST_SIDE = 5.0, 56.0, 150.0
"""Millimetres on the page: around everything, the legend's column, the map's longer side."""

TITLE_HEIGHT, COORDINATES = 9.0, 7.0
"""Millimetres for the title above the map and for the coordinates left of and below it."""

ELLIPSOID = "EPSG:7030"
"""WGS 84."""

DPI = 220
FONTS = ("Open Sans", "Noto Sans", "Liberation Sans", "DejaVu Sans")


def opened(layer: QgsMapLayer, path: Path) -> QgsMapLayer:
    """The layer, when QGIS could open it."""
    if not layer.isValid():
        sys.exit(f"Error: QGIS cannot open {path}.")
    return layer


def true_colour(path: Path) -> QgsRasterLayer:
    """The stack's image; one stretch for its three bands, so that grey rock stays grey."""
    layer = opened(QgsRasterLayer(str(path), "true colour"), path)
    provider = layer.dataProvider()
    cuts = [provider.cumulativeCut(band, 0.01, 0.98, QgsRectangle(), 250_000) for band in (1, 2, 3)]
    darkest, brightest = min(low for low, _ in cuts), max(high for _, high in cuts)
    renderer = QgsMultiBandColorRenderer(provider, 1, 2, 3)
    for band, use in enumerate(
        (renderer.setRedContrastEnhancement, renderer.setGreenContrastEnhancement, renderer.setBlueContrastEnhancement), start=1
    ):
        stretch = QgsContrastEnhancement(provider.dataType(band))
        stretch.setContrastEnhancementAlgorithm(QgsContrastEnhancement.ContrastEnhancementAlgorithm.StretchToMinimumMaximum)
        stretch.setMinimumValue(darkest)
        stretch.setMaximumValue(max(brightest, darkest + 1e-6))
        use(stretch)
    layer.setRenderer(renderer)
    layer.brightnessFilter().setGamma(gamma_for_debris(provider, darkest, brightest))
    layer.setResamplingStage(Qgis.RasterResamplingStage.Provider)
    provider.enableProviderResampling(True)
    provider.setZoomedInResamplingMethod(provider.ResamplingMethod.Cubic)
    provider.setZoomedOutResamplingMethod(provider.ResamplingMethod.Average)
    return layer


def gamma_for_debris(provider: QgsRasterDataProvider, darkest: float, brightest: float) -> float:
    """The gamma that lifts the green band's median to a middle grey, so that debris can be read beside snow; 1-2."""
    median = provider.cumulativeCut(2, 0.0, 0.5, QgsRectangle(), 250_000)[1]
    share = min(max((median - darkest) / max(brightest - darkest, 1e-6), 0.01), 0.99)
    return min(max(math.log(share) / math.log(0.4), 1.0), 2.0)


def outlines(path: Path, name: str, colour: str, dashed: bool) -> QgsVectorLayer:
    """An outline layer: a coloured line over a dark halo that keeps it readable on snow and on shadow."""
    layer = opened(QgsVectorLayer(str(path), name, "ogr"), path)
    halo = QgsSimpleLineSymbolLayer(QColor(HALO_COLOUR), 1.1)
    line = QgsSimpleLineSymbolLayer(QColor(colour), 0.5)
    if dashed:
        line.setUseCustomDashPattern(True)
        line.setCustomDashVector([2.4, 1.6])
    symbol = QgsFillSymbol()
    symbol.changeSymbolLayer(0, halo)
    symbol.appendSymbolLayer(line)
    layer.setRenderer(QgsSingleSymbolRenderer(symbol))
    return layer


def total_area_km2(layer: QgsVectorLayer) -> float:
    """Area of a layer's polygons on the WGS84 ellipsoid."""
    measure = QgsDistanceArea()
    measure.setSourceCrs(layer.crs(), QgsProject.instance().transformContext())
    measure.setEllipsoid(ELLIPSOID)
    return sum(measure.measureArea(feature.geometry()) for feature in layer.getFeatures()) / 1e6


def text_format(size: float, bold: bool = False, colour: str = "#202428") -> QgsTextFormat:
    """Sans serif text of a size in points."""
    families = set(QFontDatabase().families())
    font = QFont(next((name for name in FONTS if name in families), "Sans Serif"))
    font.setBold(bold)
    text = QgsTextFormat()
    text.setFont(font)
    text.setSize(size)
    text.setSizeUnit(Qgis.RenderUnit.Points)
    text.setColor(QColor(colour))
    return text


def round_length(longest: float) -> float:
    """The largest of 1, 2, 5 times a power of ten that is not longer than a length."""
    power = 10.0 ** (len(str(int(longest))) - 1) if longest >= 1 else 0.1
    return max(step * power for step in (1, 2, 5) if step * power <= max(longest, power))


class Figure:
    """A page with a map at its left, and a column for legend, scale and notes at its right."""

    def __init__(self, extent: QgsRectangle, crs: QgsCoordinateReferenceSystem) -> None:
        ratio = extent.width() / extent.height()
        self.map_width = LONGEST_SIDE * min(1.0, ratio)
        self.map_height = LONGEST_SIDE / max(1.0, ratio)
        self.left, self.top = MARGIN + COORDINATES, MARGIN + TITLE_HEIGHT
        self.panel_left = self.left + self.map_width + MARGIN
        self.width = self.panel_left + PANEL + MARGIN
        self.height = self.top + max(self.map_height, 95.0) + COORDINATES + MARGIN
        self.bottom = self.height - MARGIN - COORDINATES
        self.extent, self.crs = extent, crs
        self.layout = QgsPrintLayout(QgsProject.instance())
        self.layout.initializeDefaults()
        self.layout.pageCollection().page(0).setPageSize(QgsLayoutSize(self.width, self.height))
        self.layout.renderContext().setDpi(DPI)

    def place(self, item: QgsLayoutItem, left: float, top: float, width: float = 0.0, height: float = 0.0) -> None:
        """Put an item on the page, millimetres from its upper left corner."""
        self.layout.addLayoutItem(item)
        item.attemptMove(QgsLayoutPoint(left, top))
        if width:
            item.attemptResize(QgsLayoutSize(width, height))

    def add_title(self, text: str) -> None:
        """What the map shows, above it."""
        self._add_text(
            text, text_format(12, bold=True), self.left, MARGIN, self.width - self.left - MARGIN, TITLE_HEIGHT, Qt.AlignmentFlag.AlignTop
        )

    def add_notes(self, text: str) -> None:
        """Image, coordinates and sources, at the foot of the column."""
        top = self.top + 60
        self._add_text(
            text, text_format(6.5, colour="#50565c"), self.panel_left, top, PANEL, self.bottom - top, Qt.AlignmentFlag.AlignBottom
        )

    def _add_text(
        self, text: str, text_format: QgsTextFormat, left: float, top: float, width: float, height: float, side: Qt.AlignmentFlag
    ) -> None:
        label = QgsLayoutItemLabel(self.layout)
        label.setText(text)
        label.setTextFormat(text_format)
        label.setVAlign(side)
        label.setMarginX(0)
        label.setMarginY(0)
        self.place(label, left, top, width, height)

    def add_map(self, layers: list[QgsMapLayer]) -> QgsLayoutItemMap:
        """The map in a thin frame, with coordinates along its left and lower sides."""
        item = QgsLayoutItemMap(self.layout)
        self.place(item, self.left, self.top, self.map_width, self.map_height)
        item.setLayers(layers)
        item.setCrs(self.crs)
        item.setExtent(self.extent)
        item.setFrameEnabled(True)
        item.setFrameStrokeWidth(QgsLayoutMeasurement(0.25))
        item.setBackgroundColor(QColor("#d9dcdf"))
        self._add_coordinates(item)
        return item

    def _add_coordinates(self, item: QgsLayoutItemMap) -> None:
        grid = QgsLayoutItemMapGrid("coordinates", item)
        interval = round_length(max(self.extent.width(), self.extent.height()) / 3)
        grid.setIntervalX(interval)
        grid.setIntervalY(interval)
        grid.setStyle(QgsLayoutItemMapGrid.GridStyle.FrameAnnotationsOnly)
        grid.setFrameStyle(QgsLayoutItemMapGrid.FrameStyle.ExteriorTicks)
        grid.setFrameWidth(1.2)
        grid.setFramePenSize(0.25)
        grid.setAnnotationEnabled(True)
        grid.setAnnotationFormat(QgsLayoutItemMapGrid.AnnotationFormat.CustomFormat)
        grid.setAnnotationExpression("to_string(round(@grid_number / 1000.0, 1)) || if(@grid_axis = 'x', ' E', ' N')")
        grid.setAnnotationTextFormat(text_format(6, colour="#50565c"))
        grid.setAnnotationFrameDistance(0.6)
        sides = QgsLayoutItemMapGrid.BorderSide
        for side in (sides.Right, sides.Top):
            grid.setAnnotationDisplay(QgsLayoutItemMapGrid.DisplayMode.HideAll, side)
        grid.setAnnotationDirection(QgsLayoutItemMapGrid.AnnotationDirection.Vertical, sides.Left)
        grid.setFrameSideFlags(QgsLayoutItemMapGrid.FrameSideFlag.FrameLeft | QgsLayoutItemMapGrid.FrameSideFlag.FrameBottom)
        item.grids().addGrid(grid)

    def add_legend(self, item: QgsLayoutItemMap, layers: list[QgsMapLayer]) -> None:
        """The outline layers and what their lines mean."""
        legend = QgsLayoutItemLegend(self.layout)
        legend.setAutoUpdateModel(False)
        legend.setLinkedMap(item)
        root = legend.model().rootGroup()
        root.clear()
        for layer in layers:
            root.addLayer(layer)
        for part in (QgsLegendStyle.Style.SymbolLabel, QgsLegendStyle.Style.Subgroup):
            style = legend.style(part)
            style.setTextFormat(text_format(7.5))
            legend.setStyle(part, style)
        legend.setSymbolWidth(9)
        legend.setSymbolHeight(4.5)
        legend.setBoxSpace(0)
        legend.setWrapString("\n")
        self.place(legend, self.panel_left, self.top)
        legend.adjustBoxSize()

    def add_scale(self, item: QgsLayoutItemMap, top: float) -> None:
        """A scale bar in metres or kilometres, and an arrow to true north."""
        metres = round_length(self.extent.width() / self.map_width * (PANEL - 24))
        bar = QgsLayoutItemScaleBar(self.layout)
        bar.setStyle("Single Box")
        bar.setLinkedMap(item)
        in_km = metres >= 1000
        bar.setUnits(Qgis.DistanceUnit.Kilometers if in_km else Qgis.DistanceUnit.Meters)
        bar.setUnitLabel("km" if in_km else "m")
        bar.setNumberOfSegmentsLeft(0)
        bar.setNumberOfSegments(2)
        bar.setUnitsPerSegment(metres / (2000 if in_km else 2))
        bar.setHeight(1.6)
        bar.setTextFormat(text_format(7))
        bar.setBoxContentSpace(0.5)
        self.place(bar, self.panel_left + 12, top + 3)
        arrow = QgsLayoutItemPicture(self.layout)
        arrow.setPicturePath(next((str(path) for path in _north_arrows()), ""))
        arrow.setLinkedMap(item)
        arrow.setNorthMode(QgsLayoutItemPicture.NorthMode.TrueNorth)
        self.place(arrow, self.panel_left, top, 9, 12)

    def export(self, path: Path) -> None:
        """Write the page as PNG."""
        page = QgsLayoutExporter(self.layout).renderPageToImage(0, dpi=DPI)
        if not page.save(str(path), "PNG"):
            sys.exit(f"Error: the map could not be written to {path}.")


def _north_arrows() -> list[Path]:
    return [path for folder in QgsApplication.svgPaths() for path in sorted(Path(folder, "arrows").glob("NorthArrow_02.svg"))]


def draw(options: argparse.Namespace) -> None:
    """Draw the map and write it."""
    image = true_colour(options.stack)
    found = outlines(options.outlines, "", MODEL_COLOUR, dashed=False)
    found.setName(f"Rock glacier outlines found:\n{found.featureCount()} objects, {total_area_km2(found):.3f} km²")
    lines = [found]
    if options.manual:
        manual = outlines(options.manual, "", MANUAL_COLOUR, dashed=True)
        manual.setName(f"{options.manual_name}:\n{manual.featureCount()} objects, {total_area_km2(manual):.3f} km²")
        lines.append(manual)
    project, crs = QgsProject.instance(), image.crs()
    project.setCrs(crs)
    project.setEllipsoid(ELLIPSOID)
    project.addMapLayers([image, *lines])
    figure = Figure(image.extent(), crs)
    item = figure.add_map([*lines, image])
    figure.add_title(options.title)
    figure.add_legend(item, lines)
    figure.add_scale(item, figure.top + 6 + 7.5 * len(lines))
    figure.add_notes(
        f"{options.source}\n\n"
        f"Image: true colour, surface reflectance, one stretch for red, green and blue; pixels of {image.rasterUnitsPerPixelX():g} m.\n\n"
        f"Coordinates in km: {crs.description()} ({crs.authid()}). Areas on the WGS 84 ellipsoid."
    )
    figure.export(options.map)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Draw outlines over a stack's true colour image.")
    parser.add_argument("stack", type=Path)
    parser.add_argument("outlines", type=Path)
    parser.add_argument("map", type=Path, help="PNG to write")
    parser.add_argument("--title", required=True)
    parser.add_argument("--source", required=True, help="where image and outlines come from")
    parser.add_argument("--manual", type=Path, help="outlines to compare with, drawn dashed")
    parser.add_argument("--manual-name", default="Manual outlines")
    options = parser.parse_args()
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    application = QgsApplication([], True)
    application.initQgis()
    try:
        draw(options)
    finally:
        QgsProject.instance().clear()
        application.exitQgis()


if __name__ == "__main__":
    main()

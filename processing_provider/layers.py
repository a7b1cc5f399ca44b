"""Between QGIS layers and the files that the engine reads and writes."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import ClassVar, Protocol

from qgis.core import (
    QgsContrastEnhancement,
    QgsMapLayer,
    QgsMultiBandColorRenderer,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingLayerPostProcessorInterface,
    QgsRasterLayer,
)
from qgis.PyQt import sip

from .translation import tr

STYLES = Path(__file__).resolve().parent.parent / "resources" / "styles"
STRETCH_SHARES = (0.01, 0.97)
STRETCH_SAMPLE = 250_000
"""Shares of the pixels that the true colour stretch leaves darker and not brighter, and how many pixels it looks at."""


def why_unreadable(layer: QgsRasterLayer) -> str:
    """Why the engine cannot read a raster layer, in words; empty when GDAL reads it."""
    if layer.providerType() == "gdal":
        return ""
    return tr("{} is a layer of the type {}, which only QGIS can read. Export it to a GeoTIFF first (Export > Save As…, raw data).").format(
        layer.name(), layer.providerType()
    )


def raster_path(layer: QgsRasterLayer) -> str:
    """What the engine opens a raster layer by: a file, a subdataset or an online raster, as GDAL names it."""
    return re.split(r"\|(?:option|authcfg|credential):", layer.source())[0]


class Style(Protocol):
    """How a loaded output looks."""

    def apply(self, layer: QgsMapLayer) -> None:
        """Give it to a layer."""


class NamedStyle:
    """One of the styles in resources/styles."""

    def __init__(self, name: str) -> None:
        self._path = STYLES / f"{name}.qml"

    def apply(self, layer: QgsMapLayer) -> None:
        """Give it to a layer."""
        layer.loadNamedStyle(str(self._path))
        layer.triggerRepaint()


class TrueColour:
    """A spectral stack in true colour, with one stretch for the three bands so that grey debris stays grey."""

    def apply(self, layer: QgsMapLayer) -> None:
        """Give it to a layer."""
        if not isinstance(layer, QgsRasterLayer) or layer.bandCount() < 3:
            return
        provider = layer.dataProvider()
        cuts = [provider.cumulativeCut(band, *STRETCH_SHARES, provider.extent(), STRETCH_SAMPLE) for band in (1, 2, 3)]
        darkest, brightest = min(cut[0] for cut in cuts), max(cut[1] for cut in cuts)
        if not (math.isfinite(darkest) and math.isfinite(brightest) and darkest < brightest):
            darkest, brightest = 0.0, 0.5
        renderer = QgsMultiBandColorRenderer(provider, 1, 2, 3)
        for set_enhancement in (
            renderer.setRedContrastEnhancement,
            renderer.setGreenContrastEnhancement,
            renderer.setBlueContrastEnhancement,
        ):
            enhancement = QgsContrastEnhancement(provider.dataType(1))
            enhancement.setContrastEnhancementAlgorithm(QgsContrastEnhancement.ContrastEnhancementAlgorithm.StretchToMinimumMaximum)
            enhancement.setMinimumValue(darkest)
            enhancement.setMaximumValue(brightest)
            set_enhancement(enhancement)
        layer.setRenderer(renderer)
        layer.triggerRepaint()


class StyleOnLoading(QgsProcessingLayerPostProcessorInterface):
    """Gives a style to an output when QGIS has loaded it.

    One for each output of each run: QGIS calls it long after the algorithm is gone, and deletes it with the context of the run.
    """

    _waiting: ClassVar[list[StyleOnLoading]] = []
    """QGIS keeps only a pointer; what is not held here would be called no more."""

    def __init__(self, style: Style) -> None:
        super().__init__()
        self.style = style
        sip.transferto(self, None)  # QGIS deletes it, Python does not
        self._waiting[:] = [*(other for other in self._waiting if not sip.isdeleted(other)), self]

    def postProcessLayer(self, layer: QgsMapLayer, context: QgsProcessingContext, feedback: QgsProcessingFeedback) -> None:
        """Called by QGIS in the main thread."""
        self.style.apply(layer)


TRUE_COLOUR = TrueColour()
PROBABILITY = NamedStyle("probability")
TILE_POLYGONS = NamedStyle("tile_polygons")
OUTLINES = NamedStyle("outlines")
RESTRICTED_FOOTPRINTS = NamedStyle("restricted_footprints")
REFERENCE_OUTLINES = NamedStyle("reference_outlines")
CORRESPONDENCES = NamedStyle("correspondences")
AGREEMENT = NamedStyle("agreement")
CHANGES = NamedStyle("changes")
DISAGREEMENTS = NamedStyle("disagreements")
CUTS = NamedStyle("cuts")
SAMPLE = NamedStyle("sample")
TRAINING_SAMPLES = NamedStyle("samples")
FALL_LINES = NamedStyle("fall_lines")

LOADED_IN_ORDER = (
    TRUE_COLOUR,
    PROBABILITY,
    AGREEMENT,
    TILE_POLYGONS,
    OUTLINES,
    RESTRICTED_FOOTPRINTS,
    CORRESPONDENCES,
    CHANGES,
    DISAGREEMENTS,
    CUTS,
    FALL_LINES,
    SAMPLE,
    TRAINING_SAMPLES,
)
"""From the bottom of the map to its top."""

"""A second map beside the main one: the same place in other bands, as relief, as probability, or on another date."""

from __future__ import annotations

import functools
import math
from typing import Any, Callable

from osgeo import gdal
from qgis.core import (
    Qgis,
    QgsContrastEnhancement,
    QgsHillshadeRenderer,
    QgsMapLayer,
    QgsMultiBandColorRenderer,
    QgsPointXY,
    QgsProject,
    QgsRasterDataProvider,
    QgsRasterLayer,
    QgsSettings,
)
from qgis.gui import QgsDockWidget, QgsMapCanvas, QgsMapToolPan, QgsRubberBand, QgsVertexMarker
from qgis.PyQt import sip
from qgis.PyQt.QtCore import QEvent, QObject, QSize, Qt, QTimer
from qgis.PyQt.QtGui import QColor
from qgis.PyQt.QtWidgets import QComboBox, QDockWidget, QMainWindow, QVBoxLayout, QWidget

from ...processing_provider.layers import PROBABILITY, STRETCH_SAMPLE
from ...processing_provider.translation import tr
from .inputs import band_names
from .map_view import boundary_symbol
from .session import Review
from .tool_looks import crosshair

CHOICE_SETTING = "rock_glacier_mapper/review/second_view"
STRETCH = (0.02, 0.98)
"""Shares of the pixels of a band that are shown black and not yet white."""
METRES_IN_A_DEGREE = 111_320.0
SLOPE_EXAGGERATION = 2.0
"""Grey is the cosine of the slope: exaggerated, 10 and 30 degrees are told apart."""

Renderer = Callable[[QgsRasterLayer], None]


class SecondView(QgsDockWidget):
    """A map that moves with the main one, both ways, and shows where the cursor is on the other.

    What the person moves leads: the second map then shows all of the main one's extent; the main one takes the second one's centre and
    zooms by the same factor, so that panels of different shapes never drift. Layers of the session are shown as clones of their own;
    their styles in the project stay as they are.
    """

    def __init__(self, review: Review, main: QgsMapCanvas, parent: QWidget | None = None) -> None:
        super().__init__(tr("Second view of the review"), parent)
        self.setObjectName("RockGlacierReviewSecondView")  # by which QGIS remembers where it was
        self._review, self._main = review, main
        self._outlines = (review.outlines, review.reference)
        self._project = review.outlines.project() or QgsProject.instance()
        self._syncing = self._is_released = False
        self._scale, self._size = 0.0, QSize()
        self._base: QgsMapLayer | None = None
        self._beside: list[tuple[QDockWidget, int]] = []
        self._build()
        self._fill_choices()
        main.extentsChanged.connect(self._follow_main)
        main.rotationChanged.connect(self._follow_main)
        main.destinationCrsChanged.connect(self._take_crs)
        main.xyCoordinates.connect(self._mark_here)
        self.canvas.extentsChanged.connect(self._lead_main)
        self.canvas.xyCoordinates.connect(self._mark_there)
        review.current_changed.connect(self._draw_current)
        review.changed.connect(self._redraw_current)
        review.closed.connect(self.release)
        self._project.layersAdded.connect(self._fill_choices)
        self._project.layersRemoved.connect(self._fill_choices)
        self._project.mapThemeCollection().mapThemesChanged.connect(self._fill_choices)
        self._project.layersWillBeRemoved.connect(self._let_go)
        self.visibilityChanged.connect(self._wake)
        self._take_crs()

    def show_in(self, window: QMainWindow) -> None:
        """Dock it where it was last; at first right beside the main map, two thirds as wide as what it leaves of that."""
        left, right = Qt.DockWidgetArea.LeftDockWidgetArea, Qt.DockWidgetArea.RightDockWidgetArea
        docked = [dock for dock in window.findChildren(QDockWidget) if dock.isVisible() and not dock.isFloating() and dock is not self]
        self._beside = [(dock, dock.width()) for dock in docked if window.dockWidgetArea(dock) in (left, right)]
        is_new = not window.restoreDockWidget(self)
        if is_new:
            window.addDockWidget(right, self, Qt.Orientation.Horizontal)
            others = [dock for dock, _ in self._beside if window.dockWidgetArea(dock) == right]
            if len(others) == 1 and not window.tabifiedDockWidgets(others[0]):
                window.splitDockWidget(self, others[0], Qt.Orientation.Horizontal)
        self.show()
        if is_new:
            QTimer.singleShot(0, self._take_room)  # the window knows its sizes then

    def choices(self) -> list[str]:
        """Keys of what can be shown: ``imagery``, ``infrared``, ``hillshade``, ``slope``, ``probability``, ``layer:ID``, ``theme:NAME``."""
        return [str(self._box.itemData(index)) for index in range(self._box.count())]

    def choose(self, key: str) -> None:
        """Show one of :meth:`choices`; it is remembered."""
        index = self._box.findData(key)
        if index >= 0:
            self._box.setCurrentIndex(index)

    @property
    def chosen(self) -> str:
        """What is shown."""
        return str(self._box.currentData() or "")

    def release(self) -> None:
        """Take everything away and delete the dock."""
        if self._is_released:
            return
        self._is_released = True
        for signal, slot in (
            (self._review.current_changed, self._draw_current),
            (self._review.changed, self._redraw_current),
            (self._review.closed, self.release),
            (self._project.layersAdded, self._fill_choices),
            (self._project.layersRemoved, self._fill_choices),
            (self._project.layersWillBeRemoved, self._let_go),
            (self._project.mapThemeCollection().mapThemesChanged, self._fill_choices),
            (self.visibilityChanged, self._wake),
        ):
            signal.disconnect(slot)
        if not sip.isdeleted(self._main):
            self._main.extentsChanged.disconnect(self._follow_main)
            self._main.rotationChanged.disconnect(self._follow_main)
            self._main.destinationCrsChanged.disconnect(self._take_crs)
            self._main.xyCoordinates.disconnect(self._mark_here)
            self._main.viewport().removeEventFilter(self)
            self._main.scene().removeItem(self._there)
        self.canvas.viewport().removeEventFilter(self)
        self.canvas.stopRendering()
        self.canvas.setTheme("")
        self.canvas.setLayers([])
        self._base = None
        window = self.parent()
        if isinstance(window, QMainWindow):
            window.removeDockWidget(self)
        self.hide()
        self.deleteLater()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """The cursor that left one map is not shown on the other any more."""
        if event.type() == QEvent.Type.Leave:
            self._here.hide()
            self._there.hide()
        return False

    def _build(self) -> None:
        self._box = QComboBox()
        self._box.setToolTip(tr("What the second view shows"))
        self._box.setAccessibleName(self._box.toolTip())
        self._box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self._box.currentIndexChanged.connect(self._show_choice)
        self.canvas = QgsMapCanvas()
        self.canvas.setProject(self._project)
        self.canvas.setCanvasColor(self._main.canvasColor())
        self.canvas.enableAntiAliasing(self._main.antiAliasingEnabled())
        self.canvas.setCachingEnabled(True)
        self.canvas.setParallelRenderingEnabled(True)
        self.canvas.setMinimumSize(12 * self.fontMetrics().height(), 8 * self.fontMetrics().height())
        self._pan = QgsMapToolPan(self.canvas)
        self.canvas.setMapTool(self._pan)
        self._current = QgsRubberBand(self.canvas, Qgis.GeometryType.Polygon)
        self._current.setSymbol(boundary_symbol())
        self._here, self._there = crosshair(self.canvas), crosshair(self._main)
        self.canvas.viewport().installEventFilter(self)
        self._main.viewport().installEventFilter(self)
        content = QWidget()
        layout = QVBoxLayout(content)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._box)
        layout.addWidget(self.canvas, 1)
        self.setWidget(content)
        self.setFocusProxy(self._box)

    def _take_room(self) -> None:
        window = self.parent()
        if isinstance(window, QMainWindow) and not self._is_released:
            docks, widths = [dock for dock, _ in self._beside], [width for _, width in self._beside]
            together = self._main.width() + self.width() + sum(dock.width() - width for dock, width in self._beside)
            window.resizeDocks([*docks, self], [*widths, 2 * together // 5], Qt.Orientation.Horizontal)
        self._beside = []

    def _fill_choices(self, *_: Any) -> None:
        wanted = self.chosen or QgsSettings().value(CHOICE_SETTING, "", type=str)
        self._box.blockSignals(True)
        self._box.clear()
        for key, text in self._own_choices():
            self._box.addItem(text, key)
        own = {layer.id() for layer in (self._review.imagery, self._review.dem, self._review.probability) if alive(layer)}
        rasters = [layer for layer in self._project.mapLayers().values() if isinstance(layer, QgsRasterLayer) and layer.id() not in own]
        themes = self._project.mapThemeCollection().mapThemes()
        further = [(f"layer:{layer.id()}", layer.name()) for layer in sorted(rasters, key=lambda layer: layer.name().lower())]
        further += [(f"theme:{name}", tr("Map theme {}").format(name)) for name in themes]
        if further and self._box.count():
            self._box.insertSeparator(self._box.count())
        for key, text in further:
            self._box.addItem(text, key)
        if not self._box.count():
            self._box.addItem(tr("No imagery, elevation model or other raster"), "")
        self._box.setCurrentIndex(max(self._box.findData(wanted), 0))
        self._box.blockSignals(False)
        self._show_choice()

    def _own_choices(self) -> list[tuple[str, str]]:
        """Key and text of what the session's own rasters can show, the most telling first."""
        choices = []
        if alive(self._review.imagery):
            bands = infrared_bands(self._review.imagery)
            if bands is not None:
                choices.append(("infrared", tr("Imagery: {}").format(band_words(self._review.imagery, bands))))
        if alive(self._review.dem):
            choices += [("hillshade", tr("Hillshade")), ("slope", tr("Slope, the steeper the darker"))]
        if alive(self._review.probability):
            choices.append(("probability", tr("Probability")))
        if alive(self._review.imagery):
            choices.append(("imagery", tr("Imagery as on the main map")))
        return choices

    def _show_choice(self, *_: Any) -> None:
        kind, _colon, name = self.chosen.partition(":")
        if self.chosen:
            QgsSettings().setValue(CHOICE_SETTING, self.chosen)
        base: QgsMapLayer | None = None
        if kind == "infrared":
            base = styled_clone(self._review.imagery, show_infrared)
        elif kind == "hillshade":
            base = styled_clone(self._review.dem, show_hillshade)
        elif kind == "slope":
            base = styled_clone(self._review.dem, show_slope)
        elif kind == "probability":
            base = styled_clone(self._review.probability, PROBABILITY.apply)
        elif kind == "imagery":
            base = self._review.imagery
        elif kind == "layer":
            base = self._project.mapLayer(name)
        self.canvas.setTheme(name if kind == "theme" else "")
        if kind != "theme":
            outlines = [layer for layer in self._outlines if alive(layer)]
            self.canvas.setLayers([*outlines, *([base] if base is not None else [])])
        self._base = base  # what the canvas shows is not owned by it
        self.canvas.refresh()

    def _let_go(self, ids: list[str]) -> None:
        self.canvas.setLayers([layer for layer in self.canvas.layers() if layer.id() not in ids])
        if alive(self._base) and self._base.id() in ids:
            self._base = None

    def _take_crs(self) -> None:
        self._syncing = True
        self.canvas.setDestinationCrs(self._main.mapSettings().destinationCrs())
        self._syncing = False
        self._follow_main()
        self._draw_current(self._review.current)

    def _wake(self, visible: bool) -> None:
        self.canvas.freeze(not visible)
        self._here.hide()
        self._there.hide()
        if visible:
            self._follow_main()

    def _follow_main(self, *_: Any) -> None:
        if self._syncing or not self.isVisible():
            return
        self._syncing = True
        self.canvas.setRotation(self._main.rotation())
        self.canvas.setExtent(self._main.extent())
        self.canvas.refresh()
        self._scale, self._size = self.canvas.scale(), self.canvas.mapSettings().outputSize()
        self._syncing = False

    def _lead_main(self) -> None:
        if self._syncing or not self.isVisible() or not self._scale > 0:
            return
        if self.canvas.mapSettings().outputSize() != self._size:  # the panel got another size, the person moved nothing
            self._follow_main()
            return
        self._syncing = True
        factor = self.canvas.scale() / self._scale
        self._scale = self.canvas.scale()
        self._main.setCenter(self.canvas.center())
        if not math.isclose(factor, 1.0, rel_tol=1e-6) and not self._main.scaleLocked():
            self._main.zoomScale(self._main.scale() * factor)
        self._main.refresh()
        self._syncing = False

    def _mark_here(self, place: QgsPointXY) -> None:
        self._mark(self._here, self._there, place)

    def _mark_there(self, place: QgsPointXY) -> None:
        self._mark(self._there, self._here, place)

    def _mark(self, marker: QgsVertexMarker, other: QgsVertexMarker, place: QgsPointXY) -> None:
        if self.isVisible():
            other.hide()
            marker.setCenter(place)
            marker.show()

    def _redraw_current(self, uids: list[str]) -> None:
        if self._review.current in uids:
            self._draw_current(self._review.current)

    def _draw_current(self, uid: str) -> None:
        self._current.reset(Qgis.GeometryType.Polygon)
        if uid:
            outline = self._review.outline(uid)
            if not outline.isEmpty():
                self._current.addGeometry(outline, self._review.crs)


def alive(layer: QgsMapLayer | None) -> bool:
    """Whether a layer is there and was not removed from the project."""
    return layer is not None and not sip.isdeleted(layer)


def styled_clone(layer: QgsRasterLayer, style: Renderer) -> QgsRasterLayer:
    """The layer once more, outside the project, in a style of its own."""
    clone = layer.clone()
    style(clone)
    return clone


def bands_by_name(layer: QgsRasterLayer) -> dict[str, int]:
    """Band names in lower case -> numbers."""
    return {name.lower(): band for band, name in enumerate(band_names(layer), start=1) if name}


def infrared_bands(layer: QgsRasterLayer) -> tuple[int, int, int] | None:
    """Bands shown as red, green, blue: nir, evi, savi of a spectral stack; else nir, red, green; of four unnamed bands the fourth is nir.

    None where there is no near-infrared band.
    """
    named = bands_by_name(layer)
    for names in (("nir", "evi", "savi"), ("nir", "red", "green")):
        if all(name in named for name in names):
            return named[names[0]], named[names[1]], named[names[2]]
    return (4, 1, 2) if layer.bandCount() == 4 else None


def band_words(layer: QgsRasterLayer, bands: tuple[int, int, int]) -> str:
    """NIR-EVI-SAVI, or what else three bands are called."""
    names = {band: name for name, band in bands_by_name(layer).items()}
    words = [names.get(band, "") for band in bands]
    if set(words) <= {"nir", "evi", "savi", "red", "green"}:
        return "-".join(word.upper() if word in ("nir", "evi", "savi") else word for word in words)
    return tr("infrared, bands {}, {}, {}").format(*bands)


def show_infrared(layer: QgsRasterLayer) -> None:
    """Three bands as red, green and blue, each with a stretch of its own."""
    bands = infrared_bands(layer)
    if bands is None:
        return
    provider = layer.dataProvider()
    renderer = QgsMultiBandColorRenderer(provider, *bands)
    setters = (renderer.setRedContrastEnhancement, renderer.setGreenContrastEnhancement, renderer.setBlueContrastEnhancement)
    for band, set_enhancement in zip(bands, setters):
        darkest, brightest = provider.cumulativeCut(band, *STRETCH, provider.extent(), STRETCH_SAMPLE)
        enhancement = QgsContrastEnhancement(provider.dataType(band))
        enhancement.setContrastEnhancementAlgorithm(QgsContrastEnhancement.ContrastEnhancementAlgorithm.StretchToMinimumMaximum)
        enhancement.setMinimumValue(darkest)
        enhancement.setMaximumValue(brightest)
        set_enhancement(enhancement)
    layer.setRenderer(renderer)


def show_hillshade(layer: QgsRasterLayer) -> None:
    """Light from several sides, 45 degrees high."""
    smooth(layer)
    renderer = QgsHillshadeRenderer(layer.dataProvider(), 1, 315, 45)
    renderer.setMultiDirectional(True)
    renderer.setZFactor(metres_per_unit(layer))
    layer.setRenderer(renderer)


def smooth(layer: QgsRasterLayer) -> None:
    """Interpolate elevation between cells before it is shaded: its steps would be shaded else."""
    layer.setResamplingStage(Qgis.RasterResamplingStage.Provider)
    provider = layer.dataProvider()
    provider.enableProviderResampling(True)
    provider.setZoomedInResamplingMethod(QgsRasterDataProvider.ResamplingMethod.Cubic)
    provider.setZoomedOutResamplingMethod(QgsRasterDataProvider.ResamplingMethod.Bilinear)
    provider.setMaxOversampling(2.0)


def show_slope(layer: QgsRasterLayer) -> None:
    """Light from the zenith: grey is the cosine of the (exaggerated) slope, whatever its direction."""
    smooth(layer)
    renderer = QgsHillshadeRenderer(layer.dataProvider(), 1, 0, zenith())
    renderer.setZFactor(SLOPE_EXAGGERATION * metres_per_unit(layer))
    layer.setRenderer(renderer)


@functools.cache
def zenith() -> float:
    """The light angle with which the hillshade of QGIS lights flat ground fully.

    90 degrees by its documentation; but QGIS (3.40) measures it from the zenith, so it is found out on a flat raster.
    """
    path = "/vsimem/rock_glacier_mapper_flat.tif"
    raster = gdal.GetDriverByName("GTiff").Create(path, 8, 8, 1, gdal.GDT_Byte)
    raster.SetGeoTransform((0.0, 1.0, 0.0, 8.0, 0.0, -1.0))
    del raster  # now it is written
    flat = QgsRasterLayer(path, "", "gdal")
    renderer = QgsHillshadeRenderer(flat.dataProvider(), 1, 0, 90)
    brightness = renderer.block(1, flat.extent(), 8, 8).color(4, 4)
    del renderer, flat
    gdal.Unlink(path)
    return 90.0 if QColor(brightness).red() > 127 else 0.0


def metres_per_unit(layer: QgsRasterLayer) -> float:
    """What elevation in metres is multiplied with on a grid in degrees, so that slopes are right; 1 on other grids."""
    if not layer.crs().isGeographic():
        return 1.0
    return 1.0 / (METRES_IN_A_DEGREE * math.sqrt(max(math.cos(math.radians(layer.extent().center().y())), 0.01)))

"""The main map in a review: it flies to the current outline and shows where the outline and its counterpart agree."""

from __future__ import annotations

from qgis.core import (
    Qgis,
    QgsCoordinateTransform,
    QgsCsException,
    QgsFillSymbol,
    QgsGeometry,
    QgsLinePatternFillSymbolLayer,
    QgsLineSymbol,
    QgsMapSettings,
    QgsRectangle,
    QgsSettings,
    QgsSimpleLineSymbolLayer,
    QgsSymbolLayerUtils,
)
from qgis.gui import QgsMapCanvas, QgsMapTool, QgsRubberBand
from qgis.PyQt import sip
from qgis.PyQt.QtCore import QObject, QSize, Qt, pyqtSignal
from qgis.PyQt.QtWidgets import QActionGroup, QGridLayout, QHBoxLayout, QLabel, QMenu, QSizePolicy, QToolButton, QWidget

from ...processing_provider.translation import tr
from .session import Review
from .shapes import valid

MODES = ("zoom", "pan", "stay")
MODE_SETTING = "rock_glacier_mapper/review/map_mode"
COMPARISONS = ("reference", "predicted")
SURROUNDINGS = 1.6
"""The map shows the outline and its counterparts, and this much as many metres in each direction: what they lie in has to be seen."""
LARGEST_SCALE = 7500.0
"""Scale denominator: small outlines are not flown to more closely than this."""
STEPPED_BACK = 0.35
"""Opacity of the fills while the boundary is edited, 0-1."""

COMMON, OURS, THEIRS = "common", "ours", "theirs"
DARK = "26,26,26,150"
FILLS = {COMMON: ("64,224,170", 0.0), OURS: ("230,159,0", 45.0), THEIRS: ("86,180,233", -45.0)}
"""Colour (Okabe and Ito; green lighter, as of accepted outlines) and direction of the hatch in degrees. Each line has a dark casing:
legible on snow and in shadow; they are far enough apart for the imagery below to be judged."""


class MapView(QObject):
    """Flies the map to each current outline, and draws common area, only this outline and only its counterpart on it.

    The counterpart is the manual outlines that the outline corresponds to, or the outlines as they were predicted. Where the current
    outline is itself a manual one, what was predicted there is compared with it.
    """

    redrawn = pyqtSignal()

    def __init__(self, review: Review, canvas: QgsMapCanvas) -> None:
        super().__init__()
        self._review, self._canvas = review, canvas
        self._comparison, self._has_manual = COMPARISONS[0], review.reference.featureCount() > 0
        mode = QgsSettings().value(MODE_SETTING, MODES[0], type=str)
        self._mode = mode if mode in MODES else MODES[0]
        self._shows_fills, self._is_released = True, False
        self._bands = {part: self._band(hatch(part)) for part in (COMMON, OURS, THEIRS)}
        self._boundary = self._band(boundary_symbol())
        review.current_changed.connect(self._go)
        review.changed.connect(self._follow)
        review.closed.connect(self.release)
        canvas.destinationCrsChanged.connect(self.redraw)
        canvas.mapToolSet.connect(self._adapt_to_tool)
        self._adapt_to_tool(canvas.mapTool())
        if review.current:
            self._go(review.current)

    @property
    def mode(self) -> str:
        """What the map does at each outline: ``zoom`` to a fitting scale, ``pan``, or ``stay``."""
        return self._mode

    def set_mode(self, mode: str) -> None:
        """Choose one of :data:`MODES`; it is remembered."""
        self._mode = mode
        QgsSettings().setValue(MODE_SETTING, mode)

    @property
    def comparison(self) -> str:
        """What outlines are compared with: ``reference`` (manual) or ``predicted``, always that where there is no manual layer."""
        return self._comparison if self._has_manual else "predicted"

    def set_comparison(self, comparison: str) -> None:
        """Choose one of :data:`COMPARISONS`."""
        self._comparison = comparison
        self.redraw()

    @property
    def shows_fills(self) -> bool:
        """Whether the three areas are drawn."""
        return self._shows_fills

    def set_shows_fills(self, shown: bool) -> None:
        """Draw the three areas, or the boundary alone."""
        self._shows_fills = shown
        self._adapt_to_tool(self._canvas.mapTool())

    def names(self) -> dict[str, str]:
        """What the three areas are of the current outline, for the legend."""
        feature = self._review.feature(self._review.current) if self._review.current else None
        is_manual = feature is not None and feature["source"] == "manual"
        if self.comparison == "predicted" and not is_manual:
            return {COMMON: tr("as predicted"), OURS: tr("only now"), THEIRS: tr("only predicted")}
        ours = tr("only predicted") if is_manual else tr("only outline")
        return {COMMON: tr("in common"), OURS: ours, THEIRS: tr("only manual")}

    def show_current(self) -> None:
        """Fly to the current outline as :attr:`mode` says, from ``stay`` too."""
        uid = self._review.current
        if uid:
            self._fly(uid, self._mode if self._mode != "stay" else "zoom")

    def redraw(self) -> None:
        """Draw the areas of the current outline."""
        for band in (*self._bands.values(), self._boundary):
            band.reset(Qgis.GeometryType.Polygon)
        uid = self._review.current
        outline = self._review.outline(uid) if uid else QgsGeometry()
        if not outline.isEmpty():
            for part, area in self._areas(uid, outline).items():
                self._draw(self._bands[part], area)
            self._draw(self._boundary, outline)
        self._adapt_to_tool(self._canvas.mapTool())  # a band that is drawn anew is shown, whatever it was
        self.redrawn.emit()

    def release(self) -> None:
        """Take everything away."""
        if self._is_released:
            return
        self._is_released = True
        self._review.closed.disconnect(self.release)
        self._review.current_changed.disconnect(self._go)
        self._review.changed.disconnect(self._follow)
        if sip.isdeleted(self._canvas):
            return
        self._canvas.destinationCrsChanged.disconnect(self.redraw)
        self._canvas.mapToolSet.disconnect(self._adapt_to_tool)
        for band in (*self._bands.values(), self._boundary):
            self._canvas.scene().removeItem(band)

    def _go(self, uid: str) -> None:
        self.redraw()
        if uid and self._mode != "stay":
            self._fly(uid, self._mode)

    def _follow(self, uids: list[str]) -> None:
        if self._review.current in uids:
            self.redraw()

    def _areas(self, uid: str, outline: QgsGeometry) -> dict[str, QgsGeometry]:
        """The three areas; none where the outline has no counterpart that it could be compared with."""
        feature = self._review.feature(uid)
        if feature is not None and feature["source"] == "manual":
            ours, theirs = self._review.predicted_ground(uid), outline
        else:
            ground = self._review.predicted_ground if self.comparison == "predicted" else self._review.reference_ground
            ours, theirs = outline, ground(uid)
        ours, theirs = valid(ours), valid(theirs)
        if ours.isEmpty() or theirs.isEmpty():
            return {OURS: ours, THEIRS: theirs}
        return {COMMON: ours.intersection(theirs), OURS: ours.difference(theirs), THEIRS: theirs.difference(ours)}

    def _draw(self, band: QgsRubberBand, geometry: QgsGeometry) -> None:
        area = QgsGeometry(geometry)
        if area.isEmpty() or (area.wkbType() == Qgis.WkbType.GeometryCollection and not polygons_only(area)):
            return
        if area.type() == Qgis.GeometryType.Polygon:
            band.addGeometry(area, self._review.crs)

    def _fly(self, uid: str, mode: str) -> None:
        outline = self._review.outline(uid)
        if outline.isEmpty():
            return
        settings = self._canvas.mapSettings()
        to_map = QgsCoordinateTransform(self._review.crs, settings.destinationCrs(), settings.transformContext())
        try:
            extent = outline.boundingBox()
            if mode == "pan" or self._canvas.scaleLocked():
                self._canvas.setCenter(to_map.transformBoundingBox(extent).center())
            else:
                for ground in (self._review.reference_ground(uid), self._review.predicted_ground(uid)):
                    if not ground.isEmpty():
                        extent.combineExtentWith(ground.boundingBox())
                self._canvas.setExtent(fitting(to_map.transformBoundingBox(extent), settings))
        except QgsCsException:
            self._review.said.emit(
                tr("The outline cannot be shown in the map's coordinate reference system {}. Choose another one for the project.").format(
                    settings.destinationCrs().authid()
                ),
                Qgis.MessageLevel.Warning,
            )
            return
        self._canvas.refresh()

    def _adapt_to_tool(self, tool: QgsMapTool | None, _before: QgsMapTool | None = None) -> None:
        """While a tool edits, the fills step back and the layer's own boundary, with its vertices, is the only one."""
        edits = tool is not None and bool(tool.flags() & QgsMapTool.Flag.EditTool)
        for part, band in self._bands.items():
            band.setOpacity(STEPPED_BACK if edits else 1.0)
            band.setVisible(self._shows_fills and not (edits and part == COMMON))
        self._boundary.setVisible(not edits)

    def _band(self, symbol: QgsFillSymbol) -> QgsRubberBand:
        band = QgsRubberBand(self._canvas, Qgis.GeometryType.Polygon)
        band.setSymbol(symbol)
        return band


def fitting(extent: QgsRectangle, settings: QgsMapSettings) -> QgsRectangle:
    """An extent in map units with its surroundings, not closer than :data:`LARGEST_SCALE`."""
    wanted = QgsRectangle(extent)
    wanted.scale(SURROUNDINGS)
    there = QgsMapSettings(settings)
    there.setExtent(wanted)
    if there.scale() < LARGEST_SCALE:
        wanted = QgsRectangle(there.visibleExtent())
        wanted.scale(LARGEST_SCALE / there.scale())
    return wanted


def polygons_only(geometry: QgsGeometry) -> bool:
    """Drop, in place, lines and points where polygons only touch; whether a polygon is left."""
    return geometry.convertGeometryCollectionToSubclass(Qgis.GeometryType.Polygon) and not geometry.isEmpty()


def hatch(part: str) -> QgsFillSymbol:
    """How one of the three areas is filled."""
    colour, angle = FILLS[part]
    pattern = QgsLinePatternFillSymbolLayer()
    pattern.setLineAngle(angle)
    pattern.setDistance(4.5 if part == COMMON else 3.0)
    line = QgsLineSymbol.createSimple({"line_color": DARK, "line_width": "0.6"})
    line.appendSymbolLayer(QgsSimpleLineSymbolLayer.create({"line_color": colour, "line_width": "0.3"}))
    pattern.setSubSymbol(line)
    symbol = QgsFillSymbol.createSimple({"color": f"{colour},26", "outline_color": f"{colour},255", "outline_width": "0.3"})
    symbol.appendSymbolLayer(pattern)
    return symbol


def boundary_symbol(line_style: str = "solid") -> QgsFillSymbol:
    """How the current outline, or tile, stands out among the others."""
    symbol = QgsFillSymbol.createSimple({"style": "no", "outline_color": "26,26,26", "outline_width": "1.3", "joinstyle": "round"})
    symbol.appendSymbolLayer(
        QgsSimpleLineSymbolLayer.create({"line_color": "255,255,255", "line_width": "0.6", "joinstyle": "round", "line_style": line_style})
    )
    return symbol


class LegendLine(QWidget):
    """What the three fills on the map mean, and a menu of how the map behaves."""

    def __init__(self, view: MapView, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._view = view
        self._labels: dict[str, QLabel] = {}
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(self.fontMetrics().height() // 4)
        for place, part in enumerate((COMMON, OURS, THEIRS)):
            layout.addLayout(self._entry(part), place // 2, place % 2)
        menu = QToolButton()
        menu.setText(tr("Map"))
        menu.setToolTip(tr("What the map does at each outline, and what it compares"))
        menu.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        menu.setMenu(self._menu())
        layout.addWidget(menu, 0, 2, 2, 1, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        layout.setColumnStretch(0, 1)
        layout.setColumnStretch(1, 1)
        view.redrawn.connect(self._name)
        self._name()

    def _entry(self, part: str) -> QHBoxLayout:
        swatch, label = QLabel(), QLabel()
        height = self.fontMetrics().height()
        swatch.setPixmap(QgsSymbolLayerUtils.symbolPreviewPixmap(hatch(part), QSize(3 * height // 2, height)))
        label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self._labels[part] = label
        entry = QHBoxLayout()
        entry.addWidget(swatch)
        entry.addWidget(label, 1)
        return entry

    def _menu(self) -> QMenu:
        menu = QMenu(self)
        modes = QActionGroup(menu)
        texts = {"zoom": tr("Zoom to each outline"), "pan": tr("Move to each outline, keep the scale"), "stay": tr("Stay where it is")}
        for mode in MODES:
            action = modes.addAction(menu.addAction(texts[mode]))
            action.setCheckable(True)
            action.setChecked(self._view.mode == mode)
            action.triggered.connect(lambda _checked=False, mode=mode: self._view.set_mode(mode))
        menu.addSeparator()
        fills = menu.addAction(tr("Show what differs"))
        fills.setCheckable(True)
        fills.setChecked(self._view.shows_fills)
        fills.toggled.connect(self._view.set_shows_fills)
        return menu

    def _name(self) -> None:
        for part, name in self._view.names().items():
            self._labels[part].setText(name)
            self._labels[part].setToolTip(name)

"""Elevation along the fall line of the current outline, drawn by QGIS's own elevation profile."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from qgis.core import (
    Qgis,
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsCsException,
    QgsGeometry,
    QgsLineSymbol,
    QgsPointXY,
    QgsProfilePoint,
    QgsProject,
    QgsRasterLayer,
    QgsSimpleLineSymbolLayer,
    QgsVectorLayer,
)
from qgis.gui import QgsDockWidget, QgsElevationProfileCanvas, QgsMapCanvas, QgsPlotToolPan, QgsRubberBand
from qgis.PyQt import sip
from qgis.PyQt.QtCore import Qt, QTimer
from qgis.PyQt.QtGui import QPalette, QPen
from qgis.PyQt.QtWidgets import QGraphicsLineItem, QGraphicsSimpleTextItem, QLabel, QMainWindow, QStackedLayout, QVBoxLayout, QWidget

from ...jobs import FallLinesJob
from ...processing_provider.layers import raster_path, why_unreadable
from ...processing_provider.translation import tr
from .engine_task import EngineTask, OutlineFile
from .local_map import local_map, transformed
from .second_view import alive
from .session import Review
from .tool_looks import crosshair

BEYOND = 0.15
"""The profile goes on for this share of the line's length beyond roots and front: what they rise from belongs to the picture."""
PATIENCE_MS = 250
"""An outline that is only passed on the way to the next starts no engine."""


@dataclass(frozen=True)
class ProfileLine:
    """A line downslope on a map in metres around the outline, longer than the outline by :data:`BEYOND` at both ends.

    ``roots``, ``front``: distances along it, metres, where it enters and leaves the outline; ``substitute`` says why it is no fall line.
    """

    line: QgsGeometry
    to_metres: QgsCoordinateTransform
    roots: float
    front: float
    substitute: str = ""

    @property
    def crs(self) -> QgsCoordinateReferenceSystem:
        """Of ``line``."""
        return self.to_metres.destinationCrs()


class ProfileView(QgsDockWidget):
    """The profile of the current outline, from its roots (left) to its front (right); the place under the cursor is shown on the map.

    The engine finds the fall line, in the background; lines are kept until their outline's geometry changes. Where there is none, a
    straight line along the outline's longer axis is shown instead, and called so. The project's elevation model stays as it is: its clone
    is drawn.
    """

    def __init__(self, review: Review, main: QgsMapCanvas, parent: QWidget | None = None) -> None:
        super().__init__(tr("Elevation profile of the review"), parent)
        self.setObjectName("RockGlacierReviewProfile")  # by which QGIS remembers where it was
        self._review, self._main = review, main
        self._project = review.outlines.project() or QgsProject.instance()
        self._lines: dict[str, tuple[bytes, ProfileLine]] = {}
        self._task: EngineTask | None = None
        self._shown: ProfileLine | None = None
        self._summary = ""
        self._is_released = self._is_drawn = False
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(PATIENCE_MS)
        self._timer.timeout.connect(self._look)
        self._dem = elevation_clone(review.dem, self.palette()) if alive(review.dem) else None
        self._build()
        review.current_changed.connect(self._look_soon)
        review.changed.connect(self._follow)
        review.closed.connect(self.release)
        self.visibilityChanged.connect(self._look_soon)
        self._main.destinationCrsChanged.connect(self._draw_line)

    def show_in(self, window: QMainWindow) -> None:
        """Dock it where it was last, at the bottom at first."""
        if not window.restoreDockWidget(self):
            window.addDockWidget(Qt.DockWidgetArea.BottomDockWidgetArea, self)
        self.show()

    @property
    def shown(self) -> ProfileLine | None:
        """The line whose profile is shown."""
        return self._shown

    @property
    def text(self) -> str:
        """What is written above the profile, or in its place."""
        return self._message.text() if self._pages.currentWidget() is self._message else self._label.text()

    def release(self) -> None:
        """Take everything away and delete the dock."""
        if self._is_released:
            return
        self._is_released = True
        self._timer.stop()
        self._cancel()
        self._review.current_changed.disconnect(self._look_soon)
        self._review.changed.disconnect(self._follow)
        self._review.closed.disconnect(self.release)
        self.visibilityChanged.disconnect(self._look_soon)
        if not sip.isdeleted(self._main):
            self._main.destinationCrsChanged.disconnect(self._draw_line)
            for item in (self._band, self._place):
                self._main.scene().removeItem(item)
        self.profile.setLayers([])
        self.profile.clear()
        self._dem = None
        window = self.parent()
        if isinstance(window, QMainWindow):
            window.removeDockWidget(self)
        self.hide()
        self.deleteLater()

    def _build(self) -> None:
        self.profile = QgsElevationProfileCanvas(self)
        self.profile.setProject(self._project)
        self.profile.setBackgroundColor(self.palette().color(QPalette.ColorRole.Base))
        self.profile.setDistanceUnit(Qgis.DistanceUnit.Meters)
        self.profile.setLayers([self._dem] if self._dem is not None else [])
        self.profile.setMinimumHeight(8 * self.fontMetrics().height())
        self._pan = QgsPlotToolPan(self.profile)
        self.profile.setTool(self._pan)
        self.profile.canvasPointHovered.connect(self._show_place)
        self.profile.plotAreaChanged.connect(self._place_marks)
        self.profile.activeJobCountChanged.connect(self._notice_drawn)
        text = self.palette().color(QPalette.ColorRole.Text)
        self._marks: list[tuple[QGraphicsLineItem, QGraphicsSimpleTextItem]] = []
        for _ in ("roots", "front"):
            rule, word = QGraphicsLineItem(), QGraphicsSimpleTextItem()
            rule.setPen(QPen(text, max(1, self.fontMetrics().height() // 12), Qt.PenStyle.DashLine))
            word.setBrush(text)
            word.setFont(self.font())
            for item in (rule, word):
                item.setZValue(100)
                item.hide()
                self.profile.scene().addItem(item)
            self._marks.append((rule, word))
        self._label, self._message = QLabel(), QLabel()
        self._message.setAlignment(Qt.AlignmentFlag.AlignCenter)
        for label in (self._label, self._message):
            label.setWordWrap(True)
            label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        page = QWidget()
        layout = QVBoxLayout(page)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._label)
        layout.addWidget(self.profile, 1)
        content = QWidget()
        self._pages = QStackedLayout(content)
        self._pages.addWidget(page)
        self._pages.addWidget(self._message)
        self.setWidget(content)
        self._band = QgsRubberBand(self._main, Qgis.GeometryType.Line)
        symbol = QgsLineSymbol.createSimple({"line_color": "26,26,26", "line_width": "1.1"})
        symbol.appendSymbolLayer(QgsSimpleLineSymbolLayer.create({"line_color": "86,180,233", "line_width": "0.6"}))
        self._band.setSymbol(symbol)
        self._place = crosshair(self._main)
        self._say(tr("Choose an outline."))

    def _follow(self, uids: list[str]) -> None:
        if self._review.current in uids:
            self._look_soon()

    def _look_soon(self, *_: Any) -> None:
        self._place.hide()
        if self.isVisible():
            self._timer.start()
        else:
            self._timer.stop()
            self._band.reset(Qgis.GeometryType.Line)
            self._shown = None

    def _look(self) -> None:
        """Show what is known of the current outline, or have its fall line found."""
        uid = self._review.current
        outline = self._review.outline(uid) if uid else QgsGeometry()
        if self._dem is None or not alive(self._review.dem):
            self._say(tr("There is no elevation model in this session. Choose one when you start a session."))
        elif outline.isEmpty():
            self._say(tr("Choose an outline."))
        else:
            known = self._lines.get(uid)
            if known is not None and known[0] == bytes(outline.asWkb()):
                self._show(known[1])
            else:
                self._find(uid, outline)

    def _find(self, uid: str, outline: QgsGeometry) -> None:
        self._cancel()
        if why := why_unreadable(self._review.dem):
            self._substitute(uid, outline, why)
            return
        self._say(tr("The fall line is being found…"))
        try:
            file = OutlineFile(outline, self._review.crs)
        except OSError as problem:
            self._substitute(uid, outline, str(problem))
            return
        target = file.beside("fall_line.gpkg")

        def found(_result: dict[str, Any], _warnings: list[str]) -> None:
            line = _read(target)
            file.remove()
            if line.isEmpty():
                self._substitute(uid, outline, tr("none was found in the elevation model"))
            else:
                self._keep(uid, outline, profile_line(line, outline, self._review.crs, self._project))

        def failed(why: str) -> None:
            file.remove()
            self._substitute(uid, outline, why)

        job = FallLinesJob(file.path, raster_path(self._review.dem), target)
        self._task = EngineTask(tr("Fall line of an outline"), job, found, failed).start()

    def _substitute(self, uid: str, outline: QgsGeometry, why: str) -> None:
        self._keep(uid, outline, straight_line(outline, self._review.crs, self._project, self._dem, why))

    def _keep(self, uid: str, outline: QgsGeometry, line: ProfileLine) -> None:
        self._task = None
        if self._is_released:
            return
        self._lines[uid] = (bytes(outline.asWkb()), line)
        if uid == self._review.current and self.isVisible():
            self._look()

    def _cancel(self) -> None:
        task, self._task = self._task, None
        if task is not None and not sip.isdeleted(task):
            task.cancel()

    def _show(self, line: ProfileLine) -> None:
        if self._shown is not line:
            self._shown, self._is_drawn = line, False
            self.profile.setCrs(line.crs)
            self.profile.setProfileCurve(line.line.constGet().clone())
            self.profile.invalidateCurrentPlotExtent()
            self.profile.refresh()
            self._summary = self._described(line)
        self._pages.setCurrentIndex(0)
        self._draw_line()
        self._place_marks()

    def _say(self, text: str) -> None:
        self._shown = None
        self._band.reset(Qgis.GeometryType.Line)
        self._message.setText(text)
        self._pages.setCurrentWidget(self._message)

    def _described(self, line: ProfileLine) -> str:
        """Length, elevations and slope between roots and front, and what kind of line it is."""
        length = line.front - line.roots
        kind = tr("Straight line along the longer axis, {} m") if line.substitute else tr("Fall line, {} m")
        text = kind.format(round(length))
        high, low = (self._elevation(line, distance) for distance in (line.roots, line.front))
        if math.isfinite(high) and math.isfinite(low) and length > 0:
            slope = math.degrees(math.atan2(high - low, length))
            ends = tr("from {} m down to {} m, mean slope {}°").format(round(high), round(low), f"{slope:.1f}")
            text += " " + ends
        if line.substitute:
            text += ". " + tr("There is no fall line: {}").format(line.substitute.rstrip(". "))
        return text

    def _elevation(self, line: ProfileLine, distance: float) -> float:
        place = line.line.interpolate(distance)
        return elevation_at(self._dem, place.asPoint(), line.crs, self._project) if self._dem is not None else math.nan

    def _draw_line(self) -> None:
        self._band.reset(Qgis.GeometryType.Line)
        if self._shown is not None:
            self._band.addGeometry(self._shown.line, self._shown.crs)

    def _notice_drawn(self, jobs: int) -> None:
        """The plot's ranges mean nothing before QGIS has drawn it, in the background."""
        if jobs == 0 and self._shown is not None:
            self._is_drawn = True
            self._place_marks()

    def _place_marks(self) -> None:
        """Put roots and front where they are in the plot now, and tell its exaggeration."""
        area = self.profile.plotArea()
        distances, elevations = self.profile.visibleDistanceRange(), self.profile.visibleElevationRange()
        across, up = distances.upper() - distances.lower(), elevations.upper() - elevations.lower()
        is_drawn = self._is_drawn and self._shown is not None and min(across, up, area.width(), area.height()) > 0
        names = (tr("upper end"), tr("lower end")) if self._shown and self._shown.substitute else (tr("roots"), tr("front"))
        places = (self._shown.roots, self._shown.front) if self._shown else (0.0, 0.0)
        for (rule, word), distance, name in zip(self._marks, places, names):
            word.setText(name)
            is_seen = is_drawn and distances.lower() <= distance <= distances.upper()
            if is_seen:
                x = area.left() + area.width() * (distance - distances.lower()) / across
                rule.setLine(x, area.top(), x, area.bottom())
                gap = self.fontMetrics().height() / 4
                height = word.boundingRect().height()
                # the curve falls from the upper left to the lower right: both words stand clear of it
                y = area.top() + gap if word is self._marks[1][1] else area.bottom() - height - gap
                word.setPos(min(x + gap, area.right() - word.boundingRect().width()), y)
            rule.setVisible(is_seen)
            word.setVisible(is_seen)
        text = self._summary
        if is_drawn:
            text += "; " + tr("vertical exaggeration {}").format(f"{(area.height() / up) / (area.width() / across):.1f}")
        self._label.setText(text)

    def _show_place(self, _point: QgsPointXY, on_profile: QgsProfilePoint) -> None:
        """The place under the cursor, on the map."""
        if self._shown is None or on_profile.isEmpty() or not 0 <= on_profile.distance() <= self._shown.line.length():
            self._place.hide()
            return
        place = self._shown.line.interpolate(on_profile.distance()).asPoint()
        settings = self._main.mapSettings()
        to_map = QgsCoordinateTransform(self._shown.crs, settings.destinationCrs(), self._project)
        try:
            self._place.setCenter(to_map.transform(place))
            self._place.show()
        except QgsCsException:
            self._place.hide()


def elevation_clone(dem: QgsRasterLayer, palette: QPalette) -> QgsRasterLayer:
    """The elevation model once more, outside the project, as the profile draws it."""
    clone = dem.clone()
    properties = clone.elevationProperties()
    properties.setEnabled(True)
    properties.setProfileSymbology(Qgis.ProfileSurfaceSymbology.Line)
    is_dark = palette.color(QPalette.ColorRole.Base).lightness() < 128
    colour = "86,180,233" if is_dark else "0,114,178"
    properties.setProfileLineSymbol(QgsLineSymbol.createSimple({"line_color": colour, "line_width": "0.6"}))
    return clone


def profile_line(line: QgsGeometry, outline: QgsGeometry, crs: QgsCoordinateReferenceSystem, project: QgsProject) -> ProfileLine:
    """The line of a profile along a fall line in ``crs``, from roots to front."""
    to_metres = local_map(outline.boundingBox().center(), crs, project.transformContext())
    in_metres = transformed(line, to_metres)
    return _prolonged(in_metres, to_metres, 0.0, in_metres.length())


def straight_line(
    outline: QgsGeometry, crs: QgsCoordinateReferenceSystem, project: QgsProject, dem: QgsRasterLayer | None, why: str
) -> ProfileLine:
    """The line of a profile along the longer axis of an outline, from its higher to its lower end where they are known."""
    to_metres = local_map(outline.boundingBox().center(), crs, project.transformContext())
    in_metres = transformed(outline, to_metres)
    corners = in_metres.orientedMinimumBoundingBox()[0].asPolygon()[0]
    if corners[0].distance(corners[1]) > corners[1].distance(corners[2]):
        corners = corners[1:]
    ends = [QgsPointXY((a.x() + b.x()) / 2, (a.y() + b.y()) / 2) for a, b in (corners[:2], corners[2:4])]
    if dem is not None:
        first, last = (elevation_at(dem, end, to_metres.destinationCrs(), project) for end in ends)
        ends = ends[::-1] if first < last else ends
    line = QgsGeometry.fromPolylineXY(ends)
    inside = line.intersection(in_metres.buffer(0, 8))
    distances = [line.lineLocatePoint(QgsGeometry(vertex.clone())) for vertex in inside.vertices()] or [0.0, line.length()]
    return _prolonged(line, to_metres, min(distances), max(distances), why)


def _prolonged(line: QgsGeometry, to_metres: QgsCoordinateTransform, roots: float, front: float, why: str = "") -> ProfileLine:
    beyond = BEYOND * line.length()
    return ProfileLine(line.extendLine(beyond, beyond), to_metres, beyond + roots, beyond + front, why)


def elevation_at(dem: QgsRasterLayer, place: QgsPointXY, crs: QgsCoordinateReferenceSystem, project: QgsProject) -> float:
    """Metres, NaN where it is unknown."""
    try:
        there = QgsCoordinateTransform(crs, dem.crs(), project).transform(place)
    except QgsCsException:
        return math.nan
    value, known = dem.dataProvider().sample(there, 1)
    return float(value) if known else math.nan


def _read(path: str) -> QgsGeometry:
    """The one line of a file; empty where there is none."""
    layer = QgsVectorLayer(path, "", "ogr")
    feature = next(layer.getFeatures(), None)
    return feature.geometry() if feature is not None else QgsGeometry()

"""Split here: proposed cuts light up on the map, a click makes one; or the person draws a line."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from qgis.core import Qgis, QgsApplication, QgsGeometry, QgsPointXY, QgsVectorLayer
from qgis.gui import QgsMapCanvas, QgsMapCanvasItem, QgsMapMouseEvent, QgsMapTool, QgsRubberBand
from qgis.PyQt import sip
from qgis.PyQt.QtCore import QPoint, QPointF, QRectF, Qt, QTimer
from qgis.PyQt.QtGui import QKeyEvent, QPainter, QPainterPath, QPen, QPolygonF

from ...jobs import SplitJob
from ...processing_provider.engine_home import EngineState, engine_state, what_to_do
from ...processing_provider.layers import raster_path, why_unreadable
from ...processing_provider.translation import tr
from .engine_task import EngineTask, OutlineFile
from .session import Review, ReviewError
from .tool_looks import CASING, LETTERS, PREVIEW, PROPOSED, line_width, preview_band

LENGTHENED = 0.25
"""Share of a line's length by which either end may be lengthened to reach the boundary."""
BEYOND = 0.01
"""Share of its length by which it then goes on, so that it crosses the boundary for certain."""
PAUSE_MS = 300
"""After this an outline that was changed is looked at again."""


@dataclass(frozen=True)
class Proposal:
    """A cut that the engine proposes, in the session's CRS, ``score`` 0-1."""

    line: QgsGeometry
    score: float


class SplitTool(QgsMapTool):
    """A click, or its number on the keyboard, makes a proposed cut; clicks elsewhere draw a line.

    As in QGIS, right click or Enter ends the line, Backspace takes its last point back, Escape all of them.
    """

    def __init__(self, review: Review, canvas: QgsMapCanvas) -> None:
        super().__init__(canvas)
        self.setToolName(tr("Split outline"))
        self.setCursor(QgsApplication.getThemeCursor(QgsApplication.Cursor.CapturePoint))
        self._review = review
        self._uid, self._looked_at = "", ""
        self._points: list[QgsPointXY] = []
        self._proposals: list[Proposal] = []
        self._pointed: Proposal | None = None
        self._band: QgsRubberBand | None = None
        self._shown: _Proposals | None = None
        self._task: EngineTask | None = None
        self._told: set[str] = set()
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(PAUSE_MS)
        self._pause.timeout.connect(self._look_again)

    @property
    def proposals(self) -> list[Proposal]:
        """Those that are on the map, the best first."""
        return self._proposals

    def activate(self) -> None:
        """Called by QGIS: start to look for cuts."""
        super().activate()
        self._band = preview_band(self.canvas(), Qgis.GeometryType.Line)
        self._shown = _Proposals(self.canvas(), self)
        self._review.current_changed.connect(self._go)
        self._review.changed.connect(self._follow)
        self._review.closed.connect(self._leave)
        self._go(self._review.current)

    def deactivate(self) -> None:
        """Called by QGIS: take everything off the map."""
        if self._band is not None:
            self._review.current_changed.disconnect(self._go)
            self._review.changed.disconnect(self._follow)
            self._review.closed.disconnect(self._leave)
            self._forget()
            for item in (self._band, self._shown):
                if not sip.isdeleted(item):
                    self.canvas().scene().removeItem(item)
            self._band = self._shown = None
        super().deactivate()

    def canvasMoveEvent(self, event: QgsMapMouseEvent) -> None:
        """Show the line, or which proposal a click would take."""
        if self._points:
            self._draw(event.mapPoint())
        else:
            self._point_at(self._proposal_at(event.pos()))

    def canvasReleaseEvent(self, event: QgsMapMouseEvent) -> None:
        """Take a proposal, add a point, or end the line."""
        if event.button() == Qt.MouseButton.RightButton:
            self._end()
        elif event.button() == Qt.MouseButton.LeftButton and self._uid:
            proposal = None if self._points else self._proposal_at(event.pos())
            if proposal is not None:
                self._cut(proposal.line)
            else:
                self._points.append(self.toLayerCoordinates(self._review.outlines, event.mapPoint()))
                self._point_at(None)
                self._draw(event.mapPoint())

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """The keys of QGIS's drawing tools; digits take proposals."""
        number = event.text()
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._end()
        elif event.key() in (Qt.Key.Key_Backspace, Qt.Key.Key_Delete):
            del self._points[-1:]
            self._draw()
        elif event.key() == Qt.Key.Key_Escape:
            self._drop_line()
        elif number.isdigit() and 0 < int(number) <= len(self._proposals) and not self._points:
            self._cut(self._proposals[int(number) - 1].line)
        else:
            event.ignore()
            return
        event.accept()

    def on_canvas(self, line: QgsGeometry) -> QPolygonF:
        """A line of the session in the canvas' pixels."""
        places = [self.toMapCoordinates(self._review.outlines, QgsPointXY(vertex)) for vertex in line.vertices()]
        return QPolygonF([QPointF(self.toCanvasCoordinates(place)) for place in places])

    def _go(self, uid: str) -> None:
        self._forget()
        self._uid = uid
        if uid:
            self._look()

    def _follow(self, uids: list[str]) -> None:
        if self._uid in uids and self._review.outline(self._uid).asWkt() != self._looked_at:
            self._forget()
            self._pause.start()

    def _look_again(self) -> None:
        if self._band is not None and self._uid and not self._review.outline(self._uid).isEmpty():
            self._look()

    def _leave(self) -> None:
        self.canvas().unsetMapTool(self)

    def _forget(self) -> None:
        """What belongs to an outline that is looked at no more."""
        self._pause.stop()
        if self._task is not None and not sip.isdeleted(self._task):  # QGIS deletes what a person cancels
            self._task.cancel()
        self._task = None
        self._proposals = []
        self._drop_line()

    def _look(self) -> None:
        """Have the engine propose cuts of the one outline."""
        outline = self._review.outline(self._uid)
        self._looked_at = outline.asWkt()
        rasters = [
            raster_path(layer) if layer is not None and not why_unreadable(layer) else None
            for layer in (self._review.probability, self._review.dem)
        ]
        if not any(rasters):
            self._tell_once(tr("This session has neither a probability raster nor an elevation model to propose cuts from: draw the line."))
            return
        if engine_state() is not EngineState.READY:
            self._tell_once(tr("Draw the line: no cuts are proposed. {}").format(what_to_do(engine_state())))
            return
        try:
            file = OutlineFile(outline, self._review.crs)
        except OSError as problem:
            self._tell_once(tr("Draw the line: no cuts are proposed. {}").format(problem))
            return
        cuts = file.beside("cuts.gpkg")
        job = SplitJob(file.path, file.beside("units.gpkg"), probability=rasters[0], dem=rasters[1], cuts=cuts)

        def found(_result: dict[str, Any], _warnings: list[str]) -> None:
            self._task = None
            self._propose(_read(cuts))
            file.remove()

        def failed(why: str) -> None:
            self._task = None
            file.remove()
            self._tell_once(tr("Draw the line: no cuts were proposed. {}").format(why))

        self._task = EngineTask(tr("Looking for cuts"), job, found, failed).start()

    def _propose(self, proposals: list[Proposal]) -> None:
        self._proposals = sorted(proposals, key=lambda proposal: -proposal.score)
        if proposals:
            self._tell_once(tr("Click a cut or press its number; or draw a line of your own, Enter ends it."))
        else:
            self._review.said.emit(tr("No cut is proposed for this outline; a line can be drawn."), Qgis.MessageLevel.Info)
        self._refresh()

    def _tell_once(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            self._review.said.emit(text, Qgis.MessageLevel.Info)

    def _proposal_at(self, place: QPoint) -> Proposal | None:
        """The proposal that is nearest to a pixel, if it is near."""
        here = QgsGeometry.fromPointXY(QgsPointXY(QPointF(place)))
        nearest = min(
            (
                (QgsGeometry.fromQPolygonF(self.on_canvas(proposal.line)).distance(here), index)
                for index, proposal in enumerate(self._proposals)
            ),
            default=(math.inf, 0),
        )
        within = 2 * line_width(self.canvas()) + 3
        return self._proposals[nearest[1]] if nearest[0] <= within else None

    def _point_at(self, proposal: Proposal | None) -> None:
        if proposal is not self._pointed:
            self._pointed = proposal
            self._refresh()

    def _refresh(self) -> None:
        if self._shown is not None:
            self._shown.proposals, self._shown.pointed = self._proposals, self._pointed
            self._shown.update()

    def _draw(self, mouse: QgsPointXY | None = None) -> None:
        """The line so far, and to the mouse."""
        places = [self.toMapCoordinates(self._review.outlines, point) for point in self._points]
        if places and mouse is not None:
            places.append(mouse)
        if self._band is not None:
            self._band.setToGeometry(QgsGeometry.fromPolylineXY(places), self.canvas().mapSettings().destinationCrs())

    def _drop_line(self) -> None:
        self._points = []
        self._pointed = None
        if self._band is not None:
            self._band.reset(Qgis.GeometryType.Line)
        self._refresh()

    def _end(self) -> None:
        line = QgsGeometry.fromPolylineXY(self._points)
        if len(self._points) > 1:
            self._cut(line)
        self._drop_line()

    def _cut(self, line: QgsGeometry) -> None:
        outline = self._review.outline(self._uid)
        try:
            self._review.split(self._uid, lengthened(line, outline))
        except ReviewError as problem:
            self._review.said.emit(str(problem), Qgis.MessageLevel.Warning)


class _Proposals(QgsMapCanvasItem):
    """Draws the proposed cuts, thicker with their score, each with a number and the score."""

    def __init__(self, canvas: QgsMapCanvas, tool: SplitTool) -> None:
        super().__init__(canvas)
        self._canvas, self._tool = canvas, tool
        self.proposals: list[Proposal] = []
        self.pointed: Proposal | None = None
        self.setZValue(60)

    def boundingRect(self) -> QRectF:
        """All of the map."""
        return QRectF(self._canvas.rect())

    def paint(self, painter: QPainter, *_: Any) -> None:
        """Called by Qt."""
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(self._canvas.font())
        width = line_width(self._canvas)
        for number, proposal in enumerate(self.proposals, 1):
            line = self._tool.on_canvas(proposal.line)
            thickness = width * (1 + 1.3 * proposal.score)
            for colour, across in ((CASING, thickness + width), (PREVIEW if proposal is self.pointed else PROPOSED, thickness)):
                pen = QPen(colour, across)
                pen.setCapStyle(Qt.PenCapStyle.RoundCap)
                painter.setPen(pen)
                painter.drawPolyline(line)
            middle = self._tool.on_canvas(proposal.line.interpolate(proposal.line.length() / 2)).at(0)
            self._label(painter, middle + QPointF(2 * width, -width), f"{number}: {proposal.score:.2f}", width)

    @staticmethod
    def _label(painter: QPainter, place: QPointF, text: str, width: int) -> None:
        letters = QPainterPath()
        letters.addText(place, painter.font(), text)
        painter.strokePath(letters, QPen(CASING, 1.5 * width))
        painter.fillPath(letters, LETTERS)


def lengthened(line: QgsGeometry, outline: QgsGeometry) -> QgsGeometry:
    """A line whose ends lie a little short of the boundary, or on it, goes on straight to just beyond it; others stay as they are."""
    single = QgsGeometry(line)
    single.convertToSingleType()
    points = single.asPolyline()
    length = single.length()
    boundary = QgsGeometry(outline.constGet().boundary())
    for end, before in ((0, 1), (-1, -2)):
        tip, previous = points[end], points[before]
        step = tip.distance(previous)
        if not step:
            continue
        ahead = (tip - previous) / step
        ray = QgsGeometry.fromPolylineXY([tip, tip + ahead * (LENGTHENED * length)])
        is_on_it = boundary.distance(QgsGeometry.fromPointXY(tip)) < 1e-6 * length
        if is_on_it:
            points[end] = tip + ahead * (BEYOND * length)
        elif outline.contains(tip):
            met = ray.intersection(boundary)
            if not met.isEmpty():
                nearest = min((QgsPointXY(vertex) for vertex in met.vertices()), key=tip.distance)
                points[end] = nearest + ahead * (BEYOND * length)
    return QgsGeometry.fromPolylineXY(points)


def _read(cuts: str) -> list[Proposal]:
    layer = QgsVectorLayer(cuts, "cuts", "ogr")
    return [Proposal(feature.geometry(), float(feature["score"])) for feature in layer.getFeatures()]

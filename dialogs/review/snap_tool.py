"""Snap to edge: a stretch of boundary between two clicks is redrawn along the strongest edge of image or slope."""

from __future__ import annotations

from qgis.core import Qgis, QgsApplication, QgsCoordinateTransform, QgsCsException, QgsGeometry, QgsPointXY, QgsProject, QgsSettings
from qgis.gui import QgsFloatingWidget, QgsMapCanvas, QgsMapMouseEvent, QgsMapTool, QgsRubberBand, QgsVertexMarker
from qgis.PyQt import sip
from qgis.PyQt.QtCore import Qt
from qgis.PyQt.QtGui import QKeyEvent
from qgis.PyQt.QtWidgets import QComboBox, QFrame, QHBoxLayout, QLabel

from ...processing_provider.translation import tr
from .edge_path import REACH, EdgePaths, NoEdges, Window, edges, pixel_size, smoothed
from .local_map import local_map
from .neighbours import ground_of_others
from .redraw import Boundary, Spot
from .session import Review, ReviewError
from .tool_looks import CASING, PREVIEW, line_width, preview_band

IMAGE, SLOPE, BOTH = "image", "slope", "both"
EVIDENCE = (BOTH, IMAGE, SLOPE)
"""What a boundary follows: edges of the imagery, breaks of slope in the elevation model, or the mean of the two."""
EVIDENCE_SETTING = "rock_glacier_mapper/review/snap_to"
SEEN = 0.5
"""Share of the map's longer side that the search reaches to from a click: what a person sees, in cells as fine as that allows."""


class SnapTool(QgsMapTool):
    """Two clicks near the boundary; what lies between them runs along the strongest edge. Further clicks go on from there.

    Every click takes the nearest place of the boundary. Of its two stretches between them the shorter one is redrawn, with Shift the
    longer. Right click or Escape ends.
    """

    def __init__(self, review: Review, canvas: QgsMapCanvas) -> None:
        super().__init__(canvas)
        self.setToolName(tr("Snap outline to edge"))
        self.setCursor(QgsApplication.getThemeCursor(QgsApplication.Cursor.CrossHair))
        self._review = review
        wanted = QgsSettings().value(EVIDENCE_SETTING, BOTH, type=str)
        self._evidence = wanted if wanted in EVIDENCE else BOTH
        self._band: QgsRubberBand | None = None
        self._gone: QgsRubberBand | None = None
        self._marker: QgsVertexMarker | None = None
        self._to_metres: QgsCoordinateTransform | None = None
        self._boundary: Boundary | None = None
        self._start: Spot | None = None
        self._window: Window | None = None
        self._paths: EdgePaths | None = None
        self._mouse = QgsPointXY()
        self._is_ours = False
        self._choice: QgsFloatingWidget | None = None

    @property
    def evidence(self) -> str:
        """What is followed, one of :data:`EVIDENCE`; where the review has only one of the rasters, that one."""
        has_image, has_dem = self._review.imagery is not None, self._review.dem is not None
        return self._evidence if has_image and has_dem else IMAGE if has_image else SLOPE

    def follow(self, evidence: str) -> None:
        """Choose one of :data:`EVIDENCE`; it is remembered."""
        self._evidence = evidence
        QgsSettings().setValue(EVIDENCE_SETTING, evidence)
        if self._start is not None:
            self._begin(self._start.place)

    def _choice_on(self, canvas: QgsMapCanvas) -> QgsFloatingWidget:
        """A box in the corner of the map, where QGIS's own tools have their options, to choose what is followed."""
        box = QComboBox()
        names = {BOTH: tr("image and slope"), IMAGE: tr("image"), SLOPE: tr("slope")}
        for evidence in EVIDENCE:
            box.addItem(names[evidence], evidence)
        box.setCurrentIndex(EVIDENCE.index(self.evidence))
        box.setToolTip(tr("Edges of the imagery, breaks of slope of the elevation model, or both"))
        box.currentIndexChanged.connect(lambda index: self.follow(box.itemData(index)))
        label = QLabel(tr("Snap to"))
        label.setBuddy(box)
        frame = QFrame()
        frame.setFrameShape(QFrame.Shape.StyledPanel)
        frame.setAutoFillBackground(True)
        row = QHBoxLayout(frame)
        row.addWidget(label)
        row.addWidget(box)
        floating = QgsFloatingWidget(canvas)
        around = QHBoxLayout(floating)
        around.setContentsMargins(0, 0, 0, 0)
        around.addWidget(frame)
        floating.setAnchorWidget(canvas)
        floating.setAnchorPoint(QgsFloatingWidget.AnchorPoint.TopRight)
        floating.setAnchorWidgetPoint(QgsFloatingWidget.AnchorPoint.TopRight)
        floating.adjustSize()
        floating.show()
        return floating

    def why_not(self) -> str:
        """Why nothing can be snapped in this review, empty where it can."""
        if self._review.imagery is not None or self._review.dem is not None:
            return ""
        return tr("This session has neither imagery nor an elevation model whose edges a boundary could follow.")

    def activate(self) -> None:
        """Called by QGIS."""
        super().activate()
        canvas = self.canvas()
        self._gone = preview_band(canvas, Qgis.GeometryType.Line)
        self._gone.setStrokeColor(CASING)
        self._gone.setLineStyle(Qt.PenStyle.DotLine)
        self._band = preview_band(canvas, Qgis.GeometryType.Line)
        self._marker = QgsVertexMarker(canvas)
        self._marker.setColor(PREVIEW)
        self._marker.setIconType(QgsVertexMarker.IconType.ICON_CIRCLE)
        self._marker.setIconSize(5 * line_width(canvas))
        self._marker.setPenWidth(line_width(canvas))
        self._marker.hide()
        if self._review.imagery is not None and self._review.dem is not None:
            self._choice = self._choice_on(canvas)
        self._review.current_changed.connect(self._go)
        self._review.changed.connect(self._follow)
        self._review.closed.connect(self._leave)
        self._take_outline()
        if why := self.why_not():
            self._review.said.emit(why, Qgis.MessageLevel.Warning)

    def deactivate(self) -> None:
        """Called by QGIS: take everything off the map."""
        if self._band is not None:
            self._review.current_changed.disconnect(self._go)
            self._review.changed.disconnect(self._follow)
            self._review.closed.disconnect(self._leave)
            self._end()
            for item in (self._band, self._gone, self._marker):
                if not sip.isdeleted(item):
                    self.canvas().scene().removeItem(item)
            self._band = self._gone = self._marker = None
            if self._choice is not None and not sip.isdeleted(self._choice):
                self._choice.hide()
                self._choice.deleteLater()
            self._choice = None
        super().deactivate()

    def canvasMoveEvent(self, event: QgsMapMouseEvent) -> None:
        """Show where a click would begin, or the path that it would make."""
        self._mouse = event.mapPoint()
        self._show(bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier))

    def canvasReleaseEvent(self, event: QgsMapMouseEvent) -> None:
        """Begin, redraw the stretch and go on, or end."""
        self._mouse = event.mapPoint()
        if event.button() == Qt.MouseButton.RightButton:
            self._end()
            return
        place = self._in_metres(self._mouse)
        if event.button() != Qt.MouseButton.LeftButton or place is None:
            return
        if why := self.why_not():
            self._review.said.emit(why, Qgis.MessageLevel.Warning)
        elif self._start is None:
            self._begin(place)
        else:
            self._redraw(place, bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Escape ends, Shift shows the other stretch."""
        if event.key() == Qt.Key.Key_Escape:
            self._end()
            event.accept()
        elif event.key() == Qt.Key.Key_Shift:
            self._show(other_way=True)
        else:
            event.ignore()

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        """Back to the shorter stretch."""
        if event.key() == Qt.Key.Key_Shift:
            self._show(other_way=False)
        event.ignore()

    def _go(self, _uid: str) -> None:
        self._take_outline()

    def _follow(self, uids: list[str]) -> None:
        if not self._is_ours and self._review.current in uids:
            self._take_outline()

    def _leave(self) -> None:
        self.canvas().unsetMapTool(self)

    def _take_outline(self) -> None:
        """Begin anew with the current outline, on a map around it."""
        self._end()
        self._to_metres = None
        outline = self._review.outline(self._review.current) if self._review.current else QgsGeometry()
        if outline.isEmpty():
            return
        try:
            self._to_metres = local_map(QgsPointXY(outline.vertexAt(0)), self._review.crs, QgsProject.instance().transformContext())
        except QgsCsException:
            self._review.said.emit(
                tr("The outline lies outside the area where its coordinate reference system is defined."), Qgis.MessageLevel.Warning
            )

    def _in_metres(self, place: QgsPointXY) -> QgsPointXY | None:
        if self._to_metres is None:
            return None
        return self._to_metres.transform(self.toLayerCoordinates(self._review.outlines, place))

    def _on_map(self, place: QgsPointXY) -> QgsPointXY:
        return self.toMapCoordinates(self._review.outlines, place)

    def _end(self) -> None:
        self._boundary = self._start = self._window = self._paths = None
        for band in (self._band, self._gone):
            if band is not None:
                band.reset(Qgis.GeometryType.Line)
        if self._marker is not None:
            self._marker.hide()

    def _begin(self, place: QgsPointXY) -> None:
        """Search for the paths from the nearest place of the boundary on."""
        self._end()
        outline = self._review.outline(self._review.current)
        self._boundary = Boundary(outline, self._to_metres, place)
        start = self._boundary.nearest(place)
        QgsApplication.setOverrideCursor(Qt.CursorShape.WaitCursor)
        try:
            window = self._window_around(start.place)
            imagery = self._review.imagery if self.evidence != SLOPE else None
            dem = self._review.dem if self.evidence != IMAGE else None
            self._paths = EdgePaths(edges(imagery, dem, window), window.cell_of(start.place))
        except NoEdges as problem:
            self._boundary = None
            self._review.said.emit(str(problem), Qgis.MessageLevel.Warning)
            return
        finally:
            QgsApplication.restoreOverrideCursor()
        self._window, self._start = window, start
        self._mark(start)

    def _window_around(self, middle: QgsPointXY) -> Window:
        """What is seen on the map around a place, in cells no finer than the finest raster's pixels."""
        extent = self.canvas().extent()
        across = [self._in_metres(QgsPointXY(x, extent.center().y())) for x in (extent.xMinimum(), extent.xMaximum())]
        along = [self._in_metres(QgsPointXY(extent.center().x(), y)) for y in (extent.yMinimum(), extent.yMaximum())]
        seen = max(across[0].distance(across[1]), along[0].distance(along[1]))
        context, crs = QgsProject.instance().transformContext(), self._to_metres.destinationCrs()
        followed = {IMAGE: (self._review.imagery,), SLOPE: (self._review.dem,), BOTH: (self._review.imagery, self._review.dem)}
        finest = min(pixel_size(raster, crs, middle, context) for raster in followed[self.evidence])
        return Window(crs, middle, max(finest, SEEN * seen / REACH))

    def _path(self, end: Spot) -> list[QgsPointXY]:
        """Places between start and end along the strongest edge, in the session's CRS."""
        cells = self._paths.to(self._window.cell_of(end.place))
        places = self._window.places(cells)
        places[0], places[-1] = (self._start.place.x(), self._start.place.y()), (end.place.x(), end.place.y())
        line = QgsGeometry.fromPolylineXY([QgsPointXY(*place) for place in smoothed(places)]).simplify(self._window.cell / 10)
        line.transform(self._to_metres, QgsCoordinateTransform.TransformDirection.ReverseTransform)
        return [QgsPointXY(vertex) for vertex in line.vertices()][1:-1]

    def _show(self, other_way: bool) -> None:
        """What a click would do where the mouse is."""
        place = self._in_metres(self._mouse)
        if self._band is None or place is None or self.why_not():
            return
        if self._start is None:
            outline = self._review.outline(self._review.current)
            if not outline.isEmpty():
                self._mark(Boundary(outline, self._to_metres, place).nearest(place))
            return
        end = self._boundary.nearest(place)
        self._mark(end)
        if not self._window.holds(end.place):
            self._band.reset(Qgis.GeometryType.Line)
            self._gone.reset(Qgis.GeometryType.Line)
            return
        line = [self._start.original, *self._path(end), end.original]
        self._band.setToGeometry(QgsGeometry.fromPolylineXY(line), self._review.crs)
        self._gone.setToGeometry(self._boundary.stretch(self._start, end, other_way), self._review.crs)

    def _mark(self, spot: Spot) -> None:
        self._marker.setCenter(self._on_map(spot.original))
        self._marker.show()

    def _redraw(self, place: QgsPointXY, other_way: bool) -> None:
        """Make the stretch up to a place follow the edge, and go on from there."""
        end = self._boundary.nearest(place)
        if not self._window.holds(end.place):
            text = tr("That is too far from the first place to find the edge between them. Click nearer, or zoom out and begin again.")
            self._review.said.emit(text, Qgis.MessageLevel.Warning)
            return
        if end.place.distance(self._start.place) < self._window.cell:
            return
        uid = self._review.current
        outline = self._boundary.redrawn(self._start, end, self._path(end), other_way)
        others = ground_of_others(self._review.outlines, uid, outline.boundingBox())
        if not others.isEmpty():
            outline = outline.difference(others)
        if outline.isEmpty():
            self._review.said.emit(tr("Nothing of the outline would be left. Click two places that are nearer."), Qgis.MessageLevel.Warning)
            return
        self._is_ours = True
        try:
            self._review.set_outline(uid, outline, "snap")
        except ReviewError as problem:
            self._review.said.emit(str(problem), Qgis.MessageLevel.Warning)
            return
        finally:
            self._is_ours = False
        self._begin(end.place)

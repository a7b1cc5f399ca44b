"""The area tile by tile, to find the rock glaciers that both the network and the person with the manual outlines missed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable

from qgis.core import NULL, Qgis, QgsCoordinateTransform, QgsCsException, QgsFeatureRequest
from qgis.gui import QgsMapCanvas, QgsRubberBand
from qgis.PyQt import sip
from qgis.PyQt.QtCore import QSignalBlocker, Qt
from qgis.PyQt.QtWidgets import QCheckBox, QHBoxLayout, QLabel, QProgressBar, QPushButton, QToolButton, QVBoxLayout, QWidget

from ...processing_provider.translation import tr
from .map_view import boundary_symbol
from .session import Review, ReviewError

MARGIN = 1.05
"""The map shows a tile and this much more, so that what its edge cuts is seen whole."""


@dataclass
class _Tile:
    fid: int
    row: int
    col: int
    visited: bool


class Navigator(QWidget):
    """Previous and next tile without a visit, a mark for those visited, and how much of the area that is.

    Tiles come row by row from the first one, every second row backwards: the map moves to a neighbour each time, and what lies across an
    edge is still in mind.
    """

    def __init__(self, review: Review, canvas: QgsMapCanvas, draw: Callable[[], None], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._review, self._canvas, self._layer = review, canvas, review.tiles
        self._draw = draw
        self._was_shown: bool | None = None
        self._at: int | None = None
        self._tiles = self._read()
        self._build()
        self._band = QgsRubberBand(canvas, Qgis.GeometryType.Polygon)
        self._band.setSymbol(boundary_symbol(line_style="dash"))
        canvas.destinationCrsChanged.connect(self._outline)
        review.closed.connect(self.release)
        self._tell()

    @property
    def tile(self) -> int | None:
        """Feature id of the tile that is looked at."""
        return None if self._at is None else self._tiles[self._at].fid

    def show_next(self) -> None:
        """Go to the next tile without a visit; the first one at the beginning, and after the last."""
        self._go(1)

    def show_previous(self) -> None:
        """Go to the tile without a visit before."""
        self._go(-1)

    def next_tile(self) -> None:
        """Mark the tile as visited and go to the next one; the first time, go to the first."""
        if self._at is not None and not self._tiles[self._at].visited:
            self.mark_visited(True)
        self.show_next()

    def mark_visited(self, visited: bool) -> None:
        """Note that the tile was searched, or that it was not."""
        if self._at is None:
            return
        tile = self._tiles[self._at]
        try:
            self._review.visit_tile(tile.fid, visited)
            tile.visited = visited
        except ReviewError as error:
            self._review.said.emit(str(error), Qgis.MessageLevel.Warning)
        self._tell()

    def release(self) -> None:
        """Take the tile off the map."""
        if self._band is None:
            return
        self._review.closed.disconnect(self.release)
        if not sip.isdeleted(self._canvas):
            self._canvas.destinationCrsChanged.disconnect(self._outline)
            self._canvas.scene().removeItem(self._band)
        self._band = None
        self._show_layer(self._was_shown)

    def _read(self) -> list[_Tile]:
        request = QgsFeatureRequest().setFlags(QgsFeatureRequest.Flag.NoGeometry)
        tiles = [
            _Tile(feature.id(), int(feature["row"]), int(feature["col"]), feature["visited_at"] not in (None, NULL, ""))
            for feature in self._layer.getFeatures(request)
        ]
        return sorted(tiles, key=lambda tile: (tile.row, tile.col if tile.row % 2 == 0 else -tile.col))

    def _build(self) -> None:
        self._progress = QProgressBar()
        self._progress.setMaximum(max(len(self._tiles), 1))
        self._progress.setTextVisible(False)
        self._progress.setMaximumHeight(self.fontMetrics().height() // 2)
        self._label = QLabel()
        self._label.setWordWrap(True)
        self._back, self._forth = QToolButton(), QToolButton()
        for button, arrow, tip, do in (
            (self._back, Qt.ArrowType.LeftArrow, tr("Previous tile without a visit"), self.show_previous),
            (self._forth, Qt.ArrowType.RightArrow, tr("Next tile without a visit"), self.show_next),
        ):
            button.setArrowType(arrow)
            button.setToolTip(tip)
            button.setAccessibleName(tip)
            button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
            button.clicked.connect(lambda _checked=False, do=do: do())
        self._visited = QCheckBox(tr("Visited"))
        self._visited.setToolTip(tr("This tile was searched for rock glaciers"))
        self._visited.toggled.connect(self.mark_visited)
        self._done = QPushButton(tr("Visited, next"))
        self._done.setToolTip(tr("Mark this tile as visited and go to the next one without a visit"))
        self._done.clicked.connect(lambda _checked=False: self.next_tile())
        self._draw_button = QPushButton(tr("Draw a new outline"))
        self._draw_button.setToolTip(tr("Draw a rock glacier that both missed; it enters the queue as added"))
        self._draw_button.clicked.connect(lambda _checked=False: self._draw())
        walk, marks = QHBoxLayout(), QHBoxLayout()
        for widget in (self._back, self._forth):
            walk.addWidget(widget)
        walk.addWidget(self._done, 1)
        marks.addWidget(self._visited)
        marks.addWidget(self._draw_button, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._progress)
        layout.addWidget(self._label)
        layout.addLayout(walk)
        layout.addLayout(marks)

    def _go(self, step: int) -> None:
        """To the nearest tile without a visit in that direction, round the end; past this one where it is the only one."""
        count = len(self._tiles)
        start = self._at if self._at is not None else (-1 if step > 0 else 0)
        for offset in range(1, count + 1):
            place = (start + step * offset) % count
            if not self._tiles[place].visited:
                self._at = place
                break
        else:
            self._tell()
            return
        if self._was_shown is None:
            self._was_shown = self._show_layer(True)
        self._outline()
        self._fly()
        self._tell()

    def _fly(self) -> None:
        settings = self._canvas.mapSettings()
        to_map = QgsCoordinateTransform(self._review.crs, settings.destinationCrs(), settings.transformContext())
        try:
            extent = to_map.transformBoundingBox(self._layer.getFeature(self.tile).geometry().boundingBox())
        except QgsCsException:
            self._review.said.emit(tr("The tile cannot be shown in the map's coordinate reference system."), Qgis.MessageLevel.Warning)
            return
        extent.scale(MARGIN)
        self._canvas.setExtent(extent)
        self._canvas.refresh()

    def _outline(self) -> None:
        self._band.reset(Qgis.GeometryType.Polygon)
        if self.tile is not None:
            self._band.addGeometry(self._layer.getFeature(self.tile).geometry(), self._review.crs)

    def _tell(self) -> None:
        """Progress, and which buttons can be used."""
        count, visited = len(self._tiles), sum(tile.visited for tile in self._tiles)
        if count:
            self._label.setText(tr("{} of {} tiles visited, {} %").format(visited, count, f"{100 * visited / count:.1f}"))
        else:
            self._label.setText(tr("This session has no tiles: nothing said which area to search."))
        self._progress.setValue(visited)
        for button in (self._back, self._forth, self._done):
            button.setEnabled(visited < count)
        with QSignalBlocker(self._visited):
            self._visited.setEnabled(self._at is not None)
            self._visited.setChecked(self._at is not None and self._tiles[self._at].visited)

    def _show_layer(self, shown: bool | None) -> bool | None:
        """Show or hide the layer of tiles; whether it was shown. The person's own choice returns when the session is closed."""
        project = None if sip.isdeleted(self._layer) else self._layer.project()
        node = project.layerTreeRoot().findLayer(self._layer.id()) if project is not None else None
        if node is None or shown is None:
            return None
        before = node.itemVisibilityChecked()
        node.setItemVisibilityChecked(shown)
        return bool(before)

"""The level slider: the current outline follows the probability surface's contour while it is dragged."""

from __future__ import annotations

import math

from qgis.core import Qgis, QgsCsException, QgsGeometry, QgsProject
from qgis.gui import QgsMapCanvas, QgsRubberBand
from qgis.PyQt import sip
from qgis.PyQt.QtCore import QEvent, QLocale, QSignalBlocker, Qt, QTimer, pyqtSignal
from qgis.PyQt.QtGui import QKeyEvent, QShowEvent, QWheelEvent
from qgis.PyQt.QtWidgets import QLabel, QSlider, QVBoxLayout, QWidget

from ...processing_provider.translation import tr
from .levels import LEVELS, Levels, NoLevels
from .metrics import compare
from .neighbours import ground_of_others
from .session import Review, ReviewError
from .tool_looks import preview_band

FINE = 10
"""Positions of the slider from one of the 16 levels, which the arrow keys step through, to the next."""
PREPARE_MS = 80
"""After this the window of a new outline is read: the map moves first, and outlines that are skipped are not read."""
SETTLE_MS = 700
"""A change by keys is kept after a pause of this length, so that several steps are one edit."""


class LevelControl(QWidget):
    """Slider, level and area. Dragging shows the contour on the map, releasing makes it the outline in one edit command.

    Arrow keys step through the 16 levels, Enter keeps at once, Escape gives the outline back that was there.
    """

    def __init__(self, review: Review, canvas: QgsMapCanvas, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._review = review
        self._levels: Levels | None = None
        self._uid = ""
        self._start = 0
        self._proposal: QgsGeometry | None = None
        self._ours = ""
        self._band: QgsRubberBand | None = preview_band(canvas, Qgis.GeometryType.Polygon)
        self._slider = _Slider()
        self._slider.setAccessibleName(tr("Level of probability"))
        self._text = QLabel()
        self._text.setWordWrap(True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._slider)
        layout.addWidget(self._text)
        self.setFocusProxy(self._slider)
        self._preparing, self._settling = QTimer(self), QTimer(self)
        for timer, milliseconds, then in ((self._preparing, PREPARE_MS, self._prepare), (self._settling, SETTLE_MS, self._keep)):
            timer.setSingleShot(True)
            timer.setInterval(milliseconds)
            timer.timeout.connect(then)
        self._slider.valueChanged.connect(self._preview)
        self._slider.sliderReleased.connect(self._keep)
        self._slider.kept.connect(self._keep)
        self._slider.given_up.connect(self._give_up)
        review.current_changed.connect(self._go)
        review.changed.connect(self._follow)
        review.settling.connect(self._keep)
        review.closed.connect(self.release)
        self._go(review.current)

    def release(self) -> None:
        """Take the preview off the map and let go of the session."""
        if self._band is None:
            return
        self._preparing.stop()
        self._settling.stop()
        for signal, slot in (
            (self._review.current_changed, self._go),
            (self._review.changed, self._follow),
            (self._review.settling, self._keep),
            (self._review.closed, self.release),
        ):
            signal.disconnect(slot)
        if not sip.isdeleted(self._band):
            self._band.reset(Qgis.GeometryType.Polygon)
            self._band.scene().removeItem(self._band)
        self._band = None
        self._disable(tr("The session is closed."))

    def showEvent(self, event: QShowEvent) -> None:
        """What nobody sees is not read before it is shown."""
        super().showEvent(event)
        if self._levels is None and self._band is not None:
            self._prepare()

    def _go(self, uid: str) -> None:
        self._keep()
        self._uid, self._ours = uid, ""
        self._disable(tr("Reading the probability around the outline…"))
        self._preparing.start()

    def _follow(self, uids: list[str]) -> None:
        if self._proposal is None and not (uids == [self._uid] and self._review.outline(self._uid).asWkt() == self._ours):
            self._preparing.start()

    def _prepare(self) -> None:
        """Read the surface around the current outline, and show the level that its boundary keeps to."""
        if not self.isVisible():
            self._levels = None
            return
        self._preparing.stop()
        raster = self._review.probability
        outline = self._review.outline(self._uid) if self._uid else QgsGeometry()
        if raster is None:
            self._disable(
                tr(
                    "This session has no probability raster, so there are no levels. "
                    "Start one with the raster that Detect rock glaciers wrote."
                )
            )
            return
        if outline.isEmpty():
            self._disable(tr("Choose an outline in the queue first."))
            return
        try:
            levels = Levels(outline, self._review.crs, raster, QgsProject.instance().transformContext())
            levels.keep_off(ground_of_others(self._review.outlines, self._uid, levels.extent))
            now = levels.level_of(outline)
        except NoLevels as problem:
            self._disable(str(problem))
            return
        except QgsCsException:
            self._disable(tr("The outline lies where the map of the probability raster does not reach."))
            return
        self._levels = levels
        span = levels.highest - levels.lowest
        with QSignalBlocker(self._slider):
            self._slider.setValue(round((now - levels.lowest) / span * self._slider.maximum()))
        self._start = self._slider.value()
        self.setEnabled(True)
        tip = tr(
            "Drag to the left for more ground, to the right for less. Arrow keys go from level to level, Enter keeps, Escape gives the "
            "outline back."
        )
        self.setToolTip(tip)
        self._say(now, outline)

    def _level(self) -> float:
        share = self._slider.value() / self._slider.maximum()
        return self._levels.lowest + share * (self._levels.highest - self._levels.lowest)

    def _preview(self) -> None:
        if self._levels is None or self._band is None:
            return
        self._proposal = self._levels.outline(self._level())
        self._band.setToGeometry(self._proposal, self._review.crs)
        self._say(self._level(), self._proposal)
        if self._slider.isSliderDown():
            self._settling.stop()
        else:
            self._settling.start()

    def _keep(self) -> None:
        """Make the previewed contour the outline."""
        self._settling.stop()
        proposal, self._proposal = self._proposal, None
        if self._band is not None:
            self._band.reset(Qgis.GeometryType.Polygon)
        if proposal is None:
            return
        if proposal.isEmpty() or self._slider.value() == self._start:
            self._preparing.start()
            return
        previous, self._ours = self._ours, proposal.asWkt()
        try:
            self._review.set_outline(self._uid, proposal, "level")
        except ReviewError as problem:
            self._ours = previous
            self._preparing.start()
            self._review.said.emit(str(problem), Qgis.MessageLevel.Warning)
            return
        self._ours = self._review.outline(self._uid).asWkt()
        self._start = self._slider.value()

    def _give_up(self) -> None:
        self._proposal = None
        self._settling.stop()
        if self._band is not None:
            self._band.reset(Qgis.GeometryType.Polygon)
        if self._levels is not None:
            with QSignalBlocker(self._slider):
                self._slider.setValue(self._start)
            self._say(self._level(), self._review.outline(self._uid))

    def _say(self, level: float, outline: QgsGeometry) -> None:
        shown = QLocale().toString
        area = compare(outline, QgsGeometry(), self._review.crs, QgsProject.instance().transformContext()).area_km2
        if math.isnan(area):
            self._text.setText(tr("Probability {}: nothing is left").format(shown(level, "f", 2)))
        else:
            self._text.setText(tr("Probability {} and more: {} km²").format(shown(level, "f", 2), shown(area, "f", 3)))

    def _disable(self, why: str) -> None:
        self._levels = None
        self.setEnabled(False)
        self.setToolTip(why)
        self._text.setText(why)


class _Slider(QSlider):
    """16 levels with finer positions between; the wheel belongs to the dock, unless a person has gone to the slider."""

    kept = pyqtSignal()
    given_up = pyqtSignal()

    def __init__(self) -> None:
        super().__init__(Qt.Orientation.Horizontal)
        self.setRange(0, FINE * (LEVELS - 1))
        self.setSingleStep(FINE)
        self.setPageStep(3 * FINE)
        self.setTickInterval(FINE)
        self.setTickPosition(QSlider.TickPosition.TicksBelow)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)

    def event(self, event: QEvent) -> bool:
        """Enter and Escape are the slider's own, whatever shortcuts there are."""
        if event.type() == QEvent.Type.ShortcutOverride and event.key() in (Qt.Key.Key_Escape, Qt.Key.Key_Return, Qt.Key.Key_Enter):
            event.accept()
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter keeps, Escape gives up."""
        if event.key() == Qt.Key.Key_Escape:
            self.blockSignals(True)  # letting the handle go is no decision
            self.setSliderDown(False)
            self.blockSignals(False)
            self.given_up.emit()
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.kept.emit()
        else:
            super().keyPressEvent(event)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Scrolling through the dock must not change an outline."""
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()

"""How certain the network was, and decisions on all outlines that it was certain or doubtful of."""

from __future__ import annotations

from typing import Callable

import numpy as np
from qgis.core import Qgis, QgsSettings
from qgis.PyQt.QtCore import QLocale, QPointF, QRectF, QSize, Qt, pyqtSignal
from qgis.PyQt.QtGui import QBrush, QColor, QMouseEvent, QPainter, QPaintEvent, QPalette, QPen, QShowEvent
from qgis.PyQt.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QSlider,
    QVBoxLayout,
    QWidget,
)
from qgis.utils import OverrideCursor

from ...processing_provider.translation import tr
from ...review_session import REASONS
from .session import Review, ReviewError
from .wording import reason_text

BINS = 20
STEPS = 100
"""Of the slider from probability 0 to 1."""
THRESHOLD = 0.9
THRESHOLD_SETTING = "rock_glacier_mapper/review/certain_probability"
UNDECIDED_COLOUR, DECIDED_COLOUR = QColor(0, 114, 178), QColor(230, 159, 0)
"""Okabe and Ito (2008); what is decided is hatched, too."""


class Histogram(QWidget):
    """Numbers of undecided and decided outlines by probability, and a line at the threshold."""

    chosen = pyqtSignal(float)
    """A probability, by the mouse."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._undecided, self._decided, self._threshold = np.zeros(BINS), np.zeros(BINS), 0.0
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def show_counts(self, undecided: np.ndarray, decided: np.ndarray, threshold: float) -> None:
        """Numbers ``(bins,)`` of bins of equal width over 0 to 1."""
        self._undecided, self._decided, self._threshold = undecided, decided, threshold
        self.setAccessibleDescription(
            tr("{} undecided and {} decided outlines have a probability").format(int(undecided.sum()), int(decided.sum()))
        )
        self.update()

    def sizeHint(self) -> QSize:
        """Eight lines of text."""
        return QSize(20 * self.fontMetrics().averageCharWidth(), 8 * self.fontMetrics().height())

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Choose a threshold."""
        self._choose(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Choose a threshold by dragging."""
        self._choose(event)

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Bars from below: undecided, decided on top; the scale beneath, the legend above."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        group = QPalette.ColorGroup.Active if self.isEnabled() else QPalette.ColorGroup.Disabled
        text = self.palette().color(group, QPalette.ColorRole.WindowText)
        line = self.fontMetrics().height()
        plot = self._plot()
        legend = (QBrush(UNDECIDED_COLOUR), tr("undecided")), (QBrush(DECIDED_COLOUR, Qt.BrushStyle.Dense3Pattern), tr("decided"))
        left = plot.left()
        for brush, name in legend:
            painter.fillRect(QRectF(left, line * 0.25, line * 0.6, line * 0.6), brush)
            painter.setPen(text)
            painter.drawText(QPointF(left + line * 0.8, self.fontMetrics().ascent()), name)
            left += line * 1.6 + self.fontMetrics().horizontalAdvance(name)
        highest = max(1, int((self._undecided + self._decided).max()))
        width = plot.width() / len(self._undecided)
        for number, counts in enumerate(zip(self._undecided, self._decided)):
            bottom = plot.bottom()
            for (brush, _), count in zip(legend, counts):
                height = max(plot.height() * count / highest, 1.0) if count else 0.0
                painter.fillRect(QRectF(plot.left() + number * width, bottom - height, width * 0.9, height), brush)
                bottom -= height
        painter.setPen(QPen(text, 1))
        painter.drawLine(plot.bottomLeft(), plot.bottomRight())
        labels = QRectF(plot.left(), plot.bottom(), plot.width(), line * 1.2)
        for value, alignment in (
            (0.0, Qt.AlignmentFlag.AlignLeft),
            (0.5, Qt.AlignmentFlag.AlignHCenter),
            (1.0, Qt.AlignmentFlag.AlignRight),
        ):
            painter.drawText(labels, alignment | Qt.AlignmentFlag.AlignBottom, QLocale().toString(value, "f", 1))
        painter.setPen(QPen(text, line / 8, Qt.PenStyle.DashLine))
        at = plot.left() + plot.width() * self._threshold
        painter.drawLine(QPointF(at, plot.top()), QPointF(at, plot.bottom()))

    def _plot(self) -> QRectF:
        line = self.fontMetrics().height()
        return QRectF(self.rect()).adjusted(line / 2, line * 1.3, -line / 2, -line * 1.2)

    def _choose(self, event: QMouseEvent) -> None:
        if event.buttons() & Qt.MouseButton.LeftButton:
            plot = self._plot()
            self.chosen.emit(min(1.0, max(0.0, (event.pos().x() - plot.left()) / plot.width())))


class ConfidencePanel(QWidget):
    """A threshold of probability; accepts all undecided outlines in view from it on, or rejects all below it.

    Outlines that two reviewers disagree on are left to judge one by one. Call ``follow`` when the queue's view has changed.
    """

    def __init__(self, review: Review, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._review = review
        self._undecided, self._decided = np.zeros(BINS), np.zeros(BINS)
        self.histogram = Histogram()
        self.histogram.setAccessibleName(tr("Histogram of probability"))
        self.histogram.chosen.connect(lambda probability: self.slider.setValue(round(probability * STEPS)))
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, STEPS)
        self.slider.setPageStep(STEPS // BINS)
        self.box = QDoubleSpinBox()
        self.box.setRange(0.0, 1.0)
        self.box.setDecimals(2)
        self.box.setSingleStep(1 / STEPS)
        label = QLabel(tr("&Probability"))
        label.setBuddy(self.slider)
        self._note = QLabel()
        self._note.setWordWrap(True)
        self.accept_button, self.reject_button = QPushButton(), QPushButton()
        self.reason = QComboBox()
        self.reason.setAccessibleName(tr("Reason of the rejection"))
        self.reason.addItem(tr("Reason to reject…"), None)
        for reason in REASONS:
            self.reason.addItem(reason_text(reason), reason)
        for button in (self.accept_button, self.reject_button, self.reason):
            button.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        calibration = tr("Mean probability over the outline. It is calibrated only as far as the model's card says.")
        for widget in (self.histogram, self.slider, self.box, label):
            widget.setToolTip(calibration)
        for widget in (self.slider, self.box):
            widget.setAccessibleName(tr("Probability to decide by"))

        choosing = QHBoxLayout()
        choosing.addWidget(label)
        choosing.addWidget(self.slider, 1)
        choosing.addWidget(self.box)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.histogram)
        layout.addLayout(choosing)
        for widget in (self.accept_button, self.reason, self.reject_button, self._note):
            layout.addWidget(widget)

        threshold = QgsSettings().value(THRESHOLD_SETTING, THRESHOLD, float)
        self.slider.setValue(round(threshold * STEPS))
        self.box.setValue(self.threshold)
        self.slider.valueChanged.connect(self._slide)
        self.box.valueChanged.connect(lambda value: self.slider.setValue(round(value * STEPS)))
        self.reason.currentIndexChanged.connect(lambda _index: self._offer())
        self.accept_button.clicked.connect(self._accept)
        self.reject_button.clicked.connect(self._reject)
        self.setFocusProxy(self.slider)
        review.changed.connect(lambda _uids: self.follow())
        review.closed.connect(lambda: self.setEnabled(False))

    @property
    def threshold(self) -> float:
        """Probability from which on outlines are certain."""
        return self.slider.value() / STEPS

    def follow(self) -> None:
        """Show the queue's view as it is now; not while nobody sees it."""
        if not self.isVisible():
            return
        _, self._undecided, self._decided = self._review.queue.histogram(BINS)
        self._offer()

    def showEvent(self, event: QShowEvent) -> None:
        """Catch up."""
        super().showEvent(event)
        self.follow()

    def _slide(self, _value: int) -> None:
        self.box.blockSignals(True)
        self.box.setValue(self.threshold)
        self.box.blockSignals(False)
        QgsSettings().setValue(THRESHOLD_SETTING, self.threshold)
        self._offer()

    def _offer(self) -> None:
        """Say what the buttons would do."""
        queue, shown = self._review.queue, QLocale().toString(self.threshold, "f", 2)
        self.histogram.show_counts(self._undecided, self._decided, self.threshold)
        (certain, certain_km2), (doubtful, doubtful_km2) = queue.amounts(self.threshold)
        self.accept_button.setText(tr("Accept {} from {} on ({})").format(*self._amount(certain, certain_km2)))
        self.accept_button.setToolTip(
            tr("Accepts the undecided outlines in the list with a probability of {} or more; it can be undone").format(shown)
        )
        self.accept_button.setEnabled(bool(certain))
        self.reject_button.setText(tr("Reject {} below {} ({})").format(*self._amount(doubtful, doubtful_km2)))
        self.reject_button.setToolTip(
            tr("Rejects the undecided outlines in the list with a probability below {}, for the reason chosen; it can be undone").format(
                shown
            )
        )
        self.reject_button.setEnabled(bool(doubtful) and self.reason.currentData() is not None)
        self.reason.setEnabled(bool(doubtful))
        known = bool(self._undecided.any() or self._decided.any())
        for widget in (self.histogram, self.slider, self.box):
            widget.setEnabled(known)
        self._note.setText(self._remark(known, certain + doubtful))
        self._note.setVisible(bool(self._note.text()))

    def _remark(self, known: bool, open_: int) -> str:
        if not known:
            return tr(
                "No outline in the list has a probability: choose by the other columns, or begin a session with a probability raster."
            )
        others = self._review.queue.undecided(in_view=True) - open_
        return tr("{} undecided ones without a probability or in conflict are judged one by one.").format(others) if others else ""

    def _amount(self, count: int, area_km2: float) -> tuple[str, str, str]:
        shown = QLocale().toString
        return shown(count), shown(self.threshold, "f", 2), tr("{} km²").format(shown(area_km2, "f", 1))

    def _accept(self) -> None:
        uids = self._review.queue.certain(self.threshold)
        self._do(lambda: self._review.accept(uids))

    def _reject(self) -> None:
        uids = self._review.queue.doubtful(self.threshold)
        comment = tr("probability below {}").format(QLocale().toString(self.threshold, "f", 2))
        self._do(lambda: self._review.reject(uids, self.reason.currentData(), comment))
        self.reason.setCurrentIndex(0)

    def _do(self, decide: Callable[[], None]) -> None:
        try:
            with OverrideCursor(Qt.CursorShape.WaitCursor):  # thousands of outlines take seconds
                decide()
        except ReviewError as error:
            self._review.said.emit(str(error), Qgis.MessageLevel.Warning)

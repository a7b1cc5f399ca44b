"""Curves over the same steps, one chart below the other, with the values under the cursor: drawn with Qt alone, as every QGIS has it."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from qgis.PyQt.QtCore import QEvent, QPointF, QRectF, QSize, Qt, pyqtSignal
from qgis.PyQt.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPalette, QPen, QPolygonF
from qgis.PyQt.QtWidgets import QSizePolicy, QWidget

from ..processing_provider.translation import tr

ORANGE, BLUE, GREEN, PURPLE = (QColor(name) for name in ("#e69f00", "#56b4e9", "#009e73", "#cc79a7"))
"""Of Okabe and Ito: told apart by the colour-blind, and seen on light and on dark ground."""
BEYOND = 0.15
"""Room above and below the curves, of what they span."""
FAINT = 70
"""How opaque what lies behind a smoothed curve is, of 255."""


@dataclass(frozen=True)
class Curve:
    """``x`` and ``y`` are of one length, NaN where unknown; ``behind``: ``y`` before it was smoothed; ``dots``: each value is shown."""

    name: str
    colour: QColor
    x: Sequence[float]
    y: Sequence[float]
    behind: Sequence[float] = ()
    dots: bool = False

    def at(self, x: float) -> float:
        """The value at the place nearest to x, NaN where there is none at all; x grows along the curve."""
        right = bisect_left(self.x, x)
        before = next((index for index in range(right - 1, -1, -1) if not math.isnan(self.y[index])), None)
        after = next((index for index in range(right, len(self.y)) if not math.isnan(self.y[index])), None)
        known = [index for index in (before, after) if index is not None]
        return self.y[min(known, key=lambda index: abs(self.x[index] - x))] if known else math.nan


class CurveChart(QWidget):
    """A chart of some curves."""

    pointed = pyqtSignal(object)
    """The place on the axis under the cursor, as a float, None when it left."""

    def __init__(self, title: str, spread: tuple[float, float] | None = None, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._title, self._spread = title, spread
        self._curves: tuple[Curve, ...] = ()
        self._last_x, self._marked = 1.0, None
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setAccessibleName(title)

    def show_curves(self, curves: Sequence[Curve], last_x: float) -> None:
        """Draw other curves, from 0 to ``last_x``."""
        self._curves, self._last_x = tuple(curves), max(last_x, 1.0)
        self.update()
        self.setAccessibleDescription(self.values_at(self._last_x))

    def mark(self, x: float | None) -> None:
        """Show the values at a place, None = nowhere."""
        self._marked = x
        self.update()

    def values_at(self, x: float) -> str:
        """Of all curves, in words."""
        return ", ".join(f"{curve.name} {readable(curve.at(x))}".strip() for curve in self._curves if not math.isnan(curve.at(x)))

    def sizeHint(self) -> QSize:
        """By the size of the letters."""
        height = self.fontMetrics().height()
        return QSize(40 * height, 11 * height)

    def minimumSizeHint(self) -> QSize:
        """Enough to read the axes."""
        return self.sizeHint() / 2

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Called by Qt."""
        plot = self._plot()
        place = event.position().x() if hasattr(event, "position") else event.localPos().x()
        self.pointed.emit(min(max((place - plot.left()) / plot.width(), 0.0), 1.0) * self._last_x)

    def leaveEvent(self, event: QEvent) -> None:
        """Called by Qt."""
        self.pointed.emit(None)
        super().leaveEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Arrows move the mark."""
        move = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}.get(Qt.Key(event.key()))
        if move is None:
            super().keyPressEvent(event)
            return
        at = self._last_x if self._marked is None else self._marked
        self.pointed.emit(min(max(at + move * max(1.0, self._last_x / 100), 0.0), self._last_x))

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Called by Qt."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        plot, (low, high) = self._plot(), self._range()
        painter.fillRect(plot, self.palette().brush(QPalette.ColorRole.Base))
        self._draw_axes(painter, plot, low, high)
        painter.save()
        painter.setClipRect(plot.adjusted(-1, -1, 1, 1))
        for curve in reversed(self._curves):  # the first one on top
            self._draw(painter, plot, low, high, curve)
        painter.restore()
        if not self.values_at(0.0):
            painter.setPen(self.palette().color(QPalette.ColorRole.PlaceholderText))
            painter.drawText(plot, Qt.AlignmentFlag.AlignCenter, tr("nothing yet"))
        self._draw_legend(painter, plot)

    def _draw_axes(self, painter: QPainter, plot: QRectF, low: float, high: float) -> None:
        text, line = self.palette().color(QPalette.ColorRole.WindowText), self.palette().color(QPalette.ColorRole.Mid)
        row = self.fontMetrics().height()
        painter.setPen(QPen(line, 0))
        painter.drawRect(plot)
        for value in ticks(low, high, max(2.0, plot.height() / (2.5 * row))):
            y = plot.bottom() - (value - low) / (high - low) * plot.height()
            painter.setPen(QPen(line, 0, Qt.PenStyle.DotLine))
            painter.drawLine(QPointF(plot.left(), y), QPointF(plot.right(), y))
            painter.setPen(text)
            label = QRectF(0, y - row / 2, plot.left() - row / 3, row)
            painter.drawText(label, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, readable(value))
        for value in ticks(0.0, self._last_x, plot.width() / (8 * row)):
            x = plot.left() + value / self._last_x * plot.width()
            painter.drawLine(QPointF(x, plot.bottom()), QPointF(x, plot.bottom() + row / 4))
            label = QRectF(x - 4 * row, plot.bottom() + row / 4, 8 * row, row)
            painter.drawText(label, Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop, readable(value))

    def _draw(self, painter: QPainter, plot: QRectF, low: float, high: float, curve: Curve) -> None:
        width = self.fontMetrics().height() / 9
        for values, is_behind in ((curve.behind, True), (curve.y, False)):
            colour = QColor(curve.colour)
            colour.setAlpha(FAINT if is_behind else 255)
            painter.setPen(QPen(colour, width / 2 if is_behind else width))
            for piece in pieces(curve.x, values, plot, self._last_x, low, high):
                painter.drawPolyline(piece)
                if curve.dots or piece.count() == 1:
                    painter.setBrush(colour)
                    for point in piece:
                        painter.drawEllipse(point, 1.2 * width, 1.2 * width)
                    painter.setBrush(Qt.BrushStyle.NoBrush)

    def _draw_legend(self, painter: QPainter, plot: QRectF) -> None:
        """Title and names above, with the values at the mark, or the last ones."""
        row = self.fontMetrics().height()
        text = self.palette().color(QPalette.ColorRole.WindowText)
        painter.setPen(text)
        font = self.font()
        font.setBold(True)
        painter.setFont(font)
        left = row / 3
        painter.drawText(QPointF(left, plot.top() - row / 2), self._title)
        left += painter.fontMetrics().horizontalAdvance(self._title) + row
        painter.setFont(self.font())
        at = self._last_x if self._marked is None else self._marked
        for curve in self._curves:
            value = curve.at(at)
            if math.isnan(value):
                continue
            painter.setPen(QPen(curve.colour, row / 5))
            painter.drawLine(QPointF(left, plot.top() - 0.85 * row), QPointF(left + row, plot.top() - 0.85 * row))
            painter.setPen(text)
            label = f"{curve.name} {readable(value)}".strip()
            painter.drawText(QPointF(left + 1.3 * row, plot.top() - row / 2), label)
            left += 1.3 * row + self.fontMetrics().horizontalAdvance(label) + 0.8 * row
        if self._marked is not None:
            x = plot.left() + self._marked / self._last_x * plot.width()
            painter.setPen(QPen(text, 0, Qt.PenStyle.DashLine))
            painter.drawLine(QPointF(x, plot.top()), QPointF(x, plot.bottom()))
            is_right = x > plot.center().x()
            place = QRectF(x - plot.width() if is_right else x, plot.top(), plot.width(), row).adjusted(row / 3, 0, -row / 3, 0)
            side = Qt.AlignmentFlag.AlignRight if is_right else Qt.AlignmentFlag.AlignLeft
            painter.setPen(text)
            painter.drawText(place, side | Qt.AlignmentFlag.AlignVCenter, tr("step {:.0f}").format(self._marked))

    def _plot(self) -> QRectF:
        row = self.fontMetrics().height()
        left = self.fontMetrics().horizontalAdvance("0.00005") + row / 2
        return QRectF(self.rect()).adjusted(left, 1.6 * row, -row, -1.5 * row)

    def _range(self) -> tuple[float, float]:
        """Of the values: as given, or what the curves in front need."""
        values = [value for curve in self._curves for value in curve.y if not math.isnan(value)]
        low, high = min(values, default=0.0), max(values, default=1.0)
        if self._spread is not None:
            low, high = self._spread
        else:
            room = (high - low) * BEYOND or abs(low) / 10 or 1.0
            low, high = max(low - room, min(low, 0.0)), high + room
        return low, high


def pieces(x: Sequence[float], y: Sequence[float], plot: QRectF, last_x: float, low: float, high: float) -> Iterator[QPolygonF]:
    """The unbroken stretches of a curve on the screen, not more than two points for each of its pixels."""
    step = max(1, round(len(y) / max(1.0, 2 * plot.width())))
    piece = QPolygonF()
    for start in range(0, len(y), step):
        values = [value for value in y[start : start + step] if not math.isnan(value)]
        if not values:
            if piece.count():
                yield piece
            piece = QPolygonF()
            continue
        across = x[min(start + step, len(x)) - 1] / last_x * plot.width()
        up = (sum(values) / len(values) - low) / (high - low) * plot.height()
        piece.append(QPointF(plot.left() + across, plot.bottom() - up))
    if piece.count():
        yield piece


def ticks(low: float, high: float, count: float) -> list[float]:
    """Round values between two limits, about so many."""
    rough = (high - low) / max(1.0, count)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.99)
    first = math.ceil(low / step - 1e-9)
    return [number * step for number in range(first, math.floor(high / step + 1e-9) + 1)]


def readable(value: float) -> str:
    """As short as it can be read."""
    if value == 0:
        return "0"
    if abs(value) < 1e-3:
        return f"{value:.2g}"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"

"""A person's mouse on the map, for the tests of map tools."""

from __future__ import annotations

from qgis.core import QgsCoordinateTransform, QgsGeometry, QgsProject, QgsRectangle
from qgis.gui import QgsMapCanvas
from qgis.PyQt.QtCore import QEvent, QPoint, QPointF, Qt
from qgis.PyQt.QtGui import QMouseEvent, QResizeEvent
from qgis.PyQt.QtTest import QTest
from qgis.PyQt.QtWidgets import QApplication


def look_at(canvas: QgsMapCanvas, crs, geometry: QgsGeometry, surroundings: float = 0.5) -> None:
    """Show a geometry (in ``crs``) in its middle."""
    canvas.resize(500, 500)
    # a map that is not shown learns of its size only so
    QApplication.sendEvent(canvas.viewport(), QResizeEvent(canvas.viewport().size(), canvas.viewport().size()))
    canvas.setDestinationCrs(crs)
    box = QgsRectangle(geometry.boundingBox())
    canvas.setExtent(box.buffered(surroundings * max(box.width(), box.height())))


def pixel(canvas: QgsMapCanvas, x: float, y: float, crs=None) -> QPoint:
    """Where a place is; in the canvas' coordinate reference system, or in another."""
    place = canvas.mapSettings().destinationCrs()
    transform = QgsCoordinateTransform(crs or place, place, QgsProject.instance())
    return canvas.getCoordinateTransform().transform(transform.transform(x, y)).toQPointF().toPoint()


def click(
    canvas: QgsMapCanvas, x: float, y: float, button=Qt.MouseButton.LeftButton, modifier=Qt.KeyboardModifier.NoModifier, crs=None
) -> None:
    """Move to a place and click."""
    move(canvas, x, y, crs)
    QTest.mouseClick(canvas.viewport(), button, modifier, pixel(canvas, x, y, crs))


def move(canvas: QgsMapCanvas, x: float, y: float, crs=None) -> None:
    """Move to a place."""
    place, none = QPointF(pixel(canvas, x, y, crs)), Qt.MouseButton.NoButton
    # QTest.mouseMove moves the pointer of the screen, which a map that is not shown does not notice
    QApplication.sendEvent(canvas.viewport(), QMouseEvent(QEvent.Type.MouseMove, place, place, none, none, Qt.KeyboardModifier.NoModifier))


def press(canvas: QgsMapCanvas, key) -> None:
    """A key, with the keyboard on the map."""
    QTest.keyClick(canvas, key)


def items(canvas: QgsMapCanvas) -> int:
    """How many things are drawn on the map."""
    return len(canvas.scene().items())

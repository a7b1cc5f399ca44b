"""How the tools and views of a review draw on the map: legible on snow and in shadow, and with colour-blindness (Okabe and Ito)."""

from __future__ import annotations

from qgis.core import Qgis
from qgis.gui import QgsMapCanvas, QgsRubberBand, QgsVertexMarker
from qgis.PyQt.QtGui import QColor

PREVIEW, PROPOSED, LETTERS, CASING = QColor("#d55e00"), QColor("#cc79a7"), QColor("#ffffff"), QColor(26, 26, 26, 170)


def line_width(canvas: QgsMapCanvas) -> int:
    """In pixels, by the size of the letters on this screen."""
    return max(2, round(canvas.fontMetrics().height() / 7))


def preview_band(canvas: QgsMapCanvas, kind: Qgis.GeometryType) -> QgsRubberBand:
    """Shows what would be made."""
    band = QgsRubberBand(canvas, kind)
    band.setStrokeColor(PREVIEW)
    band.setSecondaryStrokeColor(CASING)
    band.setFillColor(QColor(0, 0, 0, 0))
    band.setWidth(line_width(canvas))
    return band


def crosshair(canvas: QgsMapCanvas) -> QgsVertexMarker:
    """Where the cursor of another view is on this map; hidden at first."""
    marker = QgsVertexMarker(canvas)
    marker.setIconType(QgsVertexMarker.IconType.ICON_CROSS)
    marker.setIconSize(2 * canvas.fontMetrics().height())
    marker.setPenWidth(line_width(canvas))
    marker.setColor(PROPOSED)
    marker.hide()
    return marker

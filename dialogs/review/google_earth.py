"""The place of the current outline in Google Earth, or in any other program that opens KML."""

from __future__ import annotations

import math
from pathlib import Path
from xml.etree.ElementTree import Element, ElementTree, SubElement  # nosec B405 it writes, it reads nothing

from qgis.core import (
    Qgis,
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsCsException,
    QgsDistanceArea,
    QgsGeometry,
    QgsPointXY,
    QgsProcessingUtils,
    QgsProject,
)
from qgis.PyQt.QtCore import QUrl
from qgis.PyQt.QtGui import QDesktopServices

from ...processing_provider.translation import tr
from .session import Review

NAMESPACE = "http://www.opengis.net/kml/2.2"
COLOURS = {"outline": "ffffffff", "reference": "ffe9b456", "predicted": "ff009fe6"}
"""Of the lines, as KML has it: opacity, blue, green, red. White, and the two colours of the map's hatches."""
TILT = 45.0
"""Degrees from the vertical that the place is looked at from: oblique, a front is seen as a step."""
RANGE_PER_SIZE = 2.5
SHORTEST_RANGE_M = 1200.0
"""Metres from the eye to the place."""


def open_in_google_earth(review: Review) -> Path | None:
    """Write the current outline, and the manual and predicted outlines it corresponds to, as KML, and have it opened.

    Where no program opens it, the person is told where the file is. None where there is no current outline, or none on the Earth.
    """
    uid = review.current
    outline = review.outline(uid) if uid else QgsGeometry()
    if outline.isEmpty():
        review.said.emit(tr("Choose an outline first."), Qgis.MessageLevel.Info)
        return None
    shapes = {
        "outline": (tr("Outline"), outline),
        "reference": (tr("Manual outlines"), review.reference_ground(uid)),
        "predicted": (tr("Outlines as predicted"), review.predicted_ground(uid)),
    }
    project = review.outlines.project() or QgsProject.instance()
    try:
        document = kml(review.queue.value_of(uid, "name") or uid, shapes, review.crs, project)
    except QgsCsException:
        review.said.emit(tr("The outline has no place on the Earth in {}.").format(review.crs.authid()), Qgis.MessageLevel.Warning)
        return None
    path = Path(QgsProcessingUtils.generateTempFilename("rock_glacier.kml"))
    document.write(path, encoding="utf-8", xml_declaration=True)
    if not QDesktopServices.openUrl(QUrl.fromLocalFile(str(path))):
        review.said.emit(
            tr(
                "No program on this computer opens KML. Open {} yourself, in a browser at earth.google.com with New > Local KML file. "
                "It stays until QGIS is closed."
            ).format(path),
            Qgis.MessageLevel.Warning,
        )
    return path


def kml(name: str, shapes: dict[str, tuple[str, QgsGeometry]], crs: QgsCoordinateReferenceSystem, project: QgsProject) -> ElementTree:
    """A document of areas in ``crs``, style -> name and polygons, looked at obliquely from a sensible distance; empty ones stay out.

    Raises
    ------
    QgsCsException
        where a place is not on the Earth.

    Source
    ------
    OGC 12-007r2, KML 2.3 (read as 2.2).
    """
    root = Element("kml", xmlns=NAMESPACE)
    document = SubElement(root, "Document")
    SubElement(document, "name").text = name
    to_earth = QgsCoordinateTransform(crs, QgsCoordinateReferenceSystem("EPSG:4326"), project)
    present = {style: (title, QgsGeometry(shape)) for style, (title, shape) in shapes.items() if not shape.isEmpty()}
    first = next(iter(present.values()))[1]
    _look_at(document, first, crs, project, to_earth)
    for style in present:
        look = SubElement(document, "Style", id=style)
        line = SubElement(look, "LineStyle")
        SubElement(line, "color").text = COLOURS[style]
        SubElement(line, "width").text = "3" if style == "outline" else "2"
        SubElement(SubElement(look, "PolyStyle"), "fill").text = "0"
    for style, (title, shape) in present.items():
        place = SubElement(document, "Placemark")
        SubElement(place, "name").text = f"{title}: {name}"
        SubElement(place, "styleUrl").text = f"#{style}"
        several = SubElement(place, "MultiGeometry")
        shape.transform(to_earth)
        shape.convertToMultiType()
        for polygon in shape.forcePolygonCounterClockwise().asMultiPolygon():
            _polygon(several, polygon)
    return ElementTree(root)


def _look_at(
    parent: Element, shape: QgsGeometry, crs: QgsCoordinateReferenceSystem, project: QgsProject, to_earth: QgsCoordinateTransform
) -> None:
    box = shape.boundingBox()
    measure = QgsDistanceArea()
    measure.setSourceCrs(crs, project.transformContext())
    measure.setEllipsoid("EPSG:7030")
    size = measure.measureLine(QgsPointXY(box.xMinimum(), box.yMinimum()), QgsPointXY(box.xMaximum(), box.yMaximum()))
    middle = to_earth.transform(box.center())
    look = SubElement(parent, "LookAt")
    distance = max(SHORTEST_RANGE_M, RANGE_PER_SIZE * size) if math.isfinite(size) else SHORTEST_RANGE_M
    values = {"longitude": f"{middle.x():.7f}", "latitude": f"{middle.y():.7f}", "altitude": "0", "heading": "0"}
    for key, value in {**values, "tilt": f"{TILT:g}", "range": f"{distance:.0f}", "altitudeMode": "clampToGround"}.items():
        SubElement(look, key).text = value


def _polygon(parent: Element, rings: list[list[QgsPointXY]]) -> None:
    polygon = SubElement(parent, "Polygon")
    SubElement(polygon, "tessellate").text = "1"
    for number, ring in enumerate(rings):
        boundary = SubElement(polygon, "outerBoundaryIs" if number == 0 else "innerBoundaryIs")
        places = " ".join(f"{point.x():.7f},{point.y():.7f}" for point in ring)
        SubElement(SubElement(boundary, "LinearRing"), "coordinates").text = places

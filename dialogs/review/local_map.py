"""A map in metres around a place: sessions may be in any coordinate reference system, degrees too."""

from __future__ import annotations

from qgis.core import QgsCoordinateReferenceSystem, QgsCoordinateTransform, QgsCoordinateTransformContext, QgsGeometry, QgsPointXY


def local_map(place: QgsPointXY, crs: QgsCoordinateReferenceSystem, context: QgsCoordinateTransformContext) -> QgsCoordinateTransform:
    """From ``crs`` to Lambert's azimuthal equal-area map around a place in it; within 10 km lengths there are true to a millionth."""
    middle = QgsCoordinateTransform(crs, QgsCoordinateReferenceSystem("EPSG:4326"), context).transform(place)
    definition = f"+proj=laea +lat_0={middle.y():.7f} +lon_0={middle.x():.7f} +datum=WGS84 +units=m +no_defs"
    return QgsCoordinateTransform(crs, QgsCoordinateReferenceSystem.fromProj(definition), context)


def transformed(geometry: QgsGeometry, transform: QgsCoordinateTransform, back: bool = False) -> QgsGeometry:
    """A copy on the other map; ``back`` takes it from there.

    Raises
    ------
    QgsCsException
        where the place is not on that map.
    """
    direction = (
        QgsCoordinateTransform.TransformDirection.ReverseTransform if back else QgsCoordinateTransform.TransformDirection.ForwardTransform
    )
    copy = QgsGeometry(geometry)
    copy.transform(transform, direction)
    return copy

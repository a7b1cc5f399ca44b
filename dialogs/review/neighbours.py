"""Ground that belongs to other outlines."""

from __future__ import annotations

from qgis.core import QgsFeatureRequest, QgsGeometry, QgsRectangle, QgsVectorLayer

NOBODYS = ("rejected", "replaced")
"""Status of outlines whose ground others may take."""


def ground_of_others(outlines: QgsVectorLayer, uid: str, extent: QgsRectangle) -> QgsGeometry:
    """Union of the session's outlines in an extent but for one of them, less its own ground: what they share already stays shared."""
    request = QgsFeatureRequest(extent).setSubsetOfAttributes(["uid", "status"], outlines.fields())
    found = list(outlines.getFeatures(request))
    others = [feature.geometry() for feature in found if feature["uid"] != uid and feature["status"] not in NOBODYS]
    if not others:
        return QgsGeometry()
    ground = QgsGeometry.unaryUnion(others)
    for feature in found:
        if feature["uid"] == uid:
            ground = ground.difference(feature.geometry())
    return ground

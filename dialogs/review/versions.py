"""Outlines on which reviewers disagree: a merged session holds a version of each boundary that somebody had.

One ground has one outline in the inventory. So every decision that keeps a version (accepted, edited, uncertain, and the manual outline
that is taken) replaces the undecided other versions on its ground, in the same step to undo. To reject one says nothing of the others:
they wait.
"""

from __future__ import annotations

from collections.abc import Iterable

from qgis.core import QgsFeature, QgsFeatureRequest, QgsVectorLayer

from .shapes import valid

SAME_GROUND = 0.5
"""Share of the smaller outline, as when sessions are merged."""
WAITING = '"conflict" IS NOT NULL AND "status" = \'unreviewed\''


def other_versions(outlines: QgsVectorLayer, uids: Iterable[str]) -> list[str]:
    """Undecided outlines in conflict on the ground of some others in conflict, which give way when those are kept."""
    chosen = set(uids)
    found: dict[str, None] = {}
    for feature in _waiting(outlines, QgsFeatureRequest()) if chosen else ():
        if feature["uid"] in chosen:
            near = QgsFeatureRequest(feature.geometry().boundingBox())
            found.update(dict.fromkeys(other["uid"] for other in _waiting(outlines, near) if _on_same_ground(feature, other)))
    return [uid for uid in found if uid not in chosen]


def _waiting(outlines: QgsVectorLayer, request: QgsFeatureRequest) -> list[QgsFeature]:
    return list(
        outlines.getFeatures(request.setFilterExpression(WAITING).setSubsetOfAttributes(["uid", "conflict", "status"], outlines.fields()))
    )


def _on_same_ground(one: QgsFeature, other: QgsFeature) -> bool:
    ours, theirs = (valid(feature.geometry()) for feature in (one, other))
    shared = ours.intersection(theirs).area()
    return shared > 0 and shared >= SAME_GROUND * min(ours.area(), theirs.area())

"""What the words of a session's form are called on screen, in the language QGIS runs in."""

from __future__ import annotations

from ...processing_provider.translation import tr


def reason_text(reason: str) -> str:
    """Why an outline was rejected."""
    return {
        "debris-covered glacier": tr("debris-covered glacier"),
        "moraine": tr("moraine"),
        "talus": tr("talus"),
        "landslide": tr("landslide"),
        "solifluction": tr("solifluction"),
        "snow": tr("snow"),
        "shadow": tr("shadow"),
        "other": tr("other"),
    }.get(reason, reason)


def status_text(status: str) -> str:
    """What was decided on an outline."""
    return {
        "unreviewed": tr("unreviewed"),
        "accepted": tr("accepted"),
        "edited": tr("edited"),
        "added": tr("added"),
        "uncertain": tr("uncertain"),
        "rejected": tr("rejected"),
        "replaced": tr("replaced"),
    }.get(status, status)


def source_text(source: str) -> str:
    """Where an outline came from."""
    return {"predicted": tr("predicted"), "manual": tr("manual"), "added": tr("drawn in the review")}.get(source, source)


def relation_text(relation: str | None) -> str:
    """How an outline relates to those of the other side."""
    return {
        "1-1": tr("one predicted, one manual"),
        "n-1": tr("several manual outlines in one predicted"),
        "1-n": tr("several predicted outlines in one manual"),
        "n-m": tr("several predicted and several manual outlines"),
        "missed": tr("manual only: not predicted"),
        "false": tr("predicted only: not in the manual layer"),
        "added": tr("drawn in the review"),
    }.get(relation or "", relation or tr("no manual layer to compare with"))


def change_text(change: str | None) -> str:
    """What a new detection changed."""
    return {"found": tr("found anew"), "moved": tr("boundary moved")}.get(change or "", change or "")

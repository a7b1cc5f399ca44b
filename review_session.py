"""The form of a review session: a GeoPackage that the engine starts, updates, merges and evaluates, and that the review dock works in.

Like :mod:`jobs` a module that both processes import, so: the standard library alone, syntax of Python 3.9. Only names, domains
and the paths in a session are told here; who reads and writes does so with its own GDAL or SQLite.

Layers, all in the coordinate reference system of the predicted outlines:

========== ============ =======================================================================================
layer      geometry     rows
========== ============ =======================================================================================
outlines   MultiPolygon the outlines being made, and the queue: every predicted outline, every manual outline
                        without a match, and what a person adds
restricted MultiPolygon restricted outlines, ``uid`` says of which outline
predicted  MultiPolygon the predicted outlines as they came: ``name``, ``component``
reference  MultiPolygon the manual outlines as they came: ``name``, ``component``, and their own fields
tiles      Polygon      the grid that the area is searched by: ``row``, ``col``, ``visited_at``, ``visited_by``
journal    none         one row for each outline that an edit command touched (``JOURNAL_DDL``)
settings   none         ``key``, ``value``: what the session was started from, and where the person is (``SETTINGS``)
========== ============ =======================================================================================
"""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

FORMAT = "1"
"""Of a session, in its settings under ``format``; others are not opened."""

OUTLINES, RESTRICTED, PREDICTED, REFERENCE, TILES = "outlines", "restricted", "predicted", "reference", "tiles"
JOURNAL, SETTINGS = "journal", "settings"

STATUSES = ("unreviewed", "accepted", "edited", "added", "uncertain", "rejected", "replaced")
"""``edited``: kept with a boundary that a person changed; ``added``: drawn by a person, or a manual outline that was taken;
``uncertain``: judged, and it cannot be told (in the inventory, but neither an example nor a counter-example);
``replaced``: gave way to another outline."""
UNDECIDED = STATUSES[0]
KEPT = ("accepted", "edited", "added", "uncertain")
"""What the inventory holds."""
POSITIVE = ("accepted", "edited", "added")
"""What a network is trained on as rock glacier; what was ``rejected`` is background, everything else unknown."""

REASONS = ("debris-covered glacier", "moraine", "talus", "landslide", "solifluction", "snow", "shadow", "other")
"""Why an outline was rejected."""

SOURCES = ("predicted", "manual", "added")
"""Where an outline came from."""

RELATIONS = ("1-1", "n-1", "1-n", "n-m", "missed", "false", "added")
"""Of an outline to those of the other side, reference:predicted as in Lin et al. (2024), Figure 6; ``n-1``: several manual outlines in
one predicted. NULL where there is no manual layer."""

SIZE_CLASSES = (("small", 0.0), ("medium_s", 0.1), ("medium_l", 0.5), ("large", 1.0))
"""Name and smallest area in km2 (Lin et al. 2024, section 4.2)."""

REVIEW_FIELDS = (
    ("uid", "text"),  # never changes, unique over all sessions
    ("source", "text"),
    ("source_id", "text"),  # what the outline is called in the layer it came from
    ("parent", "text"),  # uid of the outline it was split off
    ("component", "integer"),  # correspondence, as in the layers predicted and reference; NULL for added outlines
    ("relation", "text"),
    ("status", "text"),
    ("reason", "text"),
    ("reviewer", "text"),
    ("reviewed_at", "text"),  # ISO 8601, UTC
    ("conflict", "text"),  # what two reviewers disagree on, after merging sessions
    ("change", "text"),  # found, moved: what a new detection changed, NULL else
    ("priority", "real"),  # 0-1, what deserves attention first
    ("merge_suspect", "real"),  # 0-1
    ("probability", "real"),  # mean over the outline, 0-1
    ("iou", "real"),  # of the correspondence, 0-1
    ("area_deviation", "real"),  # predicted less manual over manual area of the correspondence, percent
    ("boundary_distance_m", "real"),  # symmetric mean distance of the two boundaries of the correspondence
    ("comment", "text"),
)
"""Name and kind of the fields that a review adds to the outlines. The attributes of the inventory (ATTRIBUTES) follow, then what the
predicted outlines had besides."""

ATTRIBUTES = (
    ("primary_id", "text"),
    ("alternative_id", "text"),
    ("associated_rgs", "text"),
    ("system_type", "text"),
    ("unit_morphology", "text"),
    ("completeness", "text"),
    ("upslope_connection", "text"),
    ("upslope_current", "text"),
    ("activity_assessment", "text"),
    ("activity_class", "text"),
    ("destabilisation", "text"),
    ("kinematic_attribute", "text"),
    ("kinematic_reliability", "text"),
    ("kinematic_period", "text"),
    ("outline_type", "text"),
    ("reliability_front", "integer"),
    ("reliability_left", "integer"),
    ("reliability_right", "integer"),
    ("reliability_upslope", "integer"),
    ("outline_comment", "text"),
    ("imagery", "text"),
)
"""Fields of the inventory that a person fills, by this project's names; their domains are in resources/inventory/domains.json."""

JOURNAL_FIELDS = (
    ("id", "INTEGER PRIMARY KEY AUTOINCREMENT"),
    ("command", "INTEGER NOT NULL"),  # rows of one edit command share it
    ("at", "TEXT NOT NULL"),  # ISO 8601 with milliseconds, UTC
    ("operator", "TEXT NOT NULL"),
    ("run", "TEXT NOT NULL"),  # one for each time the session was opened
    ("layer", "TEXT NOT NULL"),  # outlines or restricted
    ("uid", "TEXT NOT NULL"),
    ("action", "TEXT NOT NULL"),
    ("seconds", "REAL"),  # spent on the outline since the last command on it, on the first row of a command
    ("before", "TEXT"),  # changed attributes as a JSON object; NULL: the outline was not there
    ("after", "TEXT"),  # NULL: it is there no more
    ("before_geometry", "BLOB"),  # well-known binary in the session's CRS; NULL where the geometry stayed
    ("after_geometry", "BLOB"),
    ("undone", "INTEGER NOT NULL DEFAULT 0"),  # 1 while the command is undone
    ("saved", "INTEGER NOT NULL DEFAULT 0"),  # 1 when the layer in the file holds it; others are replayed when a session is opened
)
JOURNAL_DDL = f"CREATE TABLE {JOURNAL} ({', '.join(f'{name} {kind}' for name, kind in JOURNAL_FIELDS)})"
"""Every touched outline is one row, written before the next thing happens. ``before`` of a new and ``after`` of a deleted outline
are NULL; ``after`` of a new and ``before`` of a deleted one hold all its attributes."""

ACTIONS = (
    "accept",
    "reject",
    "uncertain",
    "reset",
    "take_manual",
    "keep_both",
    "comment",
    "attributes",
    "edit",  # with QGIS's own tools, or by another plugin
    "level",
    "split",
    "snap",
    "restricted",
    "add",
    "delete",
)
"""What a command did, ``action`` in the journal."""

SETTINGS_DDL = f"CREATE TABLE {SETTINGS} (id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, value TEXT)"
"""``id`` because a GeoPackage asks for it; read and write by the names of the columns."""
SETTING_KEYS = (
    "format",
    "session",  # id of the session; copies for several people share it
    "created",
    "software",
    "predicted",
    "predicted_layer",
    "predicted_state",  # file_state() when the session began or was updated
    "manual",
    "manual_layer",
    "manual_state",
    "imagery",
    "probability",
    "dem",
    "operator",
    "current",  # uid of the outline that was looked at last
    "discarded",  # commands, by layer, that the person discarded the last time: a JSON object, offered when the session is opened next
    "sliver",
    "tile_size",
)
PATHS = ("predicted", "manual", "imagery", "probability", "dem")
"""Settings that name files, as :func:`stored_path` makes them."""


def stored_path(path: str, session: str) -> str:
    """How a session names a file: absolute, and after ``|`` relative to its folder where it can be, so that both may move together."""
    if "://" in path or path.startswith("/vsi"):
        return path
    absolute = os.path.abspath(path)  # noqa: PTH100 resolve() would follow links
    try:
        relative = os.path.relpath(absolute, Path(session).absolute().parent)
    except ValueError:  # another drive
        return absolute
    return f"{absolute}|{PurePosixPath(*Path(relative).parts)}"


def found_path(stored: str, session: str) -> str:
    """Where a file that a session names is now, beside the session first; the name it had where it is in neither place."""
    absolute, _, relative = stored.partition("|")
    beside = Path(session).absolute().parent / relative if relative else None
    if beside is not None and beside.exists():
        return os.path.normpath(beside)
    return absolute


def file_state(path: str) -> str:
    """Size and time of the last change of a file, to notice that it is another one now; empty for what is no file."""
    try:
        state = os.stat(path)  # noqa: PTH116 as text, with the name of any system
    except OSError:
        return ""
    return f"{state.st_size} {state.st_mtime_ns}"


def size_class(area_km2: float) -> str:
    """The name of the class of an area."""
    return [name for name, smallest in SIZE_CLASSES if area_km2 >= smallest][-1]

"""What a review took and what it changed: a query on the journal of a session, beside the outlines as they are now."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS

from engine import __version__
from engine.boundary_distances import mean_boundary_distances
from engine.columns import Column, Columns, column_of, first_known, is_null, texts
from engine.geodesy import geodesic_area
from engine.matching import pair_iou
from engine.report import filled_template
from engine.review_file import Session, sound
from engine.terminal import plain
from jobs import AssessJob
from review_session import KEPT, REASONS, STATUSES, UNDECIDED

DECISIONS = tuple(status for status in STATUSES if status != UNDECIDED)
POINTS_M = AssessJob("", "").pixel_size
"""Of boundaries that are compared, one point is at most so far from the next; as Assess accuracy does."""

MOST = 0.5
"""Share of its ground that an outline has in common with what it became when outlines were merged; at least."""
SAME = 1e-9
"""Share of their joint area that two boundaries may differ by and still be the same: a vertex on a straight edge is no edit."""

DONE = """
CREATE TEMP VIEW done AS
SELECT *, sum(seconds) OVER command / 60.0 / count(*) OVER command AS minutes
FROM journal WHERE undone = 0 WINDOW command AS (PARTITION BY command)
"""
"""The time of a command, noted on its first row, is shared evenly by the outlines that it touched. What was undone does not count."""
MERGED = "CREATE TEMP TABLE merged (uid TEXT PRIMARY KEY, became TEXT, command INTEGER, goes_on INTEGER)"
"""Outlines that went because they became one with others; ``goes_on``: the one of them that the new outline names as its parent."""
PER_OUTLINE = """
SELECT coalesce(became, done.uid) AS outline, sum(minutes), count(DISTINCT done.command)
FROM done LEFT JOIN merged USING (uid) GROUP BY outline
"""
PER_OPERATOR = "SELECT operator, sum(minutes), count(DISTINCT command) FROM done GROUP BY operator ORDER BY operator"
PER_ACTION = """
SELECT iif(merged.command = done.command, 'edit', action) AS what,
count(DISTINCT done.command), count(DISTINCT coalesce(became, done.uid)), sum(minutes)
FROM done LEFT JOIN merged USING (uid) GROUP BY what ORDER BY min(id)
"""
PER_DAY = """
SELECT substr(at, 1, 10) AS day, operator, count(DISTINCT uid) FROM done
WHERE layer = 'outlines' AND coalesce(json_extract(after, '$.status'), 'unreviewed') <> 'unreviewed'
GROUP BY day, operator ORDER BY day, operator
"""
IN_BULK = """
SELECT count(DISTINCT uid) FROM (
    SELECT uid, count(*) OVER (PARTITION BY command) AS together FROM done WHERE layer = 'outlines'
    AND action IN ('accept', 'reject', 'uncertain') AND json_extract(after, '$.status') IS NOT 'replaced'
) WHERE together > 1
"""
"""Versions that give way to the one that is accepted are replaced in its command."""
UNDONE = """
SELECT operator, count(DISTINCT command), sum(seconds) / 60.0 FROM journal WHERE undone = 1 GROUP BY operator ORDER BY operator
"""
FIRST_BOUNDARY = """
SELECT uid, before_geometry, min(id) FROM done
WHERE layer = 'outlines' AND before_geometry IS NOT NULL AND (after_geometry IS NOT NULL OR after IS NULL) GROUP BY uid ORDER BY min(id)
"""
MADE = "SELECT uid FROM (SELECT uid, before, min(id) FROM done WHERE layer = 'outlines' GROUP BY uid) WHERE before IS NULL"
"""Outlines that a command of the review made."""
DELETED = "SELECT uid FROM (SELECT uid, after, max(id) FROM done WHERE layer = 'outlines' GROUP BY uid) WHERE after IS NULL"
GONE_WITH = f"""
SELECT gone.uid, command, gone.before_geometry, stays.uid, stays.after_geometry, json_extract(stays.after, '$.parent') IS gone.uid
FROM done AS gone JOIN done AS stays USING (command)
WHERE gone.uid IN ({DELETED}) AND gone.layer = 'outlines' AND gone.after IS NULL AND gone.before_geometry IS NOT NULL
AND stays.layer = 'outlines' AND stays.after_geometry IS NOT NULL ORDER BY gone.id
"""
"""Outlines that went with a command that gave others a boundary."""

DEFINITIONS = {
    "decided": "outlines with another status than unreviewed, by the status that they have now",
    "minutes": "time on an outline between commands, as the review dock noted it; that of a command on several outlines in equal parts; "
    "commands that were undone do not count",
    "outlines_per_hour": "decided outlines with known time over that time",
    "in_bulk": "outlines that were decided in one command with others",
    "edited_share": "of the predicted outlines that were kept (accepted, edited, uncertain), those whose boundary a person changed; the "
    "parts of one that was split are one outline, and so are those that were merged",
    "merged": "outlines that became a part of another one",
    "iou": "shared over joint area of an outline before its first edit and now: of all its parts that were kept where it was split, of all "
    "that it was made of where outlines were merged",
    "area_change_percent": "area now less area before the first edit, in percent of the area before",
    "moved_m": "mean distance between the boundary before the first edit and now, of every metre of both to the other one; metres",
    "undone": "commands that were undone",
}


@dataclass(frozen=True)
class Effort:
    """What a review took: ``numbers`` as the JSON file has them, ``outlines`` one row for each decided outline, ``figures`` as SVG."""

    numbers: dict[str, Any]
    outlines: Columns
    figures: Mapping[str, bytes]

    def page(self) -> str:
        """The report as HTML."""
        longest = np.argsort(-np.nan_to_num(self.outlines["minutes"]), kind="stable")[:10]
        rows = [{name: plain(column[index]) for name, column in self.outlines.items()} for index in longest]
        took_time = [row for row in rows if row["minutes"]]
        return filled_template("effort.html", self.figures, **self.numbers, to_look_at=took_time)


def effort(place: Path, session: Session, check: Callable[[], None] = lambda: None) -> Effort:
    """What a review took and changed.

    Parameters
    ----------
    place : of the session's :func:`engine.review_file.snapshot`
    session : the same, read
    check : called between pieces of work, may raise to stop

    Source
    ------
    Hu et al. (2023), who edited 100 of 123 outlines that their network had found.
    """
    with closing(sqlite3.connect(place)) as journal:
        journal.execute(DONE)
        journal.execute(MERGED)
        journal.executemany("INSERT INTO merged VALUES (?, ?, ?, ?)", _merged(journal))
        table = _table(session, journal, check)
        numbers = _numbers(place, session, table, journal)
    check()
    return Effort(numbers, table, _figures(table, numbers))


def _table(session: Session, journal: sqlite3.Connection, check: Callable[[], None]) -> dict[str, Column]:
    """One row for each decided outline."""
    layer = session.outlines
    chosen = np.flatnonzero(np.isin(texts(column_of(layer, "status")).astype(str), DECISIONS))
    uids = texts(column_of(layer, "uid"))[chosen]
    of_uid = {uid: (minutes, commands) for uid, minutes, commands in journal.execute(PER_OUTLINE)}
    parent = {uid: above for uid, above in zip(texts(column_of(layer, "uid")), texts(column_of(layer, "parent")), strict=True) if above}
    parent |= {uid: became for uid, became in journal.execute("SELECT uid, became FROM merged") if parent.get(became) != uid}
    table: dict[str, Column] = {
        "uid": uids,
        "origin": np.array([_origin(uid, parent) for uid in uids], dtype=object),
        "name": first_known(*(texts(column_of(layer, name))[chosen] for name in ("primary_id", "source_id"))),
        **{
            name: texts(column_of(layer, field))[chosen]
            for name, field in (
                ("source", "source"),
                ("relation", "relation"),
                ("decision", "status"),
                ("reason", "reason"),
                ("operator", "reviewer"),
                ("decided_at", "reviewed_at"),
            )
        },
        "minutes": np.array([of_uid.get(uid, (None, 0))[0] for uid in uids], dtype=np.float64),
        "commands": np.array([of_uid.get(uid, (None, 0))[1] for uid in uids], dtype=np.int32),
    }
    now = sound(layer.geometries[chosen])
    table["area_km2"] = geodesic_area(now, layer.crs) / 1e6
    return table | _changes(table, now, layer.crs, journal, parent, check)


def _changes(
    table: Columns,
    now: NDArray[np.object_],
    crs: CRS,
    journal: sqlite3.Connection,
    parent: Mapping[str, str],
    check: Callable[[], None],
) -> dict[str, Column]:
    """Columns (n,) of what edits changed in the outlines of a table, on the row of the first part that was kept, NaN on the others."""
    parts: dict[str, list[int]] = {}
    for row in np.flatnonzero(np.isin(table["decision"].astype(str), KEPT)).tolist():
        parts.setdefault(table["origin"][row], []).append(row)
    made = {uid for (uid,) in journal.execute(MADE)}
    first: dict[str, list[bytes]] = {}
    for uid, wkb, _ in journal.execute(FIRST_BOUNDARY):
        origin = _origin(uid, parent)
        if uid not in made:
            first.setdefault(origin, []).append(wkb)
        elif origin == uid:
            first.setdefault(origin, [wkb])
    drawn = [origin for origin in parts if origin in first]
    rows = np.array(
        [next((row for row in parts[origin] if table["uid"][row] == origin), parts[origin][0]) for origin in drawn], dtype=np.intp
    )
    was = np.array([shapely.union_all(sound(shapely.from_wkb(np.array(first[origin], dtype=object)))) for origin in drawn], dtype=object)
    was = sound(was)
    became = sound(np.array([shapely.union_all(now[parts[origin]]) for origin in drawn], dtype=object))
    changed = np.flatnonzero((shapely.area(was) > 0) & (shapely.area(became) > 0))
    changed = changed[pair_iou(was[changed], became[changed]) < 1 - SAME]
    was, became = was[changed], became[changed]
    before_km2 = geodesic_area(was, crs) / 1e6
    columns: dict[str, Column] = {}
    for name, values in (
        ("area_before_km2", before_km2),
        ("area_change_percent", 100 * (geodesic_area(became, crs) / 1e6 / before_km2 - 1)),
        ("iou", pair_iou(was, became)),
        ("moved_m", mean_boundary_distances(became, was, crs, POINTS_M, check)),
    ):
        columns[name] = np.full(len(now), np.nan)
        columns[name][rows[changed]] = values
    return columns


def _merged(journal: sqlite3.Connection) -> list[tuple[str, str, int, bool]]:
    """Rows of the table merged: what went with a command that gave most of its ground to another outline."""
    found: dict[str, tuple[float, str, int, bool]] = {}
    for uid, command, was, into, now, goes_on in journal.execute(GONE_WITH):
        before, after = sound(shapely.from_wkb(np.array([was, now], dtype=object)))
        share = shapely.area(shapely.intersection(before, after)) / (shapely.area(before) or np.inf)
        if share > max(MOST, found.get(uid, (0.0,))[0]):
            found[uid] = share, into, command, bool(goes_on)
    into = {uid: became for uid, (_, became, _, _) in found.items()}
    return [(uid, _origin(uid, into), command, goes_on) for uid, (_, _, command, goes_on) in found.items()]


def _origin(uid: str, parent: Mapping[str, str]) -> str:
    """The outline that one was split off in the first place, or became in the end; itself where it is no part of another."""
    walked = {uid}
    while (above := parent.get(uid)) is not None and above not in walked:
        walked.add(above)
        uid = above
    return uid


def _numbers(place: Path, session: Session, table: Columns, journal: sqlite3.Connection) -> dict[str, Any]:
    every = len(session.outlines)
    undecided = texts(column_of(session.outlines, "status")) == UNDECIDED
    minutes = {operator: (time, commands) for operator, time, commands in journal.execute(PER_OPERATOR)}
    undone = {operator: (count, time) for operator, count, time in journal.execute(UNDONE)}
    days = [{"day": day, "operator": operator, "outlines": count} for day, operator, count in journal.execute(PER_DAY)]
    decided = len(table["uid"])
    gone = {uid for (uid,) in journal.execute(DELETED)} - set(texts(column_of(session.outlines, "uid")))
    merged = {uid: goes_on for uid, goes_on in journal.execute("SELECT uid, goes_on FROM merged") if uid in gone}
    numbers = {
        "session": {"file": place.name, **{name: session.settings.get(name) for name in ("session", "created")}},
        "outlines": {
            "all": every,
            "decided": decided,
            "undecided": every - decided,
            "conflicts": int((undecided & ~is_null(column_of(session.outlines, "conflict"))).sum()),
            "deleted": len(gone - merged.keys()),
            "merged": sum(not goes_on for goes_on in merged.values()),
            "in_bulk": journal.execute(IN_BULK).fetchone()[0],
        },
        "decisions": {status: _taken(_where(table, table["decision"] == status)) for status in DECISIONS},
        "reasons": _counted(table["reason"][table["decision"] == "rejected"], REASONS),
        "time": {
            **_taken(table),
            "outlines_per_hour": _per_hour(table),
            "recorded_minutes": _sum(time for time, _ in minutes.values()),
        },
        "edits": _edits(table),
        "operators": {
            name: {
                **_taken(own := _where(table, table["operator"] == name)),
                **_counted(own["decision"], DECISIONS),
                "recorded_minutes": minutes.get(name, (None, 0))[0],
                "commands": minutes.get(name, (None, 0))[1],
                "undone": undone.get(name, (0, None))[0],
                "outlines_per_hour": _per_hour(own),
                "edits": _edits(own),
            }
            for name in sorted({*(name for name in table["operator"] if name), *minutes, *undone})
        },
        "actions": [
            {"action": action, "commands": commands, "outlines": outlines, "minutes": time}
            for action, commands, outlines, time in journal.execute(PER_ACTION)
        ],
        "commands": {"done": sum(count for _, count in minutes.values()), "undone": sum(count for count, _ in undone.values())},
        "undone_minutes": _sum(time for _, time in undone.values()),
        "days": days,
        "definitions": DEFINITIONS,
        "software": {"name": "Rock Glacier Mapper", "version": __version__},
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    told: dict[str, Any] = plain(numbers)
    return told


def _where(table: Columns, chosen: NDArray[np.bool_]) -> Columns:
    return {name: column[chosen] for name, column in table.items()}


def _taken(rows: Columns) -> dict[str, Any]:
    """Outlines, and the time that they took."""
    known = rows["minutes"][np.isfinite(rows["minutes"])]
    return {
        "outlines": len(rows["uid"]),
        "timed": len(known),
        "minutes": float(known.sum()) if len(known) else None,
        "median_minutes": float(np.median(known)) if len(known) else None,
    }


def _per_hour(rows: Columns) -> float | None:
    known = rows["minutes"][np.isfinite(rows["minutes"])]
    return 60 * len(known) / float(known.sum()) if known.sum() > 0 else None


def _edits(rows: Columns) -> dict[str, Any]:
    """How many predicted outlines were edited, and what edits changed."""
    kept = _where(rows, _is_kept_prediction(rows))
    edited = (kept["decision"] == "edited") | np.isfinite(kept["iou"])
    count, of_these = len(set(kept["origin"])), len(set(kept["origin"][edited]))
    change = kept["area_before_km2"] * kept["area_change_percent"] / 100
    return {
        "predicted_kept": count,
        "edited": of_these,
        "edited_share": of_these / count if count else None,
        "area_change_km2": float(np.nansum(change)) if np.isfinite(change).any() else None,
        **{name: _spread(kept[name]) for name in ("iou", "area_change_percent", "moved_m")},
    }


def _is_kept_prediction(rows: Columns) -> NDArray[np.bool_]:
    return (rows["source"] == "predicted") & np.isin(rows["decision"].astype(str), ("accepted", "edited", "uncertain"))


def _spread(values: NDArray[np.float64]) -> dict[str, Any]:
    known = values[np.isfinite(values)]
    names = ("min", "q25", "median", "q75", "max")
    if not len(known):
        return {"n": 0, "mean": None, **dict.fromkeys(names)}
    return {"n": len(known), "mean": known.mean(), **dict(zip(names, np.quantile(known, [0, 0.25, 0.5, 0.75, 1]), strict=True))}


def _counted(values: Column, expected: Iterable[str]) -> dict[str, int]:
    """How often each value is there, the expected ones first."""
    there = [value or "without a reason" for value in values]
    return {value: there.count(value) for value in dict.fromkeys([*expected, *there])}


def _sum(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _figures(table: Columns, numbers: Mapping[str, Any]) -> dict[str, bytes]:
    from engine import effort_figures as draw  # noqa: PLC0415 heavy
    from engine import figures  # noqa: PLC0415

    kept = _where(table, _is_kept_prediction(table))
    with figures.style():
        by_decision = {status: numbers["decisions"][status]["outlines"] for status in DECISIONS}
        drawn = {
            "decisions": draw.decisions(by_decision, numbers["reasons"], table["minutes"]),
            "edits": draw.edits(kept["iou"], kept["area_change_percent"], kept["moved_m"]),
            "days": draw.days([(entry["day"], entry["operator"], entry["outlines"]) for entry in numbers["days"]]),
        }
        return {name: figures.rendered(figure, "svg") for name, figure in drawn.items()}

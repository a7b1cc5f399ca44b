"""The sessions of several people to one; where they disagree, the outline is in the queue again.

A version of an outline gives way to one that knows all that it knows and more: what a session knows of an outline are the commands
in its journal. Versions that neither gives way are compared.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS

from engine.columns import Column, column_of, numbers, of_type, stacked, texts
from engine.errors import EngineError
from engine.local_maps import keeps_its_area, on_one_map
from engine.matching import overlaps, pair_iou
from engine.outputs import whole_file
from engine.reporting import Reporter
from engine.review_file import JournalRow, Session, check_saved, keep_edits, read_session, snapshot, sound, write_session
from engine.vectors import PolygonLayer, reproject
from jobs import MergeReviewsJob
from review_session import (
    KEPT,
    OUTLINES,
    PATHS,
    POSITIVE,
    PREDICTED,
    REFERENCE,
    RESTRICTED,
    REVIEW_FIELDS,
    TILES,
    UNDECIDED,
    found_path,
    stored_path,
)

SAME_GROUND = 0.5
"""Outlines of several people that share at least this of the smaller one are drawn over the same ground."""
DELETED = "deleted"
AGAINST = ("rejected", "replaced", DELETED)
IN_WORDS = {"uncertain": "marked it as uncertain"}
OWN_FIELDS = frozenset(name for name, _ in REVIEW_FIELDS)
NEW_UIDS = uuid.UUID("6c6f0b1c-3b53-5a5e-8f1b-6d1f5b6f2a10")
"""Namespace of the uids of second versions: merging the same sessions again gives the same ones."""


@dataclass(frozen=True, eq=False)
class _Side:
    """One of the sessions that are merged, on the common map.

    ``row`` uid -> index of its outline; ``known`` uid -> keys of the commands that touched it; ``deleted`` uid -> the journal's row.
    """

    name: str
    session: Session
    row: Mapping[str, int]
    known: Mapping[str, frozenset[tuple[Any, ...]]]
    deleted: Mapping[str, JournalRow]
    touched: Mapping[str, list[JournalRow]]

    @classmethod
    def of(cls, name: str, session: Session) -> _Side:
        row = {uid: index for index, uid in enumerate(texts(session.outlines.fields["uid"]))}
        touched: dict[str, list[JournalRow]] = {}
        for entry in session.journal:
            if not entry["undone"]:
                touched.setdefault(entry["uid"], []).append(entry)
        known = {uid: frozenset(map(_key, entries)) for uid, entries in touched.items()}
        last = {uid: [entry for entry in entries if entry["layer"] == OUTLINES][-1:] for uid, entries in touched.items() if uid not in row}
        deleted = {uid: entries[0] for uid, entries in last.items() if entries and entries[0]["after"] is None}
        return cls(name, session, row, known, deleted, touched)

    @cached_property
    def status(self) -> Column:
        return texts(column_of(self.session.outlines, "status"))

    @cached_property
    def shapes(self) -> NDArray[np.object_]:
        return sound(self.session.outlines.geometries)

    @cached_property
    def restricted(self) -> dict[str, list[int]]:
        """uid -> indices in the layer of restricted outlines."""
        of_uid: dict[str, list[int]] = {}
        for index, uid in enumerate(texts(column_of(self.session.layers[RESTRICTED], "uid"))):
            of_uid.setdefault(uid, []).append(index)
        return of_uid

    def knows(self, uid: str) -> bool:
        return uid in self.row or uid in self.deleted


def _key(entry: JournalRow) -> tuple[Any, ...]:
    """What tells a journal's row from every other, in all copies of a session; commands are numbered anew when sessions are merged."""
    return tuple(entry[name] for name in ("run", "at", "layer", "uid", "action", "operator", "after"))


@dataclass(frozen=True)
class _Version:
    """An outline as one session has it."""

    uid: str
    side: _Side

    @property
    def row(self) -> int | None:
        return self.side.row.get(self.uid)

    @property
    def known(self) -> frozenset[tuple[Any, ...]]:
        return self.side.known.get(self.uid, frozenset())

    @property
    def status(self) -> str:
        return DELETED if self.row is None else self.side.status[self.row] or UNDECIDED

    def value(self, name: str) -> Any:
        return _plain(column_of(self.side.session.outlines, name)[self.row])

    @property
    def who(self) -> str:
        who = self.side.deleted[self.uid]["operator"] if self.row is None else self.value("reviewer")
        return who or f"somebody in {self.side.name}"

    @property
    def when(self) -> str:
        return (self.side.deleted[self.uid]["at"] if self.row is None else self.value("reviewed_at")) or ""

    @property
    def shape(self) -> shapely.Geometry:
        return shapely.Polygon() if self.row is None else self.side.shapes[self.row]

    @property
    def restricted(self) -> shapely.Geometry:
        rows = self.side.restricted.get(self.uid, [])
        return shapely.union_all(sound(self.side.session.layers[RESTRICTED].geometries[rows]))

    def changed(self, beyond: frozenset[tuple[Any, ...]], layer: str = OUTLINES) -> set[str]:
        """Attributes that commands set of which not all versions know, ``geometry`` where one was drawn."""
        names: set[str] = set()
        for entry in self.side.touched.get(self.uid, []):
            if entry["layer"] == layer and _key(entry) not in beyond:
                names |= set(json.loads(entry["after"] or "{}"))
                names |= {"geometry"} if entry["after_geometry"] is not None or entry["before_geometry"] is not None else set()
        return names

    def said(self) -> str:
        """Who decided what, and when."""
        reason = f" ({self.value('reason')})" if self.row is not None and self.value("reason") else ""
        if self.status == UNDECIDED:
            return f"{self.side.name}: not decided"
        done = IN_WORDS.get(self.status, f"{self.status} it")
        return f"{self.who} {done}{reason}{', ' + self.when[:16].replace('T', ' ') + ' UTC' if self.when else ''}"


@dataclass
class _Result:
    """The outline that comes of a uid: a version, with other values, and further versions of it as outlines of their own."""

    version: _Version
    values: dict[str, Any] = field(default_factory=dict)
    restricted_of: _Version | None = None
    uid: str = ""
    agreed: bool = False

    def put_in_queue(self, why: str) -> None:
        conflict = self.values.get("conflict") or ""
        self.values |= {"status": UNDECIDED, "reason": None, "reviewer": None, "reviewed_at": None, "priority": 1.0}
        self.values["conflict"] = conflict if why in conflict else f"{conflict}; {why}".removeprefix("; ")


def merge_reviews(job: MergeReviewsJob, reporter: Reporter) -> dict[str, Any]:
    """The sessions of several people in, one session out.

    Returns
    -------
    ``output``; ``count`` outlines, ``decided``, ``conflicts`` outlines that wait because people disagree (with the second versions,
    ``versions``), ``merged`` on which several people agree, ``added`` that not all sessions had, ``operators`` (name -> outlines
    decided), ``sessions``

    Raises
    ------
    EngineError
        ``review_exists`` when the output is a session with decisions that the others do not have, ``crs_place`` when a session does
        not lie on the map of the first; those of :func:`engine.review_file.snapshot`, :func:`engine.review_file.check_saved`,
        :func:`engine.outputs.whole_file`; Cancelled.
    """
    reporter.progress(0.0, "reading the sessions")
    sessions: list[Session] = []
    with ExitStack() as copies:
        for number, path in enumerate(job.sessions):
            place = copies.enter_context(snapshot(path))
            check_saved(path, place)
            session = read_session(place)
            sessions.append(_on_map_of(sessions[0], session, path, job.sessions[0], reporter) if sessions else session)
            reporter.progress(0.4 * (number + 1) / len(job.sessions), "reading the sessions")
        keep_edits(job.output, sessions)
    names = [Path(path).name for path in job.sessions]
    names = [name if names.count(name) == 1 else path for name, path in zip(names, job.sessions, strict=True)]
    sides = [_Side.of(name, session) for name, session in zip(names, sessions, strict=True)]
    reporter.progress(0.45, "comparing the decisions")
    results = _results(sides, job.same_iou, reporter.check_cancelled)
    reporter.progress(0.6, "comparing the outlines of several people")
    _compare_ground(sides, results, reporter.check_cancelled)
    reporter.progress(0.8, "writing the session")
    merged = _merged(sides, results, job)
    with whole_file(job.output) as place:
        write_session(place, merged)
        reporter.check_cancelled()
    status, waits = texts(merged.outlines.fields["status"]), texts(merged.outlines.fields["conflict"]) != None  # noqa: E711 elementwise
    is_decided = status != UNDECIDED
    reviewers = texts(merged.outlines.fields["reviewer"])[is_decided]
    counts = {
        "count": len(merged.outlines),
        "decided": int(is_decided.sum()),
        "conflicts": int((waits & ~is_decided).sum()),
        "versions": sum(result.uid != result.version.uid for result in results),
        "merged": sum(result.agreed for result in results),
        "added": sum(not all(side.knows(result.version.uid) for side in sides) for result in results if result.uid == result.version.uid),
        "operators": {name: int((reviewers == name).sum()) for name in sorted({name for name in reviewers if name})},
        "sessions": len(sessions),
    }
    reporter.progress(1.0, f"{counts['count']} outlines, {counts['conflicts']} to look at again")
    return {"output": job.output, **counts}


def _on_map_of(first: Session, session: Session, path: str, first_path: str, reporter: Reporter) -> Session:
    """A session in the CRS of the first."""
    if session.crs == first.crs:
        return session
    layers = {name: layer.in_crs(first.crs) for name, layer in session.layers.items()}
    for name, layer in layers.items():
        present = ~(shapely.is_missing(layer.geometries) | shapely.is_empty(layer.geometries))
        before = PolygonLayer(session.layers[name].geometries[present], session.crs)
        if not keeps_its_area(before, layer.geometries[present], first.crs):
            raise EngineError(
                "crs_place",
                f"{path} does not fit on the map of {first_path} ({first.crs.name}): it reaches beyond the area where that coordinate "
                "reference system is defined. Give the session first whose coordinate reference system holds both.",
            )
    reporter.info(f"{path} was brought from {session.crs.name} to {first.crs.name}, the coordinate reference system of {first_path}.")
    return Session(layers, _journal_in_crs(session.journal, session.crs, first.crs), session.settings)


def _journal_in_crs(journal: Sequence[JournalRow], crs: CRS, wanted: CRS) -> list[JournalRow]:
    moved = [dict(entry) for entry in journal]
    for name in ("before_geometry", "after_geometry"):
        rows = [entry for entry in moved if entry[name] is not None]
        shapes = reproject(shapely.from_wkb(np.array([entry[name] for entry in rows], dtype=object)), crs, wanted)
        for entry, wkb in zip(rows, shapely.to_wkb(shapes), strict=True):
            entry[name] = wkb
    return moved


def _results(sides: Sequence[_Side], same_iou: float, check: Callable[[], None]) -> list[_Result]:
    """What comes of each uid, in the order of the sessions."""
    results: list[_Result] = []
    for number, uid in enumerate(dict.fromkeys(uid for side in sides for uid in side.row)):
        if number % 1000 == 0:
            check()
        results += _settled([_Version(uid, side) for side in sides if side.knows(uid)], same_iou)
    return results


def _settled(versions: list[_Version], same_iou: float) -> list[_Result]:
    """The outline that comes of its versions, none where it was deleted; further versions after it where people disagree."""
    uid = versions[0].uid
    latest = [one for one in versions if not any(one.known < other.known for other in versions)]
    kinds = {(one.known, one.status) for one in latest}
    if len(kinds) == 1:
        return [] if latest[0].row is None else [_Result(latest[0], uid=uid, restricted_of=latest[0])]
    decided = [one for one in latest if one.status != UNDECIDED]
    if len(decided) > 1 and all(one.status in AGAINST for one in decided):
        decided = [one for one in decided if one.status != DELETED] or decided[:1]
    present = [one for one in latest if one.row is not None]
    shared = frozenset.intersection(*(one.known for one in latest))
    kept = [one for one in decided if one.status in KEPT]
    differences = _differences(decided, kept, same_iou)
    changes = {one.side.name: one.changed(shared) for one in present}
    values, differing = _attributes(present, changes)
    if kept or not decided:
        differences += differing
    drawn = [one for one in present if one.changed(shared, RESTRICTED)] or present[:1]
    if any(_iou(drawn[0].restricted, other.restricted) < same_iou for other in drawn[1:]):
        differences.append("their restricted outlines differ")
    if not differences:
        settled = max(decided, key=lambda one: one.when) if decided else latest[0]
        if settled.row is None:
            return []
        return [_Result(settled, {**values, **_comments(present)}, drawn[-1], uid, agreed=len(decided) > 1)]
    first = next((one for one in kept if "geometry" in one.changed(shared)), (kept or present)[0])
    story = "; ".join([*(one.said() for one in decided or present), *differences])
    results = [_Result(first, {**values, **_comments(present)}, first if first in drawn else drawn[0], uid)]
    shown = [first]
    for other in present:
        if (other.status in KEPT or not decided) and all(not _is_same(other, one, drawn, same_iou) for one in shown):
            shown.append(other)
            new = uuid.uuid5(NEW_UIDS, f"{uid} {shapely.to_wkb(other.shape, hex=True)} {shapely.to_wkb(other.restricted, hex=True)}").hex
            results.append(_Result(other, {"parent": uid, **_comments(present)}, other, new))
    for result in results:
        result.put_in_queue(story + (f"; this is the version of {_author(result.version)}" if len(results) > 1 else ""))
    return results


def _differences(decided: Sequence[_Version], kept: Sequence[_Version], same_iou: float) -> list[str]:
    """What decisions on an outline differ in, beyond what each says by itself; empty where they agree."""
    differences: list[str] = []
    if len({"kept" if one.status in POSITIVE else one.status for one in decided}) > 1:
        differences.append("they do not agree whether it is a rock glacier")
    if len({one.value("reason") for one in decided if one.status == "rejected"}) > 1:
        differences.append("they do not agree why not")
    least = min((_iou(one.shape, other.shape) for one, other in _pairs(kept)), default=1.0)
    if least < same_iou:
        differences.append(f"their boundaries share {100 * least:.0f} % of the joint area")
    return differences


def _attributes(present: Sequence[_Version], changes: Mapping[str, set[str]]) -> tuple[dict[str, Any], list[str]]:
    """Attributes that one version changed, or several in the same way; and in words those that differ."""
    values: dict[str, Any] = {}
    differing: list[str] = []
    for name in sorted(set().union(*changes.values()) - OWN_FIELDS - {"geometry"}):
        told = {one: one.value(name) for one in present if name in changes[one.side.name] and name in one.side.session.outlines.fields}
        if len(set(told.values())) == 1:
            values[name] = next(iter(told.values()))
        elif told:
            differing.append(
                f"{name}: " + ", ".join(f"{value if value is not None else 'empty'} ({_author(one)})" for one, value in told.items())
            )
    return values, differing


def _author(version: _Version) -> str:
    entries = version.side.touched.get(version.uid, [])
    return (entries[-1]["operator"] if entries else None) or version.who


def _comments(versions: Iterable[_Version]) -> dict[str, Any]:
    ordered = sorted(versions, key=lambda one: one.when)
    told = dict.fromkeys(comment for one in ordered if (comment := one.value("comment")))
    return {"comment": "; ".join(told) or None}


def _is_same(one: _Version, other: _Version, drawn: Sequence[_Version], same_iou: float) -> bool:
    restricted_differ = one in drawn and other in drawn and _iou(one.restricted, other.restricted) < same_iou
    return _iou(one.shape, other.shape) >= same_iou and not restricted_differ


def _pairs(versions: Sequence[_Version]) -> Iterator[tuple[_Version, _Version]]:
    return ((one, other) for number, one in enumerate(versions) for other in versions[number + 1 :])


def _iou(one: shapely.Geometry, other: shapely.Geometry) -> float:
    """Of two shapes; 1 where both are empty."""
    (iou,) = pair_iou(np.array([one], dtype=object), np.array([other], dtype=object))
    return 1.0 if np.isnan(iou) else float(iou)


def _compare_ground(sides: Sequence[_Side], results: Sequence[_Result], check: Callable[[], None]) -> None:
    """Put outlines into the queue that one person drew, or judged, on ground where another who did not know of it has an outline, too."""
    result_of = {result.version.uid: result for result in results if result.uid == result.version.uid}
    for here in sides:
        for there in sides:
            if here is there:
                continue
            new = [uid for uid in here.row if uid in result_of and not there.knows(uid)]
            if not new:
                continue
            theirs = [uid for uid in there.row if uid in result_of]
            for mine, other in _on_same_ground(here, new, there, theirs, check):
                one, two = _Version(mine, here), _Version(other, there)
                if _is_conflict(one, two, here):
                    for result, own, foreign in ((result_of[mine], one, two), (result_of[other], two, one)):
                        result.put_in_queue(f"{own.said()}; on the same ground {foreign.said()}: {_name(foreign)}")


def _is_conflict(mine: _Version, other: _Version, here: _Side) -> bool:
    """Whether an outline that one session alone has contradicts what another says of an outline on the same ground."""
    if not here.knows(other.uid):
        return mine.status not in AGAINST or other.status not in AGAINST
    own = _Version(other.uid, here)
    if mine.status not in KEPT or other.status not in KEPT or other.known <= own.known:
        return False
    return own.status not in KEPT or _overlap(mine.shape, own.shape) < SAME_GROUND


def _overlap(one: shapely.Geometry, other: shapely.Geometry) -> float:
    smaller = min(one.area, other.area)
    return float(shapely.intersection(one, other).area / smaller) if smaller else 0.0


def _on_same_ground(
    here: _Side, new: Sequence[str], there: _Side, theirs: Sequence[str], check: Callable[[], None]
) -> list[tuple[str, str]]:
    """Pairs of uids whose outlines share at least :data:`SAME_GROUND` of the smaller one."""
    layers = []
    for side, uids in ((here, new), (there, theirs)):
        shapes = side.shapes[[side.row[uid] for uid in uids]]
        has_area = shapely.area(shapes) > 0
        layers.append((PolygonLayer(shapes[has_area], side.session.crs), [uid for uid, held in zip(uids, has_area, strict=True) if held]))
    (mine, names), (others, other_names) = layers
    my_shapes, other_shapes = on_one_map([mine, others])
    graph = overlaps(my_shapes, other_shapes, mine.crs, SAME_GROUND, check)
    return [(names[one], other_names[other]) for one, other in graph.pairs]


def _name(version: _Version) -> str:
    return str(version.value("primary_id") or version.value("source_id") or f"an outline that was {version.value('source') or 'added'}")


def _merged(sides: Sequence[_Side], results: Sequence[_Result], job: MergeReviewsJob) -> Session:
    """The session that comes of it."""
    first = sides[0].session
    layers, numbering = _as_they_came(sides)
    position = {side.name: number for number, side in enumerate(sides)}
    starts = np.cumsum([0, *(len(side.session.outlines) for side in sides)])
    everything = stacked([_renumbered(side.session.outlines, numbering[number]) for number, side in enumerate(sides)])
    rows = [int(starts[position[result.version.side.name]]) + int(result.version.row or 0) for result in results]
    fields = {name: column[rows] for name, column in everything.fields.items()}
    for index, result in enumerate(results):
        fields["uid"][index] = result.uid
        for name, value in result.values.items():
            fields[name][index] = value
    fields = {name: of_type(column, first.outlines.fields.get(name)) for name, column in fields.items()}
    layers[OUTLINES] = PolygonLayer(everything.geometries[rows], first.crs, fields)
    layers[RESTRICTED] = _restricted(results, first)
    layers[TILES] = _tiles([side.session.layers[TILES] for side in sides])
    settings = {name: value for name, value in first.settings.items() if name != "discarded"}  # commands have other numbers now
    for name in PATHS:
        if settings.get(name) and (there := found_path(settings[name], job.sessions[0])):
            settings[name] = stored_path(there, job.output)
    return Session(layers, _journal([_with_second_versions(side, results) for side in sides]), settings)


def _as_they_came(sides: Sequence[_Side]) -> tuple[dict[str, PolygonLayer], list[dict[int, int]]]:
    """The layers predicted and reference of all sessions, each outline once; of each session, component -> that in the merged one."""
    seen: dict[str, dict[bytes, int]] = {PREDICTED: {}, REFERENCE: {}}
    pieces: dict[str, list[PolygonLayer]] = {PREDICTED: [], REFERENCE: []}
    numbering: list[dict[int, int]] = []
    next_number = 1
    for side in sides:
        own = {name: numbers(column_of(side.session.layers[name], "component")) for name in seen}
        keys = {name: shapely.to_wkb(shapely.normalize(side.session.layers[name].geometries)) for name in seen}
        number_of: dict[int, int] = {}
        for name, of_key in seen.items():
            for key, component in zip(keys[name], own[name], strict=True):
                if key in of_key and np.isfinite(component):
                    number_of.setdefault(int(component), of_key[key])
        everywhere = np.concatenate([*own.values(), numbers(column_of(side.session.outlines, "component"))])
        there = {int(component) for component in everywhere[np.isfinite(everywhere)]}
        for component in sorted(there - set(number_of)):
            number_of[component] = component if not numbering else next_number
            next_number = max(next_number, number_of[component]) + 1
        for name, of_key in seen.items():
            layer = _renumbered(side.session.layers[name], number_of)
            new = np.array([key not in of_key for key in keys[name]], dtype=bool)
            of_key |= {key: number_of[int(c)] for key, c in zip(keys[name][new], own[name][new], strict=True) if np.isfinite(c)}
            fields = {field: column[new] for field, column in layer.fields.items()}
            pieces[name].append(PolygonLayer(layer.geometries[new], layer.crs, fields))
        numbering.append(number_of)
    layers = {}
    for name, parts in pieces.items():
        together = stacked(parts)
        like = parts[0].fields
        layers[name] = replace(together, fields={field: of_type(column, like.get(field)) for field, column in together.fields.items()})
    return layers, numbering


def _renumbered(layer: PolygonLayer, number_of: Mapping[int, int]) -> PolygonLayer:
    component = numbers(column_of(layer, "component"))
    known = np.isfinite(component)
    values = np.array([number_of[int(value)] if held else 0 for value, held in zip(component, known, strict=True)], dtype=np.int32)
    return replace(layer, fields={**layer.fields, "component": np.ma.array(values, mask=~known)})


def _restricted(results: Sequence[_Result], first: Session) -> PolygonLayer:
    parts: list[PolygonLayer] = []
    for result in results:
        owner = result.restricted_of
        rows = owner.side.restricted.get(owner.uid, []) if owner is not None else []
        if owner is not None and rows:
            layer = owner.side.session.layers[RESTRICTED]
            fields = {name: column[rows] for name, column in layer.fields.items()} | {"uid": np.full(len(rows), result.uid, dtype=object)}
            parts.append(PolygonLayer(layer.geometries[rows], layer.crs, fields))
    nothing = first.layers[RESTRICTED]
    if not parts:
        return PolygonLayer(nothing.geometries[:0], nothing.crs, {name: column[:0] for name, column in nothing.fields.items()})
    together = stacked(parts)
    return replace(together, fields={name: of_type(column, nothing.fields.get(name)) for name, column in together.fields.items()})


def _tiles(layers: Sequence[PolygonLayer]) -> PolygonLayer:
    """The tiles of all sessions, each once; visited where anybody visited it."""
    together = stacked(layers)
    keys = shapely.to_wkb(shapely.normalize(together.geometries))
    row_of: dict[bytes, int] = {}
    fields = together.fields
    for index, key in enumerate(keys):
        row = row_of.setdefault(key, index)
        if not _plain(column_of(together, "visited_at")[row]) and _plain(column_of(together, "visited_at")[index]):
            for name in ("visited_at", "visited_by"):
                fields[name][row] = fields[name][index]
    rows = list(row_of.values())
    return PolygonLayer(together.geometries[rows], together.crs, {name: column[rows] for name, column in fields.items()})


def _with_second_versions(side: _Side, results: Sequence[_Result]) -> list[JournalRow]:
    """A session's journal, with how its second versions got their boundaries: so they count as edited when somebody accepts them."""
    new_uid = {result.version.uid: result.uid for result in results if result.version.side is side and result.uid != result.version.uid}
    rows = list(side.session.journal)
    for entry in side.session.journal:
        drawn = entry["layer"] == OUTLINES and entry["before_geometry"] is not None and entry["after_geometry"] is not None
        if entry["uid"] in new_uid and drawn and not entry["undone"]:
            rows.append({**entry, "uid": new_uid[entry["uid"]], "seconds": None})
    return rows


def _journal(journals: Sequence[Sequence[JournalRow]]) -> list[JournalRow]:
    """The rows of several journals, those of a command together, in the order of time; what copies share comes once.

    What one of them undid is done where another has it, as it is in the outlines.
    """
    commands: dict[tuple[int, int], list[JournalRow]] = {}
    seen: set[tuple[Any, ...]] = set()
    done = {_key(entry) for journal in journals for entry in journal if not entry["undone"]}
    for number, journal in enumerate(journals):
        for entry in journal:
            if (key := _key(entry)) not in seen:
                seen.add(key)
                commands.setdefault((number, entry["command"]), []).append(entry)
    in_time = sorted(commands.values(), key=lambda entries: min(entry["at"] for entry in entries))
    rows = [
        {**entry, "command": number, "undone": int(_key(entry) not in done)}
        for number, entries in enumerate(in_time, 1)
        for entry in entries
    ]
    return [{**entry, "id": number} for number, entry in enumerate(rows, 1)]


def _plain(value: Any) -> Any:
    """A value of a column, None where it is empty."""
    if value is None or value is np.ma.masked or value != value:  # noqa: PLR0124 NaN
        return None
    return value.item() if isinstance(value, np.generic) else value

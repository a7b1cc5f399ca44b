"""A review goes on with a new detection or newly drawn outlines: what a person decided stays, the rest of the queue is made anew."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from engine.columns import Column, column_of, is_null, numbers, objects, of_type, stacked, texts, where
from engine.errors import EngineError
from engine.local_maps import on_one_map
from engine.matching import match_objects, overlaps
from engine.outline_names import outline_names
from engine.outputs import whole_file
from engine.reporting import Reporter, StagedReporter
from engine.review_file import Session, check_saved, copy_tables, keep_edits, read_session, snapshot, sound, write_session
from engine.review_queue import (
    OWN_PREFIX,
    PROBABILITY_FIELD,
    Relations,
    as_it_came,
    check_map,
    pixel_size_of,
    queue,
    read_placed,
    reference_layer,
    relate,
)
from engine.vectors import PolygonLayer
from jobs import UpdateReviewJob
from review_session import OUTLINES, PATHS, PREDICTED, REFERENCE, RESTRICTED, REVIEW_FIELDS, UNDECIDED, file_state, found_path, stored_path

SAME_IOU = 0.95
"""Outlines that share at least this much of their joint area are the same."""
ON_DECIDED_GROUND = 0.5
"""Share of the smaller outline from which a new one lies on ground that a person has decided on."""

FIGURES = ("component", "relation", "iou", "area_deviation", "boundary_distance_m")
"""What every outline is told anew of its correspondence."""
COUNTS = ("found", "lost", "moved", "unchanged", "decided")


def update_review(job: UpdateReviewJob, reporter: Reporter) -> dict[str, Any]:
    """A session and new outlines in, the session with a new queue out.

    Outlines that a person has judged, added or touched in any way stay as they are; they are only told what they correspond to now.
    Of the others, each takes over the geometry and the fields of the new outline that it shares most ground with (largest sum of IoU);
    those without one leave the queue, and new ones without a partner join it, unless they lie on ground that is decided. With an area
    of interest, predicted outlines that lie mostly elsewhere count among the new ones, as they were.

    Returns
    -------
    ``output``, ``count`` outlines, ``undecided`` of them, ``predicted`` and ``manual``: how many were ``found``, ``lost``, ``moved``
    (IoU below 0.95), ``unchanged``, and already ``decided``; of manual ones those without a match, which are in the queue;
    ``is_unchanged``

    Raises
    ------
    EngineError
        ``review_unsaved``, ``review_open``, ``review_changed`` when somebody works in the session; ``review_exists`` when the output is
        another session, with edits that this one does not have; ``crs_place``; those of :func:`engine.review_file.snapshot`,
        :func:`engine.vectors.read_polygons`, :func:`engine.rasters.open_raster`, :func:`engine.outputs.whole_file`; Cancelled.
    """
    reporter.progress(0.0, "reading the session")
    if _replaces_it(job):
        _check_closed(job.session)
    state = _state(job.session)
    with snapshot(job.session) as before:
        check_saved(job.session, before)
        session = read_session(before)
        if not _replaces_it(job):
            keep_edits(job.output, [session])
        return _update(job, session, before, state, reporter)


def _update(job: UpdateReviewJob, session: Session, before: Path, state: tuple[str, ...], reporter: Reporter) -> dict[str, Any]:
    """:func:`update_review` of the session that is in the file ``before``, when the person's own was in ``state``."""
    job = _with_layers(job, session, reporter)
    inputs = _Inputs.of(job, session, reporter)
    relations = relate(
        inputs.predicted.geometries,
        None if inputs.manual is None else inputs.manual.geometries,
        session.crs,
        float(session.settings.get("sliver", "0.05")),
        pixel_size_of(inputs.probability),
        reporter.check_cancelled,
    )
    reporter.progress(0.5, "laying out the queue")
    staged = StagedReporter(reporter, 0.5, 0.8)
    proposals = queue(inputs.predicted, inputs.predicted_names, inputs.manual, inputs.manual_names, relations, inputs.probability, staged)
    if inputs.lends_probability:
        proposals = replace(proposals, fields={name: column for name, column in proposals.fields.items() if name != PROBABILITY_FIELD})
    updated, counts = _merged(job, session, inputs, relations, proposals, reporter)
    settings = _settings(job, session)
    is_unchanged = all(_is_same(session.layers[name], updated.layers[name]) for name in (OUTLINES, PREDICTED, REFERENCE))
    if is_unchanged:
        updated = session
        reporter.info("The outlines are those that the session has already: nothing has changed.")
    updated = replace(updated, settings=settings)
    reporter.progress(0.85, "writing the session")
    if not (_replaces_it(job) and is_unchanged and settings == session.settings):
        with whole_file(job.output) as place:
            write_session(place, updated)
            copy_tables(before, place)
            reporter.check_cancelled()
            if _state(job.session) != state:
                raise EngineError(
                    "review_changed", f"Somebody worked in {job.session} meanwhile. Close the review there and run this again."
                )
    reporter.progress(1.0, "updated")
    undecided = int((updated.outlines.fields["status"] == UNDECIDED).sum())
    return {"output": job.output, "count": len(updated.outlines), "undecided": undecided, **counts, "is_unchanged": is_unchanged}


def _replaces_it(job: UpdateReviewJob) -> bool:
    return Path(job.output).exists() and Path(job.output).samefile(job.session)


def _check_closed(path: str) -> None:
    """Refuse to replace a session that another program has open: it would go on writing into the old one."""
    try:
        with closing(sqlite3.connect(path, timeout=0.2)) as connection:
            connection.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.DatabaseError as error:
        if "locked" in str(error) or "busy" in str(error):
            raise EngineError("review_open", f"{path} is open in QGIS. Close the review there first.") from error


def _state(path: str) -> tuple[str, ...]:
    return tuple(file_state(path + suffix) for suffix in ("", "-wal"))


def _with_layers(job: UpdateReviewJob, session: Session, reporter: Reporter) -> UpdateReviewJob:
    """The job, with the layers that the session was made from, as they are now, where nothing new is given."""
    if job.predicted or job.manual or job.probability:
        return job
    layers: dict[str, Any] = {}
    for name in ("predicted", "manual"):
        path = found_path(session.settings.get(name, ""), job.session)
        if path and Path(path).exists():
            layers |= {name: path, f"{name}_layer": session.settings.get(f"{name}_layer")}
        elif path:
            reporter.warning("file_missing", f"{path} is not there any more: the session keeps its own copy.")
    return replace(job, **layers)


@dataclass(frozen=True)
class _Inputs:
    """What the queue is made from, on the session's map: new where given, else as the session has it.

    ``lends_probability``: the field probability_mean of the predicted outlines is none that they came with.
    """

    predicted: PolygonLayer
    predicted_names: Column
    manual: PolygonLayer | None
    manual_names: Column
    probability: str | None
    lends_probability: bool

    @classmethod
    def of(cls, job: UpdateReviewJob, session: Session, reporter: Reporter) -> _Inputs:
        layers = {"predicted": _own_predicted(session, job.probability is None), "manual": _own_manual(session)}
        names = {side: texts(session.layers[layer].fields["name"]) for side, layer in (("predicted", PREDICTED), ("manual", REFERENCE))}
        for side in ("predicted", "manual"):
            path = getattr(job, side)
            if path is not None:
                layers[side] = read_placed(path, getattr(job, f"{side}_layer"), reporter)
                names[side] = outline_names(layers[side], side, reporter)
        came = {PROBABILITY_FIELD in fields for fields in (session.outlines.fields, layers["predicted"].fields if job.predicted else {})}
        if job.area_of_interest is not None:
            layers["before"] = _own_predicted(session, True)
            layers["area_of_interest"] = read_placed(job.area_of_interest, job.area_of_interest_layer, reporter)
        _, *placed = on_one_map([session.outlines, *layers.values()])
        for (side, layer), geometries in zip(layers.items(), placed, strict=True):
            check_map(layer, getattr(job, side, None) or job.session, geometries, session.crs, job.session)
            layers[side] = replace(layer, geometries=geometries, crs=session.crs)
        if job.area_of_interest is not None:
            before, new = layers["before"], layers["predicted"]
            stays = ~_mostly_within(before.geometries, layers["area_of_interest"].geometries)
            stays &= ~_shares_half(before.geometries, new.geometries, reporter)
            layers["predicted"] = stacked([new, where(before, stays)])
            kept_names = texts(session.layers[PREDICTED].fields["name"])[stays]
            names["predicted"] = np.concatenate([names["predicted"], _unlike(names["predicted"], kept_names)])
        has_manual = job.manual is not None or "manual" in session.settings
        probability = job.probability or found_path(session.settings.get("probability", ""), job.session) or None
        if job.probability is None and probability is not None and not Path(probability).exists():
            reporter.warning("file_missing", f"The session's probability raster {probability} is not there: new outlines go without it.")
            probability = None
        manual = layers["manual"] if has_manual else None
        return cls(layers["predicted"], names["predicted"], manual, names["manual"], probability, job.predicted is None or not any(came))


def _own_predicted(session: Session, with_probability: bool) -> PolygonLayer:
    """The session's predicted outlines, with the fields that the queue knows of them."""
    layer, fields = session.layers[PREDICTED], session.outlines.fields
    sources = zip(texts(fields["source"]), texts(fields["source_id"]), strict=True)
    rows = {name: row for row, (source, name) in reversed(list(enumerate(sources))) if source == "predicted"}
    row = np.array([rows.get(name, -1) for name in texts(layer.fields["name"])], dtype=np.intp)
    review = dict(REVIEW_FIELDS)
    known = {name: np.concatenate([objects(column), [None]])[row] for name, column in fields.items() if name not in review}
    known = {name: column for name, column in known.items() if name.lower() != PROBABILITY_FIELD}
    if with_probability:
        known[PROBABILITY_FIELD] = np.append(numbers(fields["probability"]), np.nan)[row]
    return replace(layer, fields=known)


def _mostly_within(outlines: NDArray[np.object_], area: NDArray[np.object_]) -> NDArray[np.bool_]:
    """Which outlines (n,) lie in an area with at least half of theirs."""
    whole = shapely.union_all(area)
    shapely.prepare(whole)
    inside = shapely.covers(whole, outlines)
    edge = np.flatnonzero(~inside & shapely.intersects(whole, outlines))
    inside[edge] = shapely.area(shapely.intersection(whole, outlines[edge])) >= shapely.area(outlines[edge]) / 2
    return inside


def _unlike(taken: Column, names: Column) -> Column:
    """Names (n,), each with a stroke more as long as another outline is called so."""
    used, free = set(taken.tolist()), []
    for name in names:
        while name in used:
            name += "'"  # noqa: PLW2901
        used.add(name)
        free.append(name)
    return np.array(free, dtype=object)


def _own_manual(session: Session) -> PolygonLayer:
    """The session's manual outlines, with the fields that they came with."""
    layer = session.layers[REFERENCE]
    own = {name: column for name, column in layer.fields.items() if name not in ("name", "component")}
    prefixed = {OWN_PREFIX + name: name for name in ("name", "component")}
    return replace(layer, fields={prefixed.get(name, name): column for name, column in own.items()})


def _merged(
    job: UpdateReviewJob, session: Session, inputs: _Inputs, relations: Relations, proposals: PolygonLayer, reporter: Reporter
) -> tuple[Session, dict[str, dict[str, int]]]:
    """The session with the new queue, and what happened to the predicted and the manual outlines in it."""
    old = session.outlines
    ground = sound(old.geometries)
    source, uid = texts(old.fields["source"]), texts(old.fields["uid"])
    touched = {row["uid"] for row in session.journal if not row["undone"]}
    is_open = (texts(old.fields["status"]) == UNDECIDED) & (source != "added") & np.array([name not in touched for name in uid], bool)
    for name in ("comment", "conflict", "reviewer"):
        is_open &= is_null(column_of(old, name))
    is_decided = _shares_half(proposals.geometries, ground[~is_open], reporter)

    kept, partner, change = np.ones(len(old), dtype=bool), np.full(len(old), -1), objects(column_of(old, "change"))
    found = []
    counts = {}
    for side in ("predicted", "manual"):
        ours = np.flatnonzero(is_open & (source == side))
        theirs = np.flatnonzero(proposals.fields["source"] == side)
        free = theirs[~is_decided[theirs]]
        graph = overlaps(proposals.geometries[free], ground[ours], None, check=reporter.check_cancelled)
        links = match_objects(graph, "iou").links
        first, second = free[graph.pairs[links, 0]], ours[graph.pairs[links, 1]]
        has_moved = graph.iou[links] < SAME_IOU
        partner[second] = first
        change[second] = None
        change[second[has_moved]] = "moved"
        alone = np.setdiff1d(ours, second)
        covered = _shares_half(ground[alone], proposals.geometries[theirs[is_decided[theirs]]], reporter)
        kept[alone[~covered]] = False
        new = np.setdiff1d(free, first)
        found.append(new)
        numbers_of = (len(new), (~covered).sum(), has_moved.sum(), (~has_moved).sum() + covered.sum(), is_decided[theirs].sum())
        counts[side] = dict(zip(COUNTS, map(int, numbers_of), strict=True))
    new = np.concatenate(found)

    kept_fields = set() if job.predicted else set(old.fields) - set(proposals.fields)
    fields = _new_fields(old, proposals, partner, new, change, {"uid", "change", *kept_fields})
    geometries = old.geometries.copy()
    geometries[partner >= 0] = proposals.geometries[partner[partner >= 0]]
    told = (partner < 0) & (source != "added")
    _tell(fields, told, source, ground, inputs, relations, reporter)
    stays = np.append(kept, np.ones(len(new), dtype=bool))
    queued = where(PolygonLayer(np.concatenate([geometries, proposals.geometries[new]]), old.crs, fields), stays)
    lost = set(uid[~kept])
    restricted = session.layers[RESTRICTED]
    of_lost = np.array([name in lost for name in texts(restricted.fields["uid"])], dtype=bool)
    moved = set(uid[(partner >= 0) & (change == "moved")])
    to_check = sum(name in moved for name in texts(restricted.fields["uid"]))
    if to_check:
        reporter.info(f"{to_check} restricted outlines belong to outlines that have moved; they stay as they were. Check them.")
    layers = {
        **session.layers,
        OUTLINES: replace(queued, fields={name: of_type(column, old.fields.get(name)) for name, column in queued.fields.items()}),
        RESTRICTED: where(restricted, ~of_lost),
        PREDICTED: as_it_came(inputs.predicted, inputs.predicted_names, relations.predicted_component),
        REFERENCE: reference_layer(inputs.manual, inputs.manual_names, relations, session.crs),
    }
    return replace(session, layers=layers), counts


def _shares_half(outlines: NDArray[np.object_], others: NDArray[np.object_], reporter: Reporter) -> NDArray[np.bool_]:
    """Which outlines (n,) share at least half of the smaller one with one of some others (m,)."""
    near, beside = _meeting(outlines, others)
    graph = overlaps(outlines[near], others[beside], None, 0.0, reporter.check_cancelled)
    found = np.zeros(len(outlines), dtype=bool)
    found[near[graph.pairs[graph.overlap >= ON_DECIDED_GROUND, 0]]] = True
    return found


def _meeting(outlines: NDArray[np.object_], others: NDArray[np.object_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Indices of the outlines and of the others whose bounds meet: of the rest, nothing has to be measured."""
    first, second = shapely.STRtree(others).query(outlines)
    return np.unique(first), np.unique(second)


def _new_fields(
    old: PolygonLayer,
    proposals: PolygonLayer,
    partner: NDArray[np.intp],
    new: NDArray[np.intp],
    change: Column,
    own: set[str],
) -> dict[str, Column]:
    """The columns of the old rows, those with a partner like it in all but their ``own`` ones, and of the new rows after them."""
    taken = partner >= 0
    fields: dict[str, Column] = {}
    for name in dict.fromkeys([*old.fields, *proposals.fields]):
        theirs = objects(column_of(proposals, name))
        values = change if name == "change" else objects(column_of(old, name))
        if name not in own:
            values[taken] = theirs[partner[taken]]
        fields[name] = np.concatenate([values, np.full(len(new), "found", dtype=object) if name == "change" else theirs[new]])
    return fields


def _tell(
    fields: dict[str, Column],
    told: NDArray[np.bool_],
    source: Column,
    ground: NDArray[np.object_],
    inputs: _Inputs,
    relations: Relations,
    reporter: Reporter,
) -> None:
    """Tell outlines that stay what they correspond to now: what they share most ground with, of their own side first."""
    component = np.zeros(len(ground), dtype=np.intp)
    sides = [(inputs.predicted.geometries, relations.predicted_component, "predicted")]
    if inputs.manual is not None:
        sides.append((inputs.manual.geometries, relations.reference_component, "manual"))
    for own_side in (True, False):
        for others, component_of, side in sides:
            rows = np.flatnonzero(told & (component == 0) & ((source == side) == own_side))
            near, beside = _meeting(ground[rows], others)
            graph = overlaps(ground[rows[near]], others[beside], None, check=reporter.check_cancelled)
            order = np.argsort(graph.iou, kind="stable")  # the best is the last that is written
            component[rows[near[graph.pairs[order, 0]]]] = component_of[beside[graph.pairs[order, 1]]]
    rows = np.flatnonzero(told)
    numbers_of = {
        "component": np.array([number or None for number in component.tolist()], dtype=object),
        "relation": np.array([kind or None for kind in relations.kind[component].tolist()], dtype=object),
        "iou": relations.iou[component],
        "area_deviation": relations.area_deviation[component],
        "boundary_distance_m": relations.boundary_distance_m[component],
    }
    for name in FIGURES:
        fields[name][rows] = numbers_of[name][rows]


def _is_same(one: PolygonLayer, other: PolygonLayer) -> bool:
    """Whether two layers hold the same rows; what changed last is no part of that."""
    names = [name for name in dict.fromkeys([*one.fields, *other.fields]) if name != "change"]
    return (
        len(one) == len(other)
        and all(name in one.fields and name in other.fields for name in names)
        and bool((shapely.get_num_coordinates(one.geometries) == shapely.get_num_coordinates(other.geometries)).all())
        and bool((shapely.get_coordinates(one.geometries) == shapely.get_coordinates(other.geometries)).all())
        and all(_are_same(one.fields[name], other.fields[name]) for name in names)
    )


def _are_same(one: Column, other: Column) -> bool:
    if one.dtype.kind in "iuf" or other.dtype.kind in "iuf":
        return np.allclose(numbers(one), numbers(other), rtol=1e-9, atol=1e-9, equal_nan=True)
    return bool((texts(one) == texts(other)).all())


def _settings(job: UpdateReviewJob, session: Session) -> Mapping[str, str]:
    settings = dict(session.settings)
    if Path(job.output).absolute().parent != Path(job.session).absolute().parent:
        settings |= {name: stored_path(found_path(settings[name], job.session), job.output) for name in PATHS if name in settings}
    for name in ("predicted", "manual", "probability"):
        path = getattr(job, name)
        if path is None:
            continue
        settings[name] = stored_path(path, job.output)
        if name != "probability":
            settings.pop(f"{name}_layer", None)
            layer = getattr(job, f"{name}_layer")
            settings |= {f"{name}_state": file_state(path), **({f"{name}_layer": layer} if layer else {})}
    return settings

"""What a review begins with: how predicted and manual outlines relate, and which of them deserve attention first."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS

from engine.boundary_distances import mean_boundary_distances
from engine.columns import Column, Columns, numbers, stacked, texts, where
from engine.errors import EngineError
from engine.geodesy import geodesic_area
from engine.inventory import project_fields, typed
from engine.inventory_forms import Field
from engine.local_maps import keeps_its_area, local_maps
from engine.matching import OverlapGraph, components, ground, overlaps
from engine.rasters import Grid, ground_pixel_size, open_raster
from engine.reporting import Reporter
from engine.threads import in_threads
from engine.uncertainty import threshold_of
from engine.vectors import PolygonLayer, read_outlines
from engine.zonal import zonal_means
from jobs import AssessJob
from review_session import ATTRIBUTES, REVIEW_FIELDS, UNDECIDED

WEIGHTS = {"disagreement": 0.6, "merged": 0.6, "doubt": 0.5, "area_deviation": 0.4, "size": 0.1}
"""How much of the attention one piece of evidence alone earns, see :func:`priority`."""

NECK = 0.1
"""Half the width of a neck, over the square root of the outline's area: narrower ones part it, see :func:`parts_beyond_necks`."""

OUTLINES_AT_ONCE = 200

PROBABILITY_FIELD = "probability_mean"
"""Where post-processing writes the mean probability of an outline."""
OWN_PREFIX = "input_"
"""Before the name of an input's field that a session needs for itself."""
TAKEN = {"fid", "geom", *(name for name, _ in REVIEW_FIELDS), *(name for name, _ in ATTRIBUTES)}


@dataclass(frozen=True)
class Relations:
    """How p predicted and r manual outlines relate.

    ``predicted_component`` (p,), ``reference_component`` (r,): number of the correspondence, from 1, that an outline is in. By
    correspondence (c + 1,), its number as index: ``kind`` one of :data:`engine.matching.KINDS`, empty without a manual layer; ``iou``
    0-1; ``area_deviation`` predicted less manual over manual area, percent; ``boundary_distance_m`` symmetric mean distance of
    the boundaries; NaN where there is no counterpart. ``several`` (p,) 0-1, see :func:`shared_by_several`. ``predicted_m2`` (p,),
    ``reference_m2`` (r,) areas on the ellipsoid.
    """

    predicted_component: NDArray[np.intp]
    reference_component: NDArray[np.intp]
    kind: NDArray[np.str_]
    iou: NDArray[np.float64]
    area_deviation: NDArray[np.float64]
    boundary_distance_m: NDArray[np.float64]
    several: NDArray[np.float64]
    predicted_m2: NDArray[np.float64]
    reference_m2: NDArray[np.float64]


def relate(
    predicted: NDArray[np.object_],
    manual: NDArray[np.object_] | None,
    crs: CRS,
    sliver: float,
    pixel_size: float = AssessJob.pixel_size,
    check: Callable[[], None] = lambda: None,
) -> Relations:
    """The correspondences of an assessment, and their figures.

    Parameters
    ----------
    predicted, manual : (p,), (r,) valid Polygon or MultiPolygon on one map; None: nobody drew any
    crs : of that map
    sliver : overlaps below this share (0-1) of both outlines are left out
    pixel_size : metres between the points that boundary distances are taken at

    Source
    ------
    Lin et al. (2024), section 3.4.3, as :func:`engine.matching.components`.
    """
    reference = np.empty(0, dtype=object) if manual is None else manual
    graph = overlaps(predicted, reference, crs, sliver, check)
    links = components(graph)
    covered = ground(graph, links, predicted, reference, crs, check)
    iou, deviation, distance = (np.full(len(links) + 1, np.nan) for _ in range(3))
    both = np.flatnonzero(links.matched)
    joint = covered.predicted_m2[both] + covered.reference_m2[both] - covered.shared_m2[both]
    iou[both + 1] = covered.shared_m2[both] / joint
    deviation[both + 1] = 100 * (covered.predicted_m2[both] - covered.reference_m2[both]) / covered.reference_m2[both]
    distance[both + 1] = mean_boundary_distances(covered.predicted[both], covered.reference[both], crs, pixel_size, check)
    kind = np.concatenate([[""], links.kind if manual is not None else np.full(len(links), "")])
    return Relations(
        links.predicted_component + 1,
        links.reference_component + 1,
        kind,
        iou,
        deviation,
        distance,
        shared_by_several(graph),
        graph.predicted_m2,
        graph.reference_m2,
    )


def shared_by_several(graph: OverlapGraph) -> NDArray[np.float64]:
    """How much each predicted outline (p,) seems to hold several manual ones, 0-1: twice the share that does not belong to the chief one.

    0: one or none; 1: two that share it equally, or more.
    """
    count = len(graph.predicted_m2)
    total = np.bincount(graph.pairs[:, 0], graph.shared_m2, count).astype(np.float64)
    chief = np.zeros(count)
    np.maximum.at(chief, graph.pairs[:, 0], graph.shared_m2)
    return _beside_the_chief(chief, total)


def parts_beyond_necks(outlines: NDArray[np.object_], crs: CRS, check: Callable[[], None] = lambda: None) -> NDArray[np.float64]:
    """How much each outline (n,) falls apart at its necks, 0-1: twice the share of the cores that is not in the largest one.

    The cores are what is left when the boundary moves inwards by :data:`NECK` times the square root of the area: necks
    narrower than a fifth of a square of that area are gone then. 0: one core or none; 1: two equal ones, or more. Parts that
    were apart before count as cores. It is an erosion of each outline and no more: :mod:`engine.cuts` looks closer.

    Parameters
    ----------
    outlines : (n,) Polygon or MultiPolygon in map units of ``crs``
    """
    found = np.zeros(len(outlines))
    for indices, _, local in local_maps(outlines, crs):

        def beside(part: slice, shapes: NDArray[np.object_] = local) -> NDArray[np.float64]:
            eroded = shapely.buffer(shapes[part], -NECK * np.sqrt(shapely.area(shapes[part])))
            cores, owner = shapely.get_parts(eroded, return_index=True)
            area = shapely.area(cores)
            chief = np.zeros(len(eroded))
            np.maximum.at(chief, owner, area)
            return _beside_the_chief(chief, np.bincount(owner, area, len(eroded)).astype(np.float64))

        found[indices] = np.concatenate(in_threads(beside, len(local), OUTLINES_AT_ONCE, check))
    return found


def _beside_the_chief(chief: NDArray[np.float64], total: NDArray[np.float64]) -> NDArray[np.float64]:
    share = np.divide(chief, total, out=np.ones(len(total)), where=total > 0)
    return np.clip(2 * (1 - share), 0, 1)


def priority(
    disagreement: NDArray[np.float64],
    probability: NDArray[np.float64],
    area_deviation: NDArray[np.float64],
    merge_suspect: NDArray[np.float64],
    area_m2: NDArray[np.float64],
    threshold: float = 0.5,
) -> NDArray[np.float64]:
    """What deserves attention first, (n,) 0-1.

    1 - the product of (1 - weight * evidence), :data:`WEIGHTS`: each piece of evidence raises the priority, whatever the others
    say, none lowers it, and what is unknown (NaN) says nothing. Evidence, each 0-1:

    - disagreement: 1 - IoU with the manual outlines, 1 for missed and false ones
    - merged: ``merge_suspect``
    - doubt: 0 where the mean probability is 1, 1 where it is 0.5 or less; where the network's threshold is another one than 0.5,
      of the probability that is as far from 0.5 in log-odds
    - area deviation: its amount over 100 percent, 1 at most
    - size: area over 1 km2, 1 at most; what is large weighs most in the inventory

    Parameters
    ----------
    disagreement, probability, merge_suspect : (n,) 0-1
    area_deviation : (n,) percent
    area_m2 : (n,) square metres
    threshold : probability, between 0 and 1, at which the network's polygons were cut
    """
    for_it = probability * (1 - threshold)
    as_of_half = for_it / (for_it + (1 - probability) * threshold)
    evidence = {
        "disagreement": disagreement,
        "merged": merge_suspect,
        "doubt": 2 * (1 - as_of_half),
        "area_deviation": np.abs(area_deviation) / 100,
        "size": area_m2 / 1e6,
    }
    calm = np.ones(len(area_m2))
    for name, strength in evidence.items():
        calm *= 1 - WEIGHTS[name] * np.clip(np.nan_to_num(strength, nan=0.0), 0, 1)
    return 1 - calm


def mean_probability(layer: PolygonLayer, raster: str | None, reporter: Reporter) -> NDArray[np.float64]:
    """Mean probability over each outline (n,), 0-1: what its field probability_mean says, else the raster; NaN where neither does.

    Raises
    ------
    EngineError
        ``not_probability`` for values beyond 0-1; those of :func:`engine.rasters.open_raster`.
    """
    field = next((column for name, column in layer.fields.items() if name.lower() == PROBABILITY_FIELD), None)
    known = np.full(len(layer), np.nan) if field is None else numbers(field)
    unknown = np.flatnonzero(~np.isfinite(known))
    if raster is not None and len(unknown):
        with open_raster(raster) as dataset:
            known[unknown] = zonal_means(dataset, layer.geometries[unknown], layer.crs, reporter)
    finite = known[np.isfinite(known)]
    if len(finite) and not (finite.min() >= 0 and finite.max() <= 1):
        raise EngineError(
            "not_probability",
            f"The mean probabilities of the outlines reach from {finite.min():g} to {finite.max():g}; probabilities lie between 0 and 1. "
            f"Give the raster that Detect rock glaciers wrote, and check the field {PROBABILITY_FIELD}.",
        )
    return known


def threshold_in(raster: str | None) -> float:
    """The probability at which the network's polygons were cut, where its raster says so; 0.5 else."""
    if raster is None:
        return 0.5
    with open_raster(raster) as dataset:
        return threshold_of(dataset) or 0.5


def pixel_size_of(raster: str | None) -> float:
    """Metres between the points of boundary distances: as wide as the raster's pixels, that of an assessment without one."""
    if raster is None:
        return AssessJob.pixel_size
    with open_raster(raster) as dataset:
        return float(np.mean(ground_pixel_size(Grid.of(dataset))))


def queue(
    predicted: PolygonLayer,
    predicted_names: Column,
    manual: PolygonLayer | None,
    manual_names: Column,
    relations: Relations,
    probability: str | None,
    reporter: Reporter,
) -> PolygonLayer:
    """The rows of the layer ``outlines``, none reviewed: all predicted outlines in their order, then the missed manual ones.

    Parameters
    ----------
    predicted, manual : (p,), (r,) on one map, with their own fields
    predicted_names, manual_names : (p,), (r,) text
    probability : the raster of it

    Returns
    -------
    with all fields of a session, and the own ones of the predicted outlines under :data:`TAKEN` names no more
    """
    component, kind = relations.predicted_component, relations.kind
    merge_suspect = np.maximum(relations.several, parts_beyond_necks(predicted.geometries, predicted.crs, reporter.check_cancelled))
    rows = _rows(
        predicted, "predicted", predicted_names, component, relations, relations.predicted_m2, merge_suspect, probability, reporter
    )
    own = own_fields(predicted.fields)
    if manual is None:
        return PolygonLayer(rows.geometries, rows.crs, {**rows.fields, **own})
    is_missed = kind[relations.reference_component] == "missed"
    missed = where(manual, is_missed)
    unknown = np.full(len(missed), np.nan)
    component = relations.reference_component[is_missed]
    added = _rows(
        missed, "manual", manual_names[is_missed], component, relations, relations.reference_m2[is_missed], unknown, probability, reporter
    )
    theirs = own_fields(missed.fields)
    together = stacked([rows, added])
    further = {name: _joined(column, theirs.get(name), len(missed)) for name, column in own.items()}
    return PolygonLayer(together.geometries, together.crs, {**together.fields, **further})


def _rows(
    layer: PolygonLayer,
    source: str,
    names: Column,
    component: NDArray[np.intp],
    relations: Relations,
    area_m2: NDArray[np.float64],
    merge_suspect: NDArray[np.float64],
    probability: str | None,
    reporter: Reporter,
) -> PolygonLayer:
    """Outlines (n,) of one source with the fields of a review and the attributes of the inventory."""
    mean = mean_probability(layer, probability, reporter)
    alone = np.isin(relations.kind[component], ("missed", "false"))
    disagreement = np.where(alone, 1.0, 1 - relations.iou[component])
    is_predicted = source == "predicted"
    values: dict[str, Column] = {
        "uid": new_uids(len(layer)),
        "source": _all(source, layer),
        "source_id": names.astype(object),
        "component": component.astype(np.int32),
        "relation": np.array([kind or None for kind in relations.kind[component].tolist()], dtype=object),
        "status": _all(UNDECIDED, layer),
        "priority": priority(
            disagreement,
            mean if is_predicted else np.full(len(layer), np.nan),
            relations.area_deviation[component],
            merge_suspect,
            area_m2,
            threshold_in(probability),
        ),
        "merge_suspect": merge_suspect,
        "probability": mean,
        "iou": relations.iou[component],
        "area_deviation": relations.area_deviation[component],
        "boundary_distance_m": relations.boundary_distance_m[component],
    }
    nothing = _all(None, layer)
    fields = {name: values.get(name, nothing) for name, _ in REVIEW_FIELDS}
    known = project_fields(layer.fields)
    fields.update({name: typed(known[name], Field(name, name, kind)) if name in known else nothing for name, kind in ATTRIBUTES})
    return PolygonLayer(layer.geometries, layer.crs, fields)


def own_fields(fields: Columns, taken: set[str] = TAKEN) -> dict[str, Column]:
    """An input's fields that no attribute of the inventory takes in, by names that a session has not itself (:data:`TAKEN`)."""
    attributes = {name for name, _ in ATTRIBUTES}
    found: dict[str, Column] = {}
    for name, column in fields.items():
        if next(iter(project_fields({name: column}))) in attributes & taken:
            continue
        free = name
        while free.lower() in taken | {other.lower() for other in found}:
            free = OWN_PREFIX + free
        found[free] = column
    return found


def as_it_came(layer: PolygonLayer, names: NDArray[np.str_], component: NDArray[np.intp]) -> PolygonLayer:
    """Outlines (n,) as the layers predicted and reference of a session have them, without their own fields."""
    return replace(layer, fields={"name": names.astype(object), "component": component.astype(np.int32)})


def reference_layer(manual: PolygonLayer | None, names: NDArray[np.str_] | None, relations: Relations, crs: CRS) -> PolygonLayer:
    """The layer reference of a session: manual outlines with their own fields."""
    if manual is None or names is None:
        nothing = PolygonLayer(np.empty(0, dtype=object), crs)
        return as_it_came(nothing, np.empty(0, dtype=np.str_), np.empty(0, dtype=np.intp))
    came = as_it_came(manual, names, relations.reference_component)
    return replace(came, fields={**came.fields, **own_fields(manual.fields, {"fid", "geom", "name", "component"})})


def new_uids(count: int) -> NDArray[np.object_]:
    """Names (n,) that no other outline has, of this session or another."""
    uids: dict[str, None] = {}
    while len(uids) < count:
        uids[uuid.uuid4().hex[:16]] = None
    return np.array(list(uids), dtype=object)


def _all(value: str | None, layer: PolygonLayer) -> NDArray[np.object_]:
    return np.full(len(layer), value, dtype=object)


def _joined(first: Column, second: Column | None, count: int) -> Column:
    """A column and ``count`` more values of it, empty where there are none; of the same type where that holds both."""
    if second is None:
        if first.dtype == object:
            return np.concatenate([first, np.full(count, None, dtype=object)])
        return np.ma.concatenate([first, np.ma.masked_all(count, dtype=first.dtype)])
    if first.dtype.kind == second.dtype.kind != "O":
        return np.ma.concatenate([first, second])
    if first.dtype == second.dtype:
        return np.concatenate([first, second])
    return np.concatenate([texts(first), texts(second)])


def read_placed(path: str, layer: str | None, reporter: Reporter) -> PolygonLayer:
    """As :func:`engine.vectors.read_outlines`, of layers whose coordinate reference system has a place on the Earth alone.

    Raises
    ------
    EngineError
        ``crs_local``; those of :func:`engine.vectors.read_polygons`.
    """
    outlines = read_outlines(path, layer, reporter)
    try:
        geodesic_area(outlines.geometries[:0], outlines.crs)
    except EngineError as error:
        raise EngineError(error.code, f"{path}: {error.text}") from error
    return outlines


def check_map(layer: PolygonLayer, path: str | os.PathLike[str], placed: NDArray[np.object_], crs: CRS, named: str) -> None:
    """Refuse a layer that does not lie on the session's map.

    Raises
    ------
    EngineError
        ``crs_place``.
    """
    if not keeps_its_area(layer, placed, crs):
        raise EngineError(
            "crs_place",
            f"{path} does not fit on the map of {named} ({crs.name}): it reaches beyond the area where that coordinate reference system "
            "is defined. Reproject the predicted outlines to one that holds both, longitude and latitude perhaps, or cut what is too far.",
        )
